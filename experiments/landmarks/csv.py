"""Your own faces (or hands, or gauges) with your own points.

Put images into `my_set/images/` and the points into `my_set/landmarks.csv` (or
`train.csv`, `val.csv`, `test.csv`) with a header,
`image_name,left_eye_x,left_eye_y,nose_x,nose_y,...`; then

    python scripts/prepare_data.py --dataset=landmarks_csv --source=my_set \
        --data_dir=data --option flip_pairs=left_eye:right_eye
    python scripts/train.py --config=experiments/landmarks/csv.py \
        --workdir=runs/my_set

With `--name=my_faces` there it is `--config.dataset.name=my_faces` here, and
`--config.dataset.test_split=test` reports on a test table in the end. `predict.py`
finds faces; for hands or gauges give it `--boxes`.

`docs/data.md` tells about boxes, splits, visibility and other options; COCO key points
are prepared with `--dataset=landmarks_coco` and trained with
`--config.dataset.name=landmarks_coco`. Start from weights for faces where you can: any
checkpoint of another point set gives all but the head,
`--config.model.init_from=HR18-WFLW.pth`. Turn `flip` off where left and right cannot
be exchanged: `--config.dataset.augmentation.flip=False`.

Expected: depends on your data; `result.json` has `nme`, in percent of the box or of the
distance between the points that the preparation was told (`--option normalizer=...`).

Options: `variant` (`w18`), `debug` (seconds, to see that everything fits together).
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
    config.model.norm_momentum = 0.1
    config.dataset.name = "landmarks_csv"
    config.dataset.augmentation.shift = 0.05
    config.dataset.augmentation.photometric = True
    config.eval.inference.decoding = "dark"
    config.eval.inference.flip = True
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.05
    config.optimizer.decay_norms = False
    config.schedule.name = "cosine"
    config.schedule.learning_rate = 1e-3
    config.schedule.warmup_steps = 200
    config.num_epochs = 100
    if choice.debug:
        make_debug(config)
    return config
