"""Your own photographs of persons, animals or things with joints, in COCO's format.

    python scripts/prepare_data.py --dataset=keypoints_coco --source=FOLDER --name=mine \
        --data_dir=data
    python scripts/train.py --config=experiments/pose/own.py \
        --config.dataset.name=mine --workdir=runs/mine --config.model.init_from=WEIGHTS

FOLDER holds images and one JSON of key points with any skeleton, or one for each split
(docs/data.md). WEIGHTS: a pose network of other joints, of which all but the head is
taken, or an ImageNet file. With few photographs that is worth more than all else.

Crops are 256 rows high and 192 wide, for what stands upright: set
`dataset.augmentation.crop_size` to the shape of your boxes, and `flip` off where left and
right cannot be exchanged. Half-body crops need joints whose names tell the lower half.

Expected: depends on your data; `result.json` has `score`: AP (0 to 1) where sigmas of
the joints are known, otherwise PCK in percent.

Options: `variant` (`w18`), `debug` (seconds, to check the whole run).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment, make_debug
from hrnet_jax.experiment.pose_recipes import pose_network
from hrnet_jax.experiment.recipes import adamw_cosine, dark_and_flip, of_any_size


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", debug=False)
    config = experiment(
        "pose",
        pose_network(choice, "w18"),
        adamw_cosine(1e-3, weight_decay=0.05, warmup_steps=200),
        of_any_size(),
        dark_and_flip(),
        dataset={
            "name": "keypoints_coco",
            # Boxes that a detector finds are never as exact as annotated ones.
            "augmentation": {"shift": 0.05, "photometric": True},
        },
        batch_size=16,
        num_epochs=100,
        eval={"batch_size": 16},
    )
    if choice.debug:
        make_debug(config)
    return config
