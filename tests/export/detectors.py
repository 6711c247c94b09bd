"""Tiny detectors with drawn weights, to export."""

import functools
import pathlib

import numpy as np
from flax import traverse_util

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.export.check import Check
from hrnet_jax.export.source import ExportOptions, ExportSource
from hrnet_jax.export.writing import export_model
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.registry import create_model
from tests import tiny
from tests.models.random_weights import random_variables

CANVAS = (64, 96)
KINDS = ("fcos", "faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn")
NAMES = ("disc", "square", "star")
INFO = DatasetInfo("mine", 0, (), (), box_class_names=NAMES, category_ids=(1, 2, 3))
INFERENCE = {"candidates": 40, "proposals": 24, "score": 0.1, "count": 12}


@functools.cache
def make_detector(kind: str, conventions: str = "modern", **inference) -> ExportSource:
    """A detector of three classes; options of its predictions can be changed."""
    options = {"num_classes": 3, "features": 32 if kind == "fcos" else 8}
    if kind != "fcos":
        options |= {"head_width": 16, "anchor_scale": 4.0, "finest": 14.0}
        options["conventions"] = conventions
    name = f"detection/{kind}_{tiny.VARIANT_NAME}"
    model = create_model(name, **options)
    leaves = traverse_util.flatten_dict(random_variables(model), sep="/")
    for path in leaves:
        if "deltas/kernel" in path:  # Boxes of all sizes, not of the image's alone.
            leaves[path] = leaves[path] * np.float32(0.2)
    return ExportSource(
        name,
        model,
        traverse_util.unflatten_dict(leaves, sep="/"),
        info=INFO,
        step=7,
        normalization=Normalization(),
        inference=INFERENCE | inference,
        augmentation={"test_scale": (96, 64)},
    )


@functools.cache
def exported_detector(
    source: tuple, suffix: str, options: ExportOptions
) -> tuple[pathlib.Path, Check]:
    """(exported file, its check); `source` are arguments of `make_detector`."""
    number = exported_detector.cache_info().misses
    path = tiny.session_dir() / f"{source[0]}-{number}{suffix}"
    return path, export_model(make_detector(*source), path, options)
