"""A tiny run of a detector on generated shapes; also an experiment file."""

import functools
import pathlib

import ml_collections
import numpy as np

from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.models.variants import VARIANTS
from tests import tiny
from tests.sharing import made_once

SIZE = 64
_BOTH = "both_orientations"


def get_config(options: str = "mask_rcnn") -> ml_collections.ConfigDict:
    """Four steps, evaluated and saved every second one.

    Args:
        options: the detector, and with `,both_orientations` on images of 60x90 and
            90x60 pixels instead of squares.
    """
    detector, _, shape = options.partition(",")
    VARIANTS[tiny.VARIANT_NAME] = tiny.VARIANT
    config = default_config("detection")
    config.model.name = f"detection/{detector or 'mask_rcnn'}_{tiny.VARIANT_NAME}"
    config.model.norm = "batch"
    of_model = {"features": 32 if detector == "fcos" else 8}
    config.dataset.name = "shapes_objects"
    augmentation = config.dataset.augmentation
    augmentation.scales, augmentation.test_scale = ((SIZE, SIZE),), (SIZE, SIZE)
    augmentation.max_objects, augmentation.mask_size = 12, 28
    if "fcos" not in config.model.name:
        of_model |= {"head_width": 16, "anchor_scale": 4.0, "finest": 14.0}
        config.loss.candidates = config.loss.proposals = 32
        config.loss.regions, config.loss.anchors = 16, 32
    config.model.options = of_model
    config.eval.inference.candidates = 32
    config.eval.inference.proposals = 32
    config.eval.inference.score = 0.0
    config.eval.inference.count = 10
    config.schedule.learning_rate = 1e-3
    config.batch_size = 8
    config.num_steps = 4
    config.eval.every_steps = 2
    config.eval.batch_size = 2
    config.eval.pictures = 1
    config.checkpoint.every_steps = 2
    config.mesh.data = 1
    config.logging.every_steps = 1
    config.logging.progress = False
    config.logging.tensorboard = False
    if shape == _BOTH:
        config.dataset.name = "detection_coco"
        augmentation.scales, augmentation.test_scale = ((90, 60),), (90, 60)
        config.batch_size = 2
    return config


def data_dir(options: str = "mask_rcnn") -> pathlib.Path:
    """Folder with the prepared data, few images."""
    return _both_orientations() if options.endswith(_BOTH) else _squares()


@functools.cache
def _squares() -> pathlib.Path:
    def make(folder):
        from hrnet_jax.data.registry import prepare

        prepare("shapes_objects", folder, image_size=SIZE, train=12, val=5)

    return made_once("shapes_objects", make)


@functools.cache
def _both_orientations() -> pathlib.Path:
    def make(folder):
        from hrnet_jax.data.registry import prepare
        from tests.test_experiments import make_own_objects

        make_own_objects(folder / "source", np.random.default_rng(0))
        prepare("detection_coco", folder, folder / "source")

    return made_once("both_orientations", make)


def config(detector: str = "mask_rcnn", **changes) -> ml_collections.ConfigDict:
    """The tiny run on the tiny data; changes are `section__key=value`."""
    result = get_config(detector)
    result.dataset.data_dir = str(data_dir(detector))
    for key, value in changes.items():
        result.update_from_flattened_dict({key.replace("__", "."): value})
    return result
