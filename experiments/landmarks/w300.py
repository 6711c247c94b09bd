"""300W, 68 facial landmarks.

    python scripts/prepare_data.py --dataset=w300 --source=300w --data_dir=data
    python scripts/train.py --config=experiments/landmarks/w300.py \
        --config.dataset.data_dir=data --workdir=runs/w300

is the recipe of the paper: W18, 256x256, Adam for 60 epochs. Start it from ImageNet
weights: `--config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth`. On two CPU cores,
from random weights,

    python scripts/train.py --config=experiments/landmarks/w300.py:fast \
        --config.dataset.data_dir=data --workdir=runs/w300_fast

trains a small variant on crops of 160x160 in less than an hour. Checkpoints are ranked
on the common test subset; `scripts/evaluate.py --workdir=runs/w300
--split=common,challenge,full,test --ced=ced.png` reports on others, where prepared.

Expected `nme` (percent of the inter-ocular distance): 2.91 common, 5.11 challenge, 3.34
full, 3.85 test (published, all 3148 training faces, ImageNet weights, no flip test,
README of HRNet-Facial-Landmark-Detection; `--config.dataset.augmentation.compat=official`
measures exactly as there). `fast`: see the table in README.md.

Options: `variant` (`w18`), `fast`, `debug` (seconds, on generated faces:
`prepare_data.py --dataset=faces --name=faces_68 --data_dir=data`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import default_config, make_debug
from hrnet_jax.pretrained import HEAD_PATTERNS


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", fast=False, debug=False)
    small = choice.fast or choice.debug
    variant = choice.variant or ("w18_small_v1" if small else "w18")
    config = default_config("landmarks")
    config.model.name = f"landmarks/{variant}"
    config.model.init_skip = HEAD_PATTERNS
    config.dataset.name = "w300"
    config.dataset.eval_split = "common"
    config.loss.sigma = 1.0
    config.eval.inference.dark_sigma = 1.0
    if choice.fast:
        _make_fast(config)
    if choice.debug:
        config.dataset.name = "faces_68"
        config.dataset.eval_split = "val"
        make_debug(config)
    return config


def _make_fast(config: ml_collections.ConfigDict) -> None:
    """From random weights on a CPU: small crops, decoded between their coarse cells."""
    config.dataset.augmentation.crop_size = (160, 160)
    config.dataset.augmentation.photometric = True
    config.eval.inference.decoding = "dark"
    config.eval.inference.flip = True
    config.model.norm_momentum = 0.1
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.05
    config.optimizer.decay_norms = False
    config.optimizer.ema_decay = 0.99
    config.schedule.name = "cosine"
    config.schedule.learning_rate = 2e-3
    config.schedule.warmup_steps = 100
    config.num_steps = 7000
    config.eval.every_steps = 1000
    config.checkpoint.every_steps = 500
