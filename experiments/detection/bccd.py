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
        small_detector(choice.detector, choice.variant, finest=28.0),
        dataset={
            "name": "bccd",
            "test_split": "test",
            "augmentation": {
                # Photographs are 480x640: a window of half of that, of photographs
                # resized by .8 to 1.25 of a half.
                "crop": "jitter",
                "crop_size": (240, 320),
                "jitter": (0.8, 1.25),
                "test_scale": (320, 240),
                "test_canvases": ((256, 320),),
                "flip_vertical": 0.5,
                "photometric": True,
            },
        },
        batch_size=4,
        num_steps=2000,
        eval={"every_steps": 250, "batch_size": 4},
        checkpoint={"every_steps": 250},
    )
    if choice.debug:
        make_debug_detector(config)
    return config
