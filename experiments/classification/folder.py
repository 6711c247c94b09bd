"""Your own photographs, one folder for each class.

    python scripts/prepare_data.py --dataset=classification_folder --source=my_photographs \
        --name=mine --data_dir=data
    python scripts/train.py --config=experiments/classification/folder.py \
        --config.dataset.name=mine --config.model.init_from=WEIGHTS --workdir=runs/mine

WEIGHTS: a file of ImageNet weights or a run of `imagenet.py`, of which all but the classes
is taken; worth far more than any option where there are only hundreds of photographs. A
list of images with labels, several for one image too: `--dataset=classification_csv`.

Expected: depends on the set; `result.json` has `top1`, `top5` and `mean_per_class`, of
images with several classes `mAP`. `scripts/evaluate.py --workdir=runs/mine --report=mistakes`
has the classes that are mixed up.

Options: `variant`, `epochs`, `debug` (seconds instead of an hour).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment, make_debug
from hrnet_jax.experiment.recipes import (
    adamw_cosine,
    from_imagenet,
    of_any_size,
    variant_of,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", epochs=40, debug=False)
    config = experiment(
        "classification",
        from_imagenet(f"classification/{variant_of(choice, 'w18')}"),
        adamw_cosine(5e-4, weight_decay=0.05, warmup_steps=200, ema_decay=0.998),
        of_any_size(),
        dataset={
            "name": "classification_folder",
            "augmentation": {"area": (0.25, 1.0)},
        },
        schedule={"reference_batch": 32},
        batch_size=32,
        num_epochs=choice.epochs,
        eval={"batch_size": 32},
    )
    if choice.debug:
        make_debug(config)
        config.eval.inference.update(short_side=64, crop=64)
    return config
