"""BCCD, 364 photographs of blood cells, 3 classes, from random weights.

    python scripts/prepare_data.py --dataset=detection_coco --name=bccd --source=BCCD \
        --data_dir=data
    python scripts/train.py --config=experiments/detection/bccd.py \
        --config.dataset.data_dir=data --workdir=runs/bccd

Picks the checkpoint by the validation images and reports on the test images. Sized for
45 minutes of two CPU cores: half the size of the photographs, a pyramid and heads of a
quarter of the published width, anchors and regions of half the size.

Expected test `AP` 0.625, 0.616, 0.610 and `AP50` 0.922, 0.915, 0.918 (seeds 0, 1, 2),
after 36 to 39 minutes of processor time; `fcos` 0.560 and 0.871 (seed 0), after 31.

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
            choice.detector, choice.variant, finest=28.0, class_agnostic=True
        ),
        dataset={
            "name": "bccd",
            "test_split": "test",
            "augmentation": {
                # Photographs are 480x640: windows of half of that. One microscope took
                # them all, so sizes vary little; without any variation, wider heads and
                # more regions learn the training boxes by heart.
                "crop": "jitter",
                "crop_size": (240, 320),
                "jitter": (0.9, 1.1),
                "test_scale": (320, 240),
                "test_canvases": ((256, 320),),
                "flip_vertical": 0.5,
            },
        },
        optimizer={"ema_decay": 0.998},
        # For the same processor time better than half as many batches of four.
        batch_size=2,
        num_steps=4000,
        eval={
            "every_steps": 500,
            "batch_size": 4,
            # Cells touch; a dozen regions find each of them, every one a little off.
            "inference": {"vote": 0.8, "flip": True, "overlap": 0.6, "score": 0.01},
        },
        checkpoint={"every_steps": 500},
    )
    if choice.debug:
        make_debug_detector(config)
    return config
