"""PASCAL-Context, 59 or 60 classes, the official recipe.

    python scripts/prepare_data.py --dataset=pascal_context_59 --source=PASCAL_CONTEXT \
        --data_dir=data
    python scripts/train.py \
        --config=experiments/segmentation/pascal_context.py:variant=w48 \
        --config.model.init_from=hrnetv2_w48_imagenet_pretrained.pth \
        --workdir=runs/pascal_context_w48

Expected `mean_iou` on the 5105 validation images, multi-scale and mirrored (published,
not run here):

    classes  w48                              w48 with ocr
    59       54.0 (paper; READMEs: 54.1)      56.2
    60       48.3                             50.1

Sources: paper, table 5, with six scales; READMEs of master and HRNet-OCR, with seven.
Representations, read off figure 10(a) of the paper to about 0.1: w18 47.2 (`v1`), 47.4
(`v1h`), 49.5 (`v2`); w48 52.6, 52.9, 54.0. mmsegmentation, 80000 steps, one scale and
multi-scale: 59 classes 51.12, 53.56; 60 classes 45.84, 47.84.

Settings: long side 520 times 0.5 to 2.1, crops of 480x480, batch 16, SGD 0.004,
momentum 0.9, weight decay 1e-4 on everything, poly 0.9, 200 epochs, norm momentum 0.01
(branch pytorch-v1.1). With `ocr` (branch HRNet-OCR): the short side is resized to 520
first, crops of 520x520, rate 0.001, heads at ten times that, norm momentum 0.1,
aligned corners. Evaluated, as published, in windows of the size of the crop, whose
exponentials are added, and mirrored.

Options: `variant`, `ocr` (object-contextual representations), `classes` (59, or 60
with the background), `representation` (`v1`, `v1h` or `v2`; not with `ocr`), `debug`
(seconds, on generated `shapes`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.recipes import (
    make_debug_on_shapes,
    official_sgd_poly,
    published_windows,
    segmenter,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(
        options, variant="", ocr=False, classes=59, representation="", debug=False
    )
    if choice.classes not in (59, 60):
        raise ConfigError(f"option classes must be 59 or 60, got {choice.classes}")
    side = 520 if choice.ocr else 480
    optimizer = (
        official_sgd_poly(0.001, weight_decay=1e-4, head_rate=10.0)
        if choice.ocr
        else official_sgd_poly(0.004, weight_decay=1e-4)
    )
    config = experiment(
        "segmentation",
        segmenter(choice, norm_momentum=0.1 if choice.ocr else 0.01),
        optimizer,
        published_windows(side, short_side=520 if choice.ocr else 0),
        dataset={
            "name": f"pascal_context_{choice.classes}",
            "augmentation": {
                "crop_size": (side, side),
                "short_side": 520 if choice.ocr else 0,
                "base_size": 520,
            },
        },
        batch_size=16,
        num_epochs=200,
        eval={"every_epochs": 10},
    )
    if choice.debug:
        make_debug_on_shapes(config)
    return config
