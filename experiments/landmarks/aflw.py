"""AFLW, 19 facial landmarks.

    python scripts/prepare_data.py --dataset=aflw --source=AFLW --data_dir=data
    python scripts/train.py --config=experiments/landmarks/aflw.py \
        --config.dataset.data_dir=data --workdir=runs/aflw \
        --config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth

`scripts/evaluate.py --workdir=runs/aflw --split=test,frontal` reports on frontal faces,
too.

Expected `nme` (percent of the size of the face box): 1.57 test, 1.46 frontal (published,
README of HRNet-Facial-Landmark-Detection).

Options: `variant` (`w18`), `debug` (seconds, on generated faces:
`prepare_data.py --dataset=faces --option=num_points=19 --name=faces_19 --data_dir=data`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import default_config, make_debug
from hrnet_jax.pretrained import HEAD_PATTERNS


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", debug=False)
    variant = choice.variant or ("w18_small_v1" if choice.debug else "w18")
    config = default_config("landmarks")
    config.model.name = f"landmarks/{variant}"
    config.model.init_skip = HEAD_PATTERNS
    config.dataset.name = "aflw"
    config.dataset.eval_split = "test"
    config.schedule.learning_rate = 2e-4
    if choice.debug:
        config.dataset.name = "faces_19"
        config.dataset.eval_split = "val"
        make_debug(config)
    return config
