"""Inspections of models, each traced once for all tests of this folder."""

import functools

from hrnet_jax.inspection.inspection import Inspection, inspect_model
from hrnet_jax.inspection.published import PUBLISHED
from hrnet_jax.registry import model_names

inspected = functools.cache(inspect_model)

# Every published model and the smallest of each family; the others are left to the
# slow tests.
QUICK = {record.model for record in PUBLISHED} | {
    name for name in model_names() if "_small_v1" in name
}


def default(name: str) -> Inspection:
    """A model as its family is published."""
    return inspected(name)
