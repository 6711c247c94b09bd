"""A tiny pose run on generated persons; also an experiment file."""

import dataclasses
import functools
import pathlib

import ml_collections

from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.models.variants import VARIANTS
from tests import tiny
from tests.sharing import made_once

# Pose has its one output from the last module of stage 4.
VARIANT_NAME = "tiny_pose"
VARIANT = dataclasses.replace(tiny.VARIANT, modules=(1, 0, 1))


def get_config() -> ml_collections.ConfigDict:
    """Three steps, evaluated at the end."""
    VARIANTS[VARIANT_NAME] = VARIANT
    config = default_config("pose")
    config.model.name = f"pose/{VARIANT_NAME}"
    config.dataset.name = "figures"
    config.dataset.augmentation.crop_size = (32, 24)
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
    """Folder with the prepared `figures`, few; persons to evaluate fill no batch."""

    def make(folder):
        from hrnet_jax.data.registry import prepare

        prepare("figures", folder, image_size=64, train=8, val=3)

    return made_once("figures", make)
