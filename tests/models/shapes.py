"""Variable shapes of models, traced once for all tests of this folder."""

import functools

import jax
from flax import traverse_util

from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.registry import create_model


@functools.cache
def leaf_shapes(name: str) -> dict[str, jax.ShapeDtypeStruct]:
    """`params/...` and `batch_stats/...` names to shapes, of `create_model(name)`."""
    return traverse_util.flatten_dict(variable_shapes(create_model(name)), sep="/")


def parameter_names(name: str) -> list[str]:
    """Sorted names of the parameters, without the collection."""
    prefix = "params/"
    return sorted(
        leaf.removeprefix(prefix)
        for leaf in leaf_shapes(name)
        if leaf.startswith(prefix)
    )
