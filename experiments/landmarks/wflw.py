"""WFLW, 98 facial landmarks.

    python scripts/prepare_data.py --dataset=wflw --source=WFLW --data_dir=data
    python scripts/train.py --config=experiments/landmarks/wflw.py \
        --config.dataset.data_dir=data --workdir=runs/wflw \
        --config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth

`scripts/evaluate.py --workdir=runs/wflw
--split=test,pose,expression,illumination,make_up,occlusion,blur` reports on the six
subsets.

Expected `nme` (percent of the inter-ocular distance): 4.60 test, 7.86 pose, 4.78
expression, 4.57 illumination, 4.26 make-up, 5.42 occlusion, 5.36 blur (published,
README of HRNet-Facial-Landmark-Detection). With `modern` mmpose reports 3.98 on test for
its recipe with DARK, from ImageNet weights.

Options: `variant` (`w18`), `modern` (AdamW with a cosine, the adaptive wing loss, DARK and
the flip test instead of the paper's recipe), `debug` (seconds, on generated faces:
`prepare_data.py --dataset=faces --option=num_points=98 --name=faces_98
--data_dir=data`).
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
    choice = parse_options(options, variant="", modern=False, debug=False)
    modern = (
        adamw_cosine(5e-4, weight_decay=0.01, warmup_steps=500),
        dark_and_flip(),
        {"loss": {"name": "adaptive_wing", "foreground": 10.0}},
    )
    config = experiment(
        "landmarks",
        from_imagenet(f"landmarks/{variant_of(choice, 'w18')}"),
        *(modern if choice.modern else ()),
        dataset={"name": "wflw", "eval_split": "test"},
    )
    if choice.debug:
        make_debug_on_faces(config, 98)
    return config
