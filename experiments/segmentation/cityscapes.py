"""Cityscapes, 19 classes, the official recipe.

    python scripts/prepare_data.py --dataset=cityscapes --source=CITYSCAPES \
        --data_dir=data
    python scripts/train.py \
        --config=experiments/segmentation/cityscapes.py:variant=w48 \
        --config.model.init_from=hrnetv2_w48_imagenet_pretrained.pth \
        --workdir=runs/cityscapes_w48

Expected `mean_iou` on the 500 validation images, single scale, from ImageNet
weights (published, not run here): w48 81.1, w18_small_v2 76.2, w18_small_v1
70.3 (HRNet-Semantic-Segmentation, README of pytorch-v1.1); w48 with `ocr` 81.6,
where w48 alone has 80.9 (README of branch HRNet-OCR).

Settings: crops of 512x1024, scale 0.5 to 2.1, batch 12, SGD 0.01, momentum 0.9,
weight decay 5e-4 on everything, poly 0.9, 484 epochs, class weights, norm
momentum 0.01. Where devices do not divide 12, set batch_size and the learning
rate in proportion.

With `ocr` (`:variant=w48,ocr`) the model is `segmentation/<variant>_ocr`, HRNet
with object-contextual representations (Yuan et al. 2020): aligned corners, 0.4
times the loss of an auxiliary output, norm momentum 0.1, otherwise the same (branch
HRNet-OCR, `seg_hrnet_ocr_w48_train_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484.yaml`).

Options: `variant`, `ocr`, `ohem` (hard example mining), `debug`.
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.data.sources.cityscapes import CLASS_WEIGHTS
from hrnet_jax.experiment.defaults import experiment, make_debug
from hrnet_jax.experiment.recipes import (
    from_imagenet,
    official_sgd_poly,
    variant_of,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", ocr=False, ohem=False, debug=False)
    head, norm_momentum = ("_ocr", 0.1) if choice.ocr else ("", 0.01)
    config = experiment(
        "segmentation",
        from_imagenet(f"segmentation/{variant_of(choice, 'w48')}{head}", norm_momentum),
        official_sgd_poly(0.01),
        dataset={
            "name": "cityscapes",
            "augmentation": {"crop_size": (512, 1024), "base_size": 2048},
        },
        loss={
            "name": "ohem" if choice.ohem else "cross_entropy",
            "class_weights": CLASS_WEIGHTS,
        },
        batch_size=12,
        num_epochs=484,
        eval={"every_steps": 2000},
        checkpoint={"every_steps": 1000},
    )
    if choice.debug:
        config.dataset.augmentation.base_size = 256
        make_debug(config, crop_size=(64, 128))
    return config
