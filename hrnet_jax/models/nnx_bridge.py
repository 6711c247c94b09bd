"""Models as modules of Flax NNX, which hold their variables themselves."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import nnx, traverse_util
from flax.nnx import bridge

from hrnet_jax.models.folding import check_leaves
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.models.model import Model

_KINDS = {"params": nnx.Param, "batch_stats": nnx.BatchStat}


def to_nnx(model: Model, variables: Mapping) -> bridge.ToNNX:
    """Wraps a model and its variables into one module of Flax NNX.

    Called as `module(images)`, it returns what `model.apply(variables, images)` does.
    In training, `module(images, train=True, mutable=["batch_stats"])` moves the
    running statistics that it holds; models with dropout also take
    `rngs=nnx.Rngs(dropout=seed)`.

    Args:
        model: from `create_model`.
        variables: its {"params": ..., "batch_stats": ...}; copied to the device.

    Returns:
        A module with an `nnx.Param` or `nnx.BatchStat` for each variable, under the
        names that variables have: `module.stem["conv1"]["kernel"]`.

    Raises:
        WeightsError: if the variables are not those of the model; names them.
    """
    given = traverse_util.flatten_dict(dict(variables), sep="/")
    wanted = traverse_util.flatten_dict(variable_shapes(model), sep="/")
    check_leaves(given, {name: leaf.shape for name, leaf in wanted.items()})
    leaves = {}
    for name, value in given.items():
        collection, _, path = name.partition("/")
        leaves[path] = _KINDS[collection](jnp.asarray(value))
    module = bridge.ToNNX(model)
    for name, tree in traverse_util.unflatten_dict(leaves, sep="/").items():
        setattr(module, name, nnx.data(tree))
    return module
