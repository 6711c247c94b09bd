"""Leeds Sports Pose Extended, 14 joints, from random weights on a CPU.

    python scripts/prepare_data.py --dataset=lsp --source=lspet --name=lspet \
        --data_dir=data
    python scripts/train.py --config=experiments/pose/lspet.py \
        --config.dataset.data_dir=data --workdir=runs/lspet

A small variant on crops of 128x128, AdamW with a cosine, 7000 steps of 16 persons: less
than an hour of one core. The joints were marked by many people and are noisy.

Expected: no published figure for such a subset. `score` is PCK at 0.2 of the longer side
of the box, in percent: 74.4 on 120 persons, and 76.4 from the weights of
experiments/classification/imagenette.py (`--config.model.init_from=runs/imagenette`).
The mean posture in each box gives 28.4.

Options: `variant` (`w18_small_v1`), `debug` (seconds, on generated persons:
`prepare_data.py --dataset=figures --option=joints=lsp --name=figures_lsp
--data_dir=data`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.pose_recipes import make_debug_on_figures, pose_network
from hrnet_jax.experiment.recipes import CPU_VARIANT, adamw_cosine, dark_and_flip


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", debug=False)
    config = experiment(
        "pose",
        pose_network(choice, CPU_VARIANT),
        adamw_cosine(2e-3, weight_decay=0.05, warmup_steps=100, ema_decay=0.99),
        dark_and_flip(),
        dataset={
            "name": "lspet",
            "augmentation": {
                "crop_size": (128, 128),
                "photometric": True,
                # Athletes are upside down often enough.
                "rotation": 40.0,
            },
        },
        loss={"sigma": 1.5},
        batch_size=16,
        num_steps=7000,
        eval={"every_steps": 1000, "batch_size": 24, "inference": {"dark_sigma": 1.5}},
        checkpoint={"every_steps": 500},
    )
    if choice.debug:
        make_debug_on_figures(config, "lsp")
    return config
