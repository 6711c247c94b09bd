"""FCOS with group norm on COCO 2017, boxes, as mmdetection 3.3 and the paper train it.

    python scripts/prepare_data.py --dataset=coco_detection --source=COCO --data_dir=data
    python scripts/train.py \
        --config=experiments/detection/fcos.py:variant=w18,schedule=1x \
        --config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth \
        --workdir=runs/fcos

Batches of 16 images; the rate follows other batches in proportion
(`schedule.reference_batch`). Frozen statistics of ImageNet, so weights of ImageNet are
needed.

Expected on val2017, box AP:

    variant  1x    2x                2x with scales=ms
    w18      35.3  38.2 (paper 37.7) 38.3 (paper 38.1)
    w32      39.5  40.8 (paper 40.3) 41.9 (paper 41.4)
    w40      -     -                 42.7
    w48      -     -                 42.9 (paper)

Source: README of mmdetection 3's configs/hrnet unless another is named; `det` is the
README of HRNet-Object-Detection, `paper` tables 8, 10 and 11 (minival).
As there, biases (not those of norms) learn at twice the rate without decay, and `1x`
stays at a third of the rate for 500 steps, where the others rise to it. mmdetection
reads these weights in BGR; here images are RGB.

Options: `variant`, `schedule` (`1x`, `2x`, `2x_late` with drops after epochs 20 and 23,
`20e`), `norm` (`frozen`; `batch` are statistics over all devices), `scales` (`one`,
`ms`, `det` and `crop`, see `recipes.coco_detector`), `debug` (seconds instead of days).
"""

import ml_collections

from hrnet_jax.experiment.recipes import coco_detector


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    return coco_detector(
        options,
        "fcos",
        "1x",
        learning_rate=0.01,
        clip_norm=35.0,
        bias_rate=2.0,
        decay_biases=False,
        constant_warmup=("1x",),
    )
