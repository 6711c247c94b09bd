"""Inspections of models, each traced once for all tests of this folder."""

import functools

from hrnet_jax.inspection.inspection import Inspection, inspect_model

inspected = functools.cache(inspect_model)

# Of the kinds of heads, as they are published, those of most layers; the others are left
# to the slow tests, and counted in `models/test_registry`.
QUICK = {
    "classification/w18",
    "pyramid/w18",
    "segmentation/w18_small_v1",
    "segmentation/w48_ocr",
}


def default(name: str) -> Inspection:
    """A model as its family is published."""
    return inspected(name)
