"""A tiny run of a classifier on generated shapes; also an experiment file."""

import functools
import pathlib

import ml_collections

from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.models.variants import VARIANTS
from tests import tiny
from tests.sharing import made_once

SIZE = 64


def get_config() -> ml_collections.ConfigDict:
    """Eight steps; images are mixed with each other."""
    VARIANTS[tiny.VARIANT_NAME] = tiny.VARIANT
    config = default_config("classification")
    config.model.name = f"classification/{tiny.VARIANT_NAME}"
    config.dataset.name = "shapes_classes"
    config.dataset.augmentation.crop_size = (32, 32)
    config.eval.inference.short_side = config.eval.inference.crop = SIZE
    config.loss.update(mixup=0.2, cutmix=1.0, label_smoothing=0.1)
    config.schedule.reference_batch = 0
    config.batch_size = 8
    config.num_steps = 8
    config.eval.every_steps = 4
    config.eval.batch_size = 2
    config.eval.pictures = 1
    config.checkpoint.every_steps = 4
    config.mesh.data = 1
    config.logging.every_steps = 1
    config.logging.progress = False
    config.logging.tensorboard = False
    return config


@functools.cache
def data_dir() -> pathlib.Path:
    """Folder with the prepared data, few images."""

    def make(folder):
        from hrnet_jax.data.registry import prepare

        prepare("shapes_classes", folder, image_size=SIZE, train=12, val=5)

    return made_once("shapes_classes", make)


def config(**changes) -> ml_collections.ConfigDict:
    """The tiny run on the tiny data; changes are `section__key=value`."""
    result = get_config()
    result.dataset.data_dir = str(data_dir())
    for key, value in changes.items():
        result.update_from_flattened_dict({key.replace("__", "."): value})
    return result
