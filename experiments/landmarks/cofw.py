"""COFW, 29 facial landmarks, many of them hidden.

    python scripts/prepare_data.py --dataset=cofw --source=COFW --data_dir=data
    python scripts/train.py --config=experiments/landmarks/cofw.py \
        --config.dataset.data_dir=data --workdir=runs/cofw \
        --config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth

The source folder has `COFW_train_color.mat` and `COFW_test_color.mat`. Hidden points are
learned like all others, as in the paper; `--config.loss.hidden=mask` leaves them out.

Expected `nme` (percent of the inter-ocular distance): 3.45, `failure_rate_percent/0.10`
0.19 (published, README of HRNet-Facial-Landmark-Detection and Table 22 of the paper).

Options: `variant` (`w18`), `debug` (seconds, on generated faces:
`prepare_data.py --dataset=faces --option=num_points=29 --name=faces_29 --data_dir=data`).
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
        dataset={"name": "cofw", "eval_split": "test"},
    )
    if choice.debug:
        make_debug_on_faces(config, 29)
    return config
