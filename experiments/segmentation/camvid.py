"""CamVid, 11 classes, 480x360, from random weights.

    python scripts/prepare_data.py --dataset=camvid --source=CamVid --data_dir=data
    python scripts/train.py \
        --config=experiments/segmentation/camvid.py:variant=w18_small_v1 \
        --config.dataset.data_dir=data --workdir=runs/camvid

Trains on the 367 training images, picks the checkpoint by the 101 validation
images and reports on the 233 test images, averaging the logits of an image and
its mirror image (`--config.eval.inference.flip=False` takes the image alone).
`w18_small_v1` is sized for 40 minutes on two CPU cores; larger variants run long
enough for an accelerator.

Expected test `mean_iou`: see the table in README.md. For comparison, from
scratch at this resolution: FC-DenseNet103 66.9 (Jegou et al. 2017).

Options: `variant`, `debug` (seconds instead of hours).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import default_config, make_debug

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


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="w18_small_v1", debug=False)
    config = default_config("segmentation")
    config.loss.class_weights = CLASS_WEIGHTS
    config.dataset.augmentation.crop_size = (240, 320)
    # Smaller than two thirds, an image no longer fills this crop.
    config.dataset.augmentation.scale_min = 0.7
    config.dataset.augmentation.scale_max = 1.5
    config.dataset.augmentation.scale_step = 0.0
    # The test set has a sequence at dusk, the training set has little of that.
    config.dataset.augmentation.photometric = True
    config.model.name = f"segmentation/{choice.variant}"
    config.dataset.name = "camvid"
    config.dataset.test_split = "test"
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.05
    config.optimizer.decay_norms = False
    config.optimizer.ema_decay = 0.99
    config.schedule.name = "poly"
    config.schedule.learning_rate = 2e-3
    config.schedule.warmup_steps = 100
    config.batch_size = 8
    config.num_steps = 1900
    config.eval.every_steps = 600
    config.eval.inference.flip = True
    config.checkpoint.every_steps = 200
    if choice.variant != "w18_small_v1":
        config.num_steps = 20_000
        config.dataset.augmentation.crop_size = (360, 480)
        config.dataset.augmentation.scale_min = 0.5
        config.eval.every_steps = 1000
        config.checkpoint.every_steps = 1000
    if choice.debug:
        make_debug(config)
    return config
