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
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.recipes import (
    from_imagenet,
    make_debug_on_faces,
    variant_of,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", debug=False)
    config = experiment(
        "landmarks",
        from_imagenet(f"landmarks/{variant_of(choice, 'w18')}"),
        dataset={"name": "aflw", "eval_split": "test"},
        schedule={"learning_rate": 2e-4},
    )
    if choice.debug:
        make_debug_on_faces(config, 19)
    return config
