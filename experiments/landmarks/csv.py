"""Your own faces (or hands, or gauges) with your own points.

Put images into `my_set/images/` and the points into `my_set/landmarks.csv` (or
`train.csv`, `val.csv`, `test.csv`) with a header,
`image_name,left_eye_x,left_eye_y,nose_x,nose_y,...`; then

    python scripts/prepare_data.py --dataset=landmarks_csv --source=my_set \
        --data_dir=data --option flip_pairs=left_eye:right_eye
    python scripts/train.py --config=experiments/landmarks/csv.py \
        --workdir=runs/my_set

If prepared with `--name=my_faces`, train with `--config.dataset.name=my_faces`;
`--config.dataset.test_split=test` also reports on a test table. `predict.py`
finds faces; for hands or gauges give it `--boxes`.

`docs/data.md` describes boxes, splits, visibility and other options; COCO key points
are prepared with `--dataset=landmarks_coco` and trained with
`--config.dataset.name=landmarks_coco`. Start from weights for faces where you can: any
checkpoint of another point set provides all but the head,
`--config.model.init_from=HR18-WFLW.pth`. Turn `flip` off where left and right cannot
be exchanged: `--config.dataset.augmentation.flip=False`.

Expected: depends on your data; `result.json` has `nme`, in percent of the box or of the
distance between the points given at preparation (`--option normalizer=...`).

Options: `variant` (`w18`), `debug` (seconds, to check the whole run).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment, make_debug
from hrnet_jax.experiment.recipes import (
    adamw_cosine,
    dark_and_flip,
    from_imagenet,
    of_any_size,
    variant_of,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", debug=False)
    config = experiment(
        "landmarks",
        from_imagenet(f"landmarks/{variant_of(choice, 'w18')}", norm_momentum=0.1),
        adamw_cosine(1e-3, weight_decay=0.05, warmup_steps=200),
        of_any_size(),
        dark_and_flip(),
        dataset={
            "name": "landmarks_csv",
            "augmentation": {"shift": 0.05, "photometric": True},
        },
        num_epochs=100,
    )
    if choice.debug:
        make_debug(config)
    return config
