"""ADE20K (scene parsing), 150 classes, the official recipe of branch HRNet-OCR.

    python scripts/prepare_data.py --dataset=ade20k --source=ADEChallengeData2016 \
        --data_dir=data
    python scripts/train.py --config=experiments/segmentation/ade20k.py:variant=w48 \
        --config.model.init_from=hrnetv2_w48_imagenet_pretrained.pth \
        --workdir=runs/ade20k_w48

Expected `mean_iou` on the 2000 validation images, one scale and not mirrored, then
multi-scale and mirrored (published, not run here): w48 43.1, 44.2; with `ocr` 44.5,
45.5 (README of branch HRNet-OCR). mmsegmentation, 160000 steps: w48 42.02, 43.86; with
OCR 43.25, 44.88.

Settings: the short side is resized to 520 first, then the long side to 520 times 0.5
to 1.6 (with `ocr` 2.1), crops of 520x520, hard example mining, batch 16, SGD 0.02,
momentum 0.9, weight decay 1e-4 on everything, poly 0.9, 120 epochs, norm momentum 0.1,
aligned corners. With `ocr` the auxiliary loss has the mean of the official code
(`loss.official_aux_mean`). As published, the checkpoint is chosen by the first 200
validation images; evaluated in windows of 520x520, whose exponentials are added, and
mirrored.

Options: `variant`, `ocr` (object-contextual representations), `ohem=false` (plain
cross-entropy), `debug` (seconds, on generated `shapes`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
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
    choice = parse_options(options, variant="", ocr=False, ohem=True, debug=False)
    config = experiment(
        "segmentation",
        segmenter(choice, norm_momentum=0.1, align_corners=True),
        official_sgd_poly(0.02, weight_decay=1e-4),
        published_ohem(choice),
        published_windows(520, short_side=520, keeps_padding=True),
        dataset={
            "name": "ade20k",
            "eval_split": "val[:200]",
            "test_split": "val",
            "augmentation": {
                "crop_size": (520, 520),
                "short_side": 520,
                "base_size": 520,
                "scale_max": 2.1 if choice.ocr else 1.6,
            },
        },
        batch_size=16,
        num_epochs=120,
        eval={"every_epochs": 5, "batch_size": 1},
    )
    if choice.debug:
        make_debug_on_shapes(config)
    return config
