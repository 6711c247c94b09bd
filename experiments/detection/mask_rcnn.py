"""Mask R-CNN on COCO 2017, boxes and masks, as mmdetection 3.3 and the paper train it.

    python scripts/prepare_data.py --dataset=coco_detection --source=COCO --data_dir=data
    python scripts/train.py \
        --config=experiments/detection/mask_rcnn.py:variant=w18,schedule=1x \
        --config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth \
        --workdir=runs/mask_rcnn

Batches of 16 images; the rate follows other batches in proportion
(`schedule.reference_batch`). Frozen statistics of ImageNet, so weights of ImageNet are
needed.

Expected on val2017, box AP (mask AP):

    variant  1x                                 2x
    w18      37.7 (34.2), paper 37.1 (33.8)     39.8 (36.0), paper 39.2 (35.7)
    w32      41.2 (37.1), paper 40.9 (36.7)     42.5 (37.8), paper 42.3 (37.6)
    w40      42.1 (37.5)                        42.8 (38.2)
    w48      42.4 (38.1), mmdetection 1         42.9 (38.3), mmdetection 1

Source: README of mmdetection 3's configs/hrnet unless another is named; `det` is the
README of HRNet-Object-Detection, `paper` tables 8, 10 and 11 (minival).

Options: `variant`, `schedule` (`1x`, `2x`, `2x_late` with drops after epochs 20 and 23,
`20e`), `norm` (`frozen`; `batch` are statistics over all devices), `scales` (`one`,
`ms`, `det` and `crop`, see `recipes.coco_detector`), `debug` (seconds instead of days).
"""

import ml_collections

from hrnet_jax.experiment.recipes import coco_detector


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    return coco_detector(options, "mask_rcnn", "1x")
