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
measures exactly as there). `fast`: see docs/results.md.

Options: `variant` (`w18`), `fast`, `debug` (seconds, on generated faces:
`prepare_data.py --dataset=faces --name=faces_68 --data_dir=data`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.recipes import (
    adamw_cosine,
    dark_and_flip,
    from_imagenet,
    make_debug_on_faces,
    variant_of,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", fast=False, debug=False)
    # From random weights on a CPU: small crops, decoded between their coarse cells.
    fast = (
        adamw_cosine(2e-3, weight_decay=0.05, warmup_steps=100, ema_decay=0.99),
        dark_and_flip(),
        {
            "model": {"norm_momentum": 0.1},
            "dataset": {"augmentation": {"crop_size": (160, 160), "photometric": True}},
            "num_steps": 7000,
            "eval": {"every_steps": 1000},
            "checkpoint": {"every_steps": 500},
        },
    )
    config = experiment(
        "landmarks",
        from_imagenet(f"landmarks/{variant_of(choice, 'w18')}"),
        *(fast if choice.fast else ()),
        dataset={"name": "w300", "eval_split": "common"},
        loss={"sigma": 1.0},
        eval={"inference": {"dark_sigma": 1.0}},
    )
    if choice.debug:
        make_debug_on_faces(config, 68)
    return config
