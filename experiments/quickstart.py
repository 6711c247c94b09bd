"""Quickstart: HRNetV2-W18-small-v1 labels generated scenes, minutes on a CPU.

    make quickstart

or, step by step,

    python scripts/prepare_data.py --dataset=shapes --data_dir=data
    python scripts/train.py --config=experiments/quickstart.py \
        --workdir=runs/quickstart

Expected: `mean_iou` of 0.80 or more on the validation split.
Options: `:debug` runs seconds instead of minutes.
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import default_config, make_debug


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="w18_small_v1", debug=False)
    config = default_config("segmentation")
    config.dataset.augmentation.crop_size = (96, 96)
    config.dataset.augmentation.scale_min = 0.75
    config.dataset.augmentation.scale_max = 1.5
    config.model.name = f"segmentation/{choice.variant}"
    config.dataset.name = "shapes"
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.01
    config.optimizer.decay_norms = False
    config.schedule.name = "cosine"
    config.schedule.learning_rate = 3e-3
    config.schedule.warmup_steps = 20
    config.batch_size = 16
    config.num_steps = 320
    config.eval.every_steps = 80
    config.eval.batch_size = 16
    config.checkpoint.every_steps = 80
    config.logging.every_steps = 20
    if choice.debug:
        make_debug(config)
    return config
