"""A tiny landmark run on generated faces; also an experiment file."""

import functools
import pathlib

import ml_collections

from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.models.variants import VARIANTS
from tests import tiny
from tests.sharing import made_once


def get_config() -> ml_collections.ConfigDict:
    """Three steps, evaluated at the end."""
    VARIANTS[tiny.VARIANT_NAME] = tiny.VARIANT
    config = default_config("landmarks")
    config.model.name = f"landmarks/{tiny.VARIANT_NAME}"
    config.dataset.name = "faces"
    config.dataset.augmentation.crop_size = (32, 32)
    config.schedule.learning_rate = 1e-3
    config.batch_size = 4
    config.num_steps = 3
    config.eval.batch_size = 4
    config.eval.pictures = 2
    config.logging.every_steps = 1
    config.logging.progress = False
    config.logging.tensorboard = False
    return config


@functools.cache
def data_dir() -> pathlib.Path:
    """Folder with the prepared `faces`, few: five to evaluate fill no batch of four."""

    def make(folder):
        from hrnet_jax.data.registry import prepare

        prepare("faces", folder, image_size=64, train=8, val=5)

    return made_once("faces", make)
