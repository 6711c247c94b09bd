"""COCO-Stuff, 171 classes of things and stuff, the official recipe of HRNet-OCR.

    python scripts/prepare_data.py --dataset=coco_stuff_10k --source=COCO_STUFF \
        --data_dir=data
    python scripts/train.py \
        --config=experiments/segmentation/coco_stuff.py:variant=w48 \
        --config.model.init_from=hrnetv2_w48_imagenet_pretrained.pth \
        --workdir=runs/coco_stuff_w48

Expected `mean_iou` on the 1000 validation images of the set of 10000, one scale and not
mirrored, then multi-scale and mirrored (published, not run here): w48 36.2, 37.9; with
`ocr` 39.7, 40.6 (README of branch HRNet-OCR). For `images=164k` HRNet has no published
figure.

Settings: the short side is resized to 520 first, then the long side to 520 times 0.5
to 2.1, crops of 520x520, hard example mining, batch 16, SGD 0.001, heads at ten times
that, momentum 0.9, weight decay 1e-4 on everything, poly 0.9, 110 epochs, norm momentum
0.1, aligned corners. With `ocr` the auxiliary loss has the mean of the official code
(`loss.official_aux_mean`). As published, the checkpoint is chosen by the first 200
validation images; evaluated in windows of 520x520, whose exponentials are added, and
mirrored.

Options: `variant`, `ocr` (object-contextual representations), `ohem=false` (plain
cross-entropy), `images` (`10k`, `164k`), `debug` (seconds, on generated `shapes`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.recipes import (
    make_debug_on_shapes,
    official_sgd_poly,
    published_ohem,
    published_windows,
    segmenter,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(
        options, variant="", ocr=False, ohem=True, images="10k", debug=False
    )
    if choice.images not in ("10k", "164k"):
        raise ConfigError(f"option images must be 10k or 164k, got {choice.images}")
    config = experiment(
        "segmentation",
        segmenter(choice, norm_momentum=0.1, align_corners=True),
        official_sgd_poly(0.001, weight_decay=1e-4, head_rate=10.0),
        published_ohem(choice),
        published_windows(520, short_side=520),
        dataset={
            "name": f"coco_stuff_{choice.images}",
            "eval_split": "val[:200]",
            "test_split": "val",
            "augmentation": {
                "crop_size": (520, 520),
                "short_side": 520,
                "base_size": 520,
            },
        },
        batch_size=16,
        num_epochs=110,
        eval={"every_epochs": 5, "batch_size": 1},
    )
    if choice.debug:
        make_debug_on_shapes(config)
    return config
