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
from hrnet_jax.experiment.defaults import default_config, make_debug
from hrnet_jax.pretrained import HEAD_PATTERNS


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", modern=False, debug=False)
    variant = choice.variant or ("w18_small_v1" if choice.debug else "w18")
    config = default_config("landmarks")
    config.model.name = f"landmarks/{variant}"
    config.model.init_skip = HEAD_PATTERNS
    config.dataset.name = "wflw"
    config.dataset.eval_split = "test"
    if choice.modern:
        config.loss.name = "adaptive_wing"
        config.loss.foreground = 10.0
        config.eval.inference.decoding = "dark"
        config.eval.inference.flip = True
        config.optimizer.name = "adamw"
        config.optimizer.weight_decay = 0.01
        config.optimizer.decay_norms = False
        config.schedule.name = "cosine"
        config.schedule.learning_rate = 5e-4
        config.schedule.warmup_steps = 500
    if choice.debug:
        config.dataset.name = "faces_98"
        config.dataset.eval_split = "val"
        make_debug(config)
    return config
