"""Detection quickstart: generated shapes with boxes and masks, minutes on a CPU.

    python scripts/prepare_data.py --dataset=shapes_objects --data_dir=data
    python scripts/train.py --config=experiments/detection/shapes.py \
        --workdir=runs/shapes_objects

Mask R-CNN on HRNetV2p-W18-small-v1 from random weights, with a pyramid and heads of a
quarter of the published width.

Expected on the validation split: box `AP` 0.575 (`AP50` 0.90), mask `AP` 0.44 (0.88).

Options: `detector` (`faster_rcnn`, `mask_rcnn`, `cascade_rcnn`, `cascade_mask_rcnn`,
`fcos`), `variant`, `debug` (seconds instead of minutes).
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
        options, detector="mask_rcnn", variant=CPU_VARIANT, debug=False
    )
    config = experiment(
        "detection",
        adamw_cosine(1e-3, weight_decay=0.01, warmup_steps=40),
        small_detector(choice.detector, choice.variant, finest=14.0),
        dataset={
            "name": "shapes_objects",
            "augmentation": {
                "scales": ((96, 96),),
                "test_scale": (96, 96),
                "canvases": ((96, 96),),
                "test_canvases": ((96, 96),),
                "max_objects": 16,
                "mask_size": 56,
            },
        },
        batch_size=8,
        num_steps=400,
        eval={"every_steps": 100, "batch_size": 8},
        checkpoint={"every_steps": 100},
        logging={"every_steps": 20},
    )
    if choice.debug:
        make_debug_detector(config)
    return config
