"""PASCAL VOC 2012 with the additional labels (SBD), 21 classes, as mmsegmentation.

    python scripts/prepare_data.py --dataset=voc2012 --source=VOC2012 --data_dir=data
    python scripts/train.py --config=experiments/segmentation/voc.py:variant=w48 \
        --config.model.init_from=hrnetv2_w48_imagenet_pretrained.pth \
        --workdir=runs/voc_w48

Expected `mean_iou` on the 1449 validation images, one scale, then multi-scale and
mirrored (published, not run here; mmsegmentation, `configs/hrnet` and
`configs/ocrnet`):

    variant       20000 steps     40000 steps     with ocr, 20000    with ocr, 40000
    w18_small_v2  65.20, 68.55    66.61, 70.00    71.70, 73.84       72.76, 74.60
    w18           72.30, 74.71    72.90, 75.59    74.75, 77.11       74.98, 77.40
    w48           75.87, 78.58    76.24, 78.49    77.72, 79.87       77.14, 79.71

Settings: scale 0.5 to 2.0 of what fits into 2048x512, crops of 512x512 that one class
does not fill to three quarters, photometric distortion, padding of the mean colour,
batch 16, SGD 0.01, momentum 0.9, weight decay 5e-4 on everything, poly 0.9 to 1e-4, norm
momentum 0.1, corners not aligned, no bias before norms. Whole images, one scale. Unlike
mmsegmentation's, OCR drops 5% of the channels before its classifier, as the official
one does.

Options: `variant`, `ocr` (object-contextual representations), `steps` (20000, 40000 or
any other), `debug` (seconds, on generated `shapes`).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.recipes import (
    make_debug_on_shapes,
    official_sgd_poly,
    segmenter,
)

# Of ImageNet, in grey levels, rounded.
MEAN_COLOUR = (124, 116, 104)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", ocr=False, steps=40_000, debug=False)
    config = experiment(
        "segmentation",
        segmenter(choice, norm_momentum=0.1, align_corners=False),
        official_sgd_poly(0.01),
        model={"options": {"head_bias": False}},
        dataset={
            "name": "voc2012",
            "train_split": "train_aug",
            "augmentation": {
                "crop_size": (512, 512),
                "base_size": 2048,
                "base_short_side": 512,
                "scale_max": 2.0,
                "scale_step": 0.0,
                "photometric": True,
                "cat_max_ratio": 0.75,
                "pad_color": MEAN_COLOUR,
            },
        },
        schedule={"min_learning_rate": 1e-4, "official_offset": False},
        batch_size=16,
        num_steps=choice.steps,
        eval={"every_steps": 4000, "batch_size": 1},
    )
    if choice.debug:
        make_debug_on_shapes(config)
    return config
