"""Your own photographs with boxes (and masks), from one COCO JSON and a folder of images.

    python scripts/prepare_data.py --dataset=detection_coco --name=mine --source=FOLDER \
        --data_dir=data
    python scripts/train.py --config=experiments/detection/own.py \
        --config.dataset.name=mine --config.model.init_from=WEIGHTS --workdir=runs/mine

WEIGHTS: a detector of mmdetection trained on COCO, of which all but the classes is
taken, or an ImageNet file. Photographs of any size; both sides are brought to at most
`dataset.augmentation.scales`. Pascal VOC and YOLO files: `--dataset=voc`, `yolo`.

Expected: depends on the set; `AP` of a few hundred photographs with weights of COCO is
near its final value after a third of the epochs.

Options: `detector` (`faster_rcnn`, `mask_rcnn` where all objects have masks,
`cascade_rcnn`, `cascade_mask_rcnn`, `fcos`), `variant`, `epochs`, `debug` (seconds
instead of hours).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment
from hrnet_jax.experiment.recipes import (
    adamw_cosine,
    from_imagenet,
    make_debug_detector,
    variant_of,
)


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(
        options, detector="faster_rcnn", variant="", epochs=24, debug=False
    )
    config = experiment(
        "detection",
        adamw_cosine(1e-4, weight_decay=0.05, warmup_steps=200),
        from_imagenet(f"detection/{choice.detector}_{variant_of(choice, 'w18')}"),
        {"schedule": {"warmup_limit": 0.1}, "optimizer": {"clip_norm": 10.0}},
        dataset={
            "name": "detection_coco",
            "augmentation": {
                "scales": ((1333, 640), (1333, 800)),
                "scale_mode": "range",
                "photometric": True,
            },
        },
        batch_size=4,
        num_epochs=choice.epochs,
        eval={"least": 10},
    )
    if choice.debug:
        make_debug_detector(config)
    return config
