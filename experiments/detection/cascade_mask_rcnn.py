"""Cascade Mask R-CNN on COCO 2017, boxes and masks, as mmdetection 3.3 and the paper train it.

    python scripts/prepare_data.py --dataset=coco_detection --source=COCO --data_dir=data
    python scripts/train.py \
        --config=experiments/detection/cascade_mask_rcnn.py:variant=w18,schedule=20e \
        --config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth \
        --workdir=runs/cascade_mask_rcnn

Batches of 16 images; the rate follows other batches in proportion
(`schedule.reference_batch`). Frozen statistics of ImageNet, so weights of ImageNet are
needed.

Expected on val2017, box AP (mask AP):

    variant  20e
    w18      41.6 (36.4), paper 41.9 (36.4)
    w32      44.3 (38.6), paper 44.5 (38.5)
    w40      45.1 (39.3)
    w48      46.0 (39.5), paper

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
    return coco_detector(options, "cascade_mask_rcnn", "20e")
