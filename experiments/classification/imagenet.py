"""ImageNet-1k, 1000 classes: the weights that every other task starts from.

    python scripts/prepare_data.py --dataset=imagenet --source=ILSVRC2012 --data_dir=data
    python scripts/train.py --config=experiments/classification/imagenet.py:variant=w18 \
        --workdir=runs/imagenet_w18

The work directory is what other tasks are given: `--config.model.init_from=runs/imagenet_w18`.

Expected `top1` (`top5`) on the 50000 validation images, 256 pixels, crop 224, in percent,
published and not run here:

    variant        step100        cosine300   as timm measures the released weights
    w18_small_v1   72.3 (90.7)                72.34 (90.69)
    w18_small_v2   75.1 (92.4)                75.09 (92.41)
    w18            76.8 (93.4)    77.9        76.77 (93.45); cosine300, crop 0.95: 78.11
    w30            78.2 (94.2)                78.20 (94.22)
    w32            78.5 (94.2)                78.45 (94.18)
    w40            78.9 (94.5)                78.93 (94.48)
    w44            78.9 (94.4)                78.89 (94.38)
    w48            79.3 (94.5)    81.1        79.33 (94.52)
    w64            79.5 (94.6)                79.46 (94.65)

Source: README of HRNet-Image-Classification (errors there); timm's `results-imagenet.csv`.

`recipe=step100` is the published one: SGD with Nesterov's momentum 0.9, weight decay 1e-4
on everything, 0.1 for batches of 256 (0.05 for 128), a tenth after epochs 30, 60 and 90 of
100, crops and flips alone, statistics of 32 images each, as on one GPU. Of `cosine300` is
published that it has a cosine, CutMix and 300 epochs; the rest is ours: the settings above,
and half of the batches mixed by CutMix with areas of Beta(1, 1). `strong` is in no HRNet
paper and has no published figure: 300 epochs, cosine, RandAugment (2 operations of magnitude
9), MixUp 0.2 or CutMix 1, label smoothing 0.1, an average of the weights.

Options: `variant`, `recipe` (`step100`, `cosine300`, `strong`), `debug` (seconds instead of
days, on the generated set `shapes_classes`).
"""

from typing import Any

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import experiment, make_debug, update
from hrnet_jax.experiment.recipes import variant_of

BATCH = 256
# Of each GPU in the official code, whose norms know no others.
IMAGES_OF_A_GPU = 32

_SGD: dict[str, Any] = {
    "batch_size": BATCH,
    "optimizer": {
        "name": "sgd",
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 1e-4,
        "decay_norms": True,
        "decay_biases": True,
    },
    "model": {"norm_groups": BATCH // IMAGES_OF_A_GPU},
}
_COSINE: dict[str, Any] = {
    "num_epochs": 300,
    "schedule": {"name": "cosine", "learning_rate": 0.1, "reference_batch": BATCH},
}
RECIPES: dict[str, tuple[dict[str, Any], ...]] = {
    "step100": (
        _SGD,
        {
            "num_epochs": 100,
            "schedule": {
                "name": "step",
                "learning_rate": 0.1,
                "reference_batch": BATCH,
                "boundaries": (0.3, 0.6, 0.9),
                "decay": 0.1,
            },
        },
    ),
    "cosine300": (
        _SGD,
        _COSINE,
        {"loss": {"cutmix": 1.0, "mix_probability": 0.5}},
    ),
    "strong": (
        _SGD,
        _COSINE,
        {
            # Of all devices, which costs an exchange and gives better averages.
            "model": {"norm_groups": 1},
            "dataset": {
                "augmentation": {"rand_augment": {"number": 2, "magnitude": 9.0}}
            },
            "loss": {
                "mixup": 0.2,
                "cutmix": 1.0,
                "mix_probability": 1.0,
                "label_smoothing": 0.1,
            },
            "optimizer": {"ema_decay": 0.9999},
        },
    ),
}


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", recipe="step100", debug=False)
    if choice.recipe not in RECIPES:
        raise ConfigError(
            f"unknown recipe {choice.recipe!r}; expected one of {', '.join(RECIPES)}"
        )
    config = experiment(
        "classification",
        *RECIPES[choice.recipe],
        model={"name": f"classification/{variant_of(choice, 'w18')}"},
        dataset={"name": "imagenet"},
        precision="bfloat16",
        eval={"every_epochs": 1, "batch_size": BATCH},
        checkpoint={"every_minutes": 15.0},
    )
    if choice.debug:
        make_debug(config)
        update(
            config,
            {
                "dataset": {"name": "shapes_classes"},
                "eval": {"inference": {"short_side": 64, "crop": 64}},
            },
        )
    return config
