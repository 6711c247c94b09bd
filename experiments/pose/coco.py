"""COCO, 17 joints of persons.

    python scripts/prepare_data.py --dataset=coco_keypoints --source=coco --data_dir=data
    python scripts/train.py --config=experiments/pose/coco.py \
        --config.dataset.data_dir=data --workdir=runs/pose_coco \
        --config.model.init_from=hrnet_w32-36af842e.pth

Checkpoints are ranked by the persons' annotated boxes. Published figures are measured in
the boxes of one detector (person AP 56.4), about two points of AP lower:

    python scripts/evaluate.py --workdir=runs/pose_coco --split=val \
        --detections=COCO_val2017_detections_AP_H_56_person.json

Expected `AP` on val2017 in those boxes, with the flip test (README of
deep-high-resolution-net.pytorch, tables 1 and 12 of the paper); `score` is the
same as a fraction:

| variant | size | from | AP |
|---|---|---|---|
| w32 | 256x192 | ImageNet | 74.4 |
| w32 | 256x192 | random weights | 73.4 |
| w48 | 256x192 | ImageNet | 75.1 |
| w32 | 384x288 | ImageNet | 75.8 |
| w48 | 384x288 | ImageNet | 76.3 |

Joints are coded between the cells of the heatmaps, in which mmpose reports 75.7 for w32
and 76.4 for w48 at 256x192, 76.6 and 77.2 at 384x288; `official` codes them as the
published code does.

Options: `variant` (`w32`), `size` (`256x192` or `384x288`), `official` (crops, targets
and decoding as published, quirks included), `ohkm` (the 8 hardest joints of each person
count), `debug` (seconds, on generated persons: `prepare_data.py --dataset=figures
--name=figures_coco --data_dir=data`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.pose_recipes import (
    as_published,
    make_debug_on_figures,
    pose_network,
    published_pose,
)

SIZES = {"256x192": (256, 192), "384x288": (384, 288)}


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(
        options, variant="", size="256x192", official=False, ohkm=False, debug=False
    )
    if choice.size not in SIZES:
        raise ConfigError(
            f"unknown size {choice.size!r}; expected one of {', '.join(SIZES)}"
        )
    network = pose_network(choice, "w32")
    # What four GPUs held of the largest network.
    largest = network["model"]["name"].endswith("w48") and choice.size == "384x288"
    config = experiment(
        "pose",
        network,
        published_pose(SIZES[choice.size], batch_size=96 if largest else 128),
        as_published() if choice.official else {},
        dataset={"name": "coco_keypoints"},
        loss={"hardest": 8 if choice.ohkm else 0},
    )
    if choice.debug:
        make_debug_on_figures(config, "coco")
    return config
