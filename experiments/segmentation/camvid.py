"""CamVid, 11 classes, 480x360, from random weights.

    python scripts/prepare_data.py --dataset=camvid --source=CamVid --data_dir=data
    python scripts/train.py \
        --config=experiments/segmentation/camvid.py:variant=w18_small_v1 \
        --config.dataset.data_dir=data --workdir=runs/camvid

Trains on the 367 training images, picks the checkpoint by the 101 validation
images and reports on the 233 test images. `w18_small_v1` is sized for an hour of
one CPU core (`taskset -c 0`); larger variants run long enough for an accelerator.

    python scripts/evaluate.py --workdir=runs/camvid \
        --config.eval.inference.flip=true --config.eval.inference.scales=1,1.25,1.5

Expected test `mean_iou` 0.519, and 0.543 with the second command. For comparison,
from scratch at this resolution: FC-DenseNet103 0.669 (Jegou et al. 2017).

Options: `variant`, `debug` (seconds instead of hours).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment, make_debug, update
from hrnet_jax.experiment.recipes import CPU_VARIANT, adamw, from_imagenet

# Cube roots of the median-frequency weights of SegNet (Badrinarayanan et al.
# 2017): rare classes count more, but far less than in proportion. With square
# roots, thin signs take pixels of the buildings behind them.
CLASS_WEIGHTS = (
    0.64,  # Sky
    0.57,  # Building
    1.66,  # Pole
    0.52,  # Road
    0.97,  # Pavement
    0.73,  # Tree
    2.13,  # SignSymbol
    1.23,  # Fence
    0.88,  # Car
    1.84,  # Pedestrian
    1.94,  # Bicyclist
)

# What changes where there is time for a larger variant.
ACCELERATOR = {
    "num_steps": 20_000,
    "dataset": {"augmentation": {"crop_size": (360, 480), "scale_min": 0.5}},
    "eval": {"every_steps": 1000},
    "checkpoint": {"every_steps": 1000},
}


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant=CPU_VARIANT, debug=False)
    config = experiment(
        "segmentation",
        adamw(
            2e-3, weight_decay=0.05, warmup_steps=100, schedule="poly", ema_decay=0.998
        ),
        from_imagenet(f"segmentation/{choice.variant}"),
        dataset={
            "name": "camvid",
            "test_split": "test",
            "augmentation": {
                "crop_size": (240, 320),
                # Smaller than two thirds, an image no longer fills this crop; poles and
                # signs are a pixel or two wide, so most crops are enlarged.
                "scale_min": 0.8,
                "scale_max": 2.0,
                "scale_step": 0.0,
                # The test set has a sequence at dusk, the training set little of that.
                "photometric": True,
            },
        },
        loss={"class_weights": CLASS_WEIGHTS},
        batch_size=8,
        num_steps=2500,
        eval={"every_steps": 1250},
        checkpoint={"every_steps": 200},
    )
    if choice.variant != CPU_VARIANT:
        update(config, ACCELERATOR)
    if choice.debug:
        make_debug(config)
    return config
