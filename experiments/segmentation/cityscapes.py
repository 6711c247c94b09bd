"""Cityscapes, 19 classes, the official recipe.

    python scripts/prepare_data.py --dataset=cityscapes --source=CITYSCAPES \
        --data_dir=data
    python scripts/train.py \
        --config=experiments/segmentation/cityscapes.py:variant=w48 \
        --config.model.init_from=hrnetv2_w48_imagenet_pretrained.pth \
        --workdir=runs/cityscapes_w48

Expected `mean_iou` on the 500 validation images, single scale, from ImageNet
weights (published, not run here):

    variant       mean_iou   source
    w18_small_v1  70.3       HRNet-Semantic-Segmentation, README of pytorch-v1.1
    w18_small_v2  76.2       the same
    w18           79.5       figure 10(a) of the paper; `v1` 78.5, `v1h` 79.1
    w30           -          not published
    w40           80.2       paper, table 3
    w48           81.1       paper, table 3, and pytorch-v1.1; `v1` and `v1h` 81.0
    w48, ohem     81.2       README of master, which has 80.9 without
    w48, ocr      81.6       README of HRNet-OCR, where w48 alone has 80.9

Figures of representations are read off the plot, to about 0.1. On the test images, for
the server, multi-scale and mirrored: w48 80.4 (paper, table 4), with `trainval` 81.6
(master: 81.5, with `ohem` 81.9); with `ocr,trainval` 82.5 (HRNet-OCR: 82.3).

Settings: crops of 512x1024, scale 0.5 to 2.1, batch 12, SGD 0.01, momentum 0.9,
weight decay 5e-4 on everything, poly 0.9, 484 epochs, class weights, norm
momentum 0.01. Where devices do not divide 12, set batch_size and the learning
rate in proportion.

With `ocr` (`:variant=w48,ocr`) the model is `segmentation/<variant>_ocr`, HRNet
with object-contextual representations (Yuan et al. 2020): aligned corners, 0.4
times the loss of an auxiliary output, norm momentum 0.1, otherwise the same (branch
HRNet-OCR, `seg_hrnet_ocr_w48_train_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484.yaml`).

With `trainval` the validation images are trained on as well: after the 484 epochs 484
further ones on both splits, from a rate of 0.001, with weights and momentum as they are
(`extra.*`); with `ocr` 484 epochs on both splits alone. Metrics on validation images then
rank no checkpoints; take the last one (`--step=latest`).

Options: `variant`, `ocr`, `ohem` (hard example mining), `representation` (`v1`, `v1h`
or `v2`; not with `ocr`), `trainval`, `debug` (seconds instead of days).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.data.sources.cityscapes import CLASS_WEIGHTS
from hrnet_jax.experiment.defaults import experiment, make_debug, update
from hrnet_jax.experiment.recipes import (
    official_sgd_poly,
    published_ohem,
    segmenter,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(
        options,
        variant="",
        ocr=False,
        ohem=False,
        representation="",
        trainval=False,
        debug=False,
    )
    config = experiment(
        "segmentation",
        segmenter(choice, norm_momentum=0.1 if choice.ocr else 0.01),
        official_sgd_poly(0.01),
        published_ohem(choice),
        dataset={
            "name": "cityscapes",
            "augmentation": {"crop_size": (512, 1024), "base_size": 2048},
        },
        loss={"class_weights": CLASS_WEIGHTS},
        batch_size=12,
        num_epochs=484,
        eval={"every_steps": 2000},
        checkpoint={"every_steps": 1000},
    )
    if choice.trainval and choice.ocr:
        config.dataset.train_split = "trainval"
    elif choice.trainval:
        extra = {"split": "trainval", "learning_rate": 0.001, "num_epochs": 484}
        update(config, {"extra": extra})
    if choice.debug:
        config.dataset.augmentation.base_size = 256
        make_debug(config, crop_size=(64, 128))
    return config
