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
times the loss of an auxiliary output, norm momentum 0.1, all else the same (branch
HRNet-OCR, `seg_hrnet_ocr_w48_train_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484.yaml`).

Options: `variant`, `ocr`, `ohem` (hard example mining), `debug`.
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.data.sources.cityscapes import CLASS_WEIGHTS
from hrnet_jax.experiment.defaults import default_config, make_debug
from hrnet_jax.pretrained import HEAD_PATTERNS


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", ocr=False, ohem=False, debug=False)
    variant = choice.variant or ("w18_small_v1" if choice.debug else "w48")
    config = default_config("segmentation")
    config.model.name = f"segmentation/{variant}{'_ocr' if choice.ocr else ''}"
    config.model.norm_momentum = 0.1 if choice.ocr else 0.01
    config.model.init_skip = HEAD_PATTERNS
    config.dataset.name = "cityscapes"
    config.dataset.augmentation.crop_size = (512, 1024)
    config.dataset.augmentation.base_size = 2048
    config.loss.name = "ohem" if choice.ohem else "cross_entropy"
    config.loss.class_weights = CLASS_WEIGHTS
    config.schedule.learning_rate = 0.01
    config.schedule.official_offset = True
    config.batch_size = 12
    config.num_epochs = 484
    config.eval.every_steps = 2000
    config.checkpoint.every_steps = 1000
    if choice.debug:
        config.dataset.augmentation.base_size = 256
        make_debug(config, crop_size=(64, 128))
    return config
