"""Inspections of models, each traced once for all tests of this folder."""

import functools

from hrnet_jax.inspection.inspection import Inspection, inspect_model

inspected = functools.cache(inspect_model)

# One of each kind of head, as they are published; the others are left to the slow
# tests.
QUICK = {
    "classification/w18",
    "landmarks/w18",
    "pose/w32",
    "pyramid/w18",
    "segmentation/w18_small_v1",
    "segmentation/w48_ocr",
}


def default(name: str) -> Inspection:
    """A model as its family is published."""
    return inspected(name)
