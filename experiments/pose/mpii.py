"""MPII, 16 joints of persons.

    python scripts/prepare_data.py --dataset=mpii --source=mpii --data_dir=data
    python scripts/train.py --config=experiments/pose/mpii.py \
        --config.dataset.data_dir=data --workdir=runs/pose_mpii \
        --config.model.init_from=hrnet_w32-36af842e.pth

Expected `pckh@0.5` on the validation set, with the flip test (README of
deep-high-resolution-net.pytorch): 90.3 for w32; head 97.1, shoulder 95.9, elbow 90.3,
wrist 86.4, hip 89.1, knee 87.1, ankle 83.3. Its `Mean@0.1` of 37.7 is at a threshold of
0.11. mmpose reports 90.4 for w32 with DARK, as joints are coded here. `score` is the
same as `pckh@0.5`.

Options: `variant` (`w32`), `official` (crops, targets and decoding as published, quirks
included), `debug` (seconds, on generated persons: `prepare_data.py --dataset=figures
--option=joints=mpii --name=figures_mpii --data_dir=data`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.pose_recipes import (
    as_published,
    make_debug_on_figures,
    pose_network,
    published_pose,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", official=False, debug=False)
    config = experiment(
        "pose",
        pose_network(choice, "w32"),
        published_pose((256, 256), scale=0.25, rotation=30.0, half_body=0.0),
        as_published() if choice.official else {},
        dataset={"name": "mpii"},
    )
    if choice.debug:
        make_debug_on_figures(config, "mpii")
    return config
