"""Sources to export, and exported files, made once for all tests of this folder."""

import functools
import pathlib

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.export.check import Check
from hrnet_jax.export.writing import ExportOptions, ExportSource, export_model
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.registry import create_model
from tests import tiny
from tests.models.random_weights import random_variables

SIZE = (64, 64)
CLASSES = ("sky", "tree", "road", "car")
INFO = DatasetInfo(
    "mine", 4, CLASSES, ((1, 2, 3), (4, 5, 6), (7, 8, 9), (9, 9, 9)),
    point_names=("a", "b", "c", "d"), image_class_names=CLASSES,
)  # fmt: skip
OPTIONS = {
    "classification": {"num_classes": 4},
    "landmarks": {"num_points": 4},
    "pose": {"num_points": 4},
    "pyramid": {"features": 16},
    "segmentation": {"num_classes": 4},
}


@functools.cache
def make_source(name: str, **changes) -> ExportSource:
    """A model with random weights."""
    options = OPTIONS[name.partition("/")[0]]
    model = create_model(name, **options)
    unchanged = {"normalization": Normalization(), "inference": {}, "augmentation": {}}
    return ExportSource(
        name,
        model,
        random_variables(model),
        info=INFO,
        step=7,
        **(unchanged | changes),
    )


@functools.cache
def exported(
    name: str, suffix: str, options: ExportOptions
) -> tuple[pathlib.Path, Check]:
    """(exported file, its check); read only."""
    number = exported.cache_info().misses
    path = tiny.session_dir() / f"{name.replace('/', '-')}-{number}{suffix}"
    return path, export_model(make_source(name), path, options, check_size=SIZE)
