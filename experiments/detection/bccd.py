"""BCCD, 364 photographs of blood cells, 3 classes, from random weights.

    python scripts/prepare_data.py --dataset=detection_coco --name=bccd --source=BCCD \
        --data_dir=data
    python scripts/train.py --config=experiments/detection/bccd.py \
        --config.dataset.data_dir=data --workdir=runs/bccd

Picks the checkpoint by the validation images and reports on the test images. Sized for
45 minutes of two CPU cores: half the size of the photographs, a pyramid and heads of a
quarter of the published width, anchors and regions of half the size.

Expected test `AP` and `AP50`: see docs/detection.md.

Options: `detector` (`faster_rcnn`, `cascade_rcnn`, `fcos`), `variant`, `debug` (seconds
instead of minutes).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.recipes import (
    CPU_VARIANT,
    adamw_cosine,
    make_debug_detector,
    small_detector,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(
        options, detector="faster_rcnn", variant=CPU_VARIANT, debug=False
    )
    config = experiment(
        "detection",
        adamw_cosine(1e-3, weight_decay=0.01, warmup_steps=200),
        # A photograph has a dozen red cells and one white.
        small_detector(
            choice.detector, choice.variant, finest=34.0, class_agnostic=True
        ),
        dataset={
            "name": "bccd",
            "test_split": "test",
            "augmentation": {
                # Photographs are 480x640 and resized by about .6, for what costs most
                # is pixels. One microscope took them all: little else is varied.
                "crop": "jitter",
                "crop_size": (288, 384),
                "jitter": (0.85, 1.15),
                "test_scale": (384, 288),
                "test_canvases": ((288, 384),),
                "flip_vertical": 0.5,
            },
        },
        optimizer={"ema_decay": 0.998},
        # For the same processor time better than half as many batches of four.
        batch_size=2,
        num_steps=2800,
        eval={"every_steps": 400, "batch_size": 4},
        checkpoint={"every_steps": 400},
    )
    if choice.debug:
        make_debug_detector(config)
    return config
