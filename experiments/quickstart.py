"""Quickstart: HRNetV2-W18-small-v1 labels generated scenes, minutes on a CPU.

    make quickstart

or, step by step,

    python scripts/prepare_data.py --dataset=shapes --data_dir=data
    python scripts/train.py --config=experiments/quickstart.py \
        --workdir=runs/quickstart

Expected: `mean_iou` of 0.80 or more on the validation split.
Options: `:debug` runs seconds instead of minutes.
"""

from typing import Any

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment, make_debug
from hrnet_jax.experiment.recipes import CPU_VARIANT, adamw_cosine


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant=CPU_VARIANT, debug=False)
    config = experiment(
        "segmentation",
        adamw_cosine(3e-3, weight_decay=0.01, warmup_steps=20),
        model={"name": f"segmentation/{choice.variant}"},
        dataset={
            "name": "shapes",
            "augmentation": {
                "crop_size": (96, 96),
                "scale_min": 0.75,
                "scale_max": 1.5,
            },
        },
        batch_size=16,
        num_steps=320,
        eval={"every_steps": 80, "batch_size": 16},
        checkpoint={"every_steps": 80},
        logging={"every_steps": 20},
    )
    if choice.debug:
        make_debug(config)
    return config


def get_sweep(trial: Any) -> dict[str, Any]:
    """Learning rate and variant, in half as many steps: docs/sweeps.md."""
    variant = trial.suggest_categorical("variant", [CPU_VARIANT, "w18_small_v2"])
    return {
        "schedule.learning_rate": trial.suggest_float("rate", 5e-4, 2e-2, log=True),
        "model.name": f"segmentation/{variant}",
        "num_steps": 160,
        "eval.every_steps": 40,
    }
