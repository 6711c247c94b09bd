"""300W, 68 facial landmarks.

    python scripts/prepare_data.py --dataset=w300 --source=300w --data_dir=data
    python scripts/train.py --config=experiments/landmarks/w300.py:variant=w18 \
        --config.dataset.data_dir=data --workdir=runs/w300
"""

import ml_collections

from hrnet_jax.training.config import default_config, parse_options, shorten


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="w18_small_v1", debug=False)
    config = default_config("landmarks")
    config.model.name = f"landmarks/{choice.variant}"
    config.model.norm_momentum = 0.1
    config.dataset.name = "w300"
    config.dataset.eval_split = "common"
    config.dataset.augmentation.crop_size = (128, 128)
    config.dataset.augmentation.photometric = True
    config.loss.sigma = 1.0
    config.eval.inference.decoding = "dark"
    config.eval.inference.dark_sigma = 1.0
    config.eval.inference.flip = True
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.05
    config.optimizer.decay_norms = False
    config.optimizer.ema_decay = 0.99
    config.schedule.name = "cosine"
    config.schedule.learning_rate = 2e-3
    config.schedule.warmup_steps = 100
    config.batch_size = 16
    config.num_steps = 3000
    config.eval.every_steps = 500
    config.eval.batch_size = 16
    config.checkpoint.every_steps = 500
    if choice.debug:
        shorten(config)
    return config
