"""Faster R-CNN on COCO 2017, boxes, as mmdetection 3.3 and the paper train it.

    python scripts/prepare_data.py --dataset=coco_detection --source=COCO --data_dir=data
    python scripts/train.py \
        --config=experiments/detection/faster_rcnn.py:variant=w18,schedule=1x \
        --config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth \
        --workdir=runs/faster_rcnn

Batches of 16 images; the rate follows other batches in proportion
(`schedule.reference_batch`). Frozen statistics of ImageNet, so weights of ImageNet are
needed.

Expected on val2017, box AP:

    variant  1x                 2x                 schedule=2x_late (paper)
    w18      36.9 (paper 36.2)  38.9               38.0
    w32      40.2 (paper 39.6)  41.4               40.9
    w40      41.2 (det 40.4)    42.1               41.4 (det)
    w48      41.3 (paper)       -                  41.8

    with norm=batch,scales=det (det): w18 37.6 / 39.4 (2x_late), w32 41.0 / 42.6;
    with norm=batch,scales=crop (det): w18 37.6 / 39.7.

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
    return coco_detector(options, "faster_rcnn", "1x")
