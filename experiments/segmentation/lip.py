"""LIP, 20 classes of clothes and parts of the body, the official recipe.

    python scripts/prepare_data.py --dataset=lip --source=LIP --data_dir=data
    python scripts/train.py --config=experiments/segmentation/lip.py:variant=w48 \
        --config.model.init_from=hrnetv2_w48_imagenet_pretrained.pth \
        --workdir=runs/lip_w48

Expected on the 10000 validation images, single scale, averaged over image and mirror
image (published, not run here), `mean_iou`: w48 55.90 with pixel accuracy 88.21 and
mean accuracy 67.43 (paper, table 6; 56.04, 55.8 and 55.83 in the READMEs of master,
pytorch-v1.1 and HRNet-OCR); with `ocr` 56.48, 88.24 and 67.84 (paper, and README of
branch HRNet-OCR, only with PyTorch 0.4.1).

Settings: mirrored first, left and right swapped; then resized to 473x473 whatever the
shape; then scale 0.5 to 1.6 and crops of 473x473. Batch 40, SGD 0.007, momentum 0.9,
weight decay 5e-4 on everything, poly 0.9, 150 epochs. Norm momentum 0.01, with `ocr`
0.1 and aligned corners. As published, the checkpoint is chosen by the first 2000
validation images. Tested as published: images are resized to 473x473 as well, labels
are of their own size.

Options: `variant`, `ocr` (object-contextual representations), `debug` (seconds, on
generated `shapes`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.recipes import (
    make_debug_on_shapes,
    official_sgd_poly,
    segmenter,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", ocr=False, debug=False)
    config = experiment(
        "segmentation",
        segmenter(choice, norm_momentum=0.1 if choice.ocr else 0.01),
        official_sgd_poly(0.007),
        dataset={
            "name": "lip",
            "eval_split": "val[:2000]",
            "test_split": "val",
            "augmentation": {
                "crop_size": (473, 473),
                "flip_first": True,
                "resize_to": (473, 473),
                "base_size": 473,
                "scale_max": 1.6,
            },
        },
        batch_size=40,
        num_epochs=150,
        eval={
            "every_epochs": 5,
            "inference": {"flip": True, "image_size": (473, 473), "fusion": "exp"},
        },
    )
    if choice.debug:
        make_debug_on_shapes(config)
    return config
