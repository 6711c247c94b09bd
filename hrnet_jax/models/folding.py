"""Batch norms merged into the convolutions before them, for inference.

With fixed statistics a norm is one affine map per channel, which a convolution
without activation behind it can carry in its kernel. What stays of the norm is
its bias (`NormOptions(mode="folded")`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from hrnet_jax.errors import WeightsError
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.models.model import Model

_LISTED = 5


def fold_batch_norm(model: Model, variables: Mapping) -> tuple[Model, dict]:
    """Merges every norm into the convolution before it.

    The kernel is multiplied by m = scale / sqrt(var + epsilon) along its output
    channels and the norm keeps (bias of the convolution - mean) * m + bias.
    Computed in float64; what is stored is float32, so outputs differ by rounding.

    Args:
        model: any model of this package.
        variables: its {"params", "batch_stats"}.

    Returns:
        The model with folded norms and its variables, {"params": ...} alone.

    Raises:
        WeightsError: if the model is folded already, or variables are missing,
            left over or of another shape; names them.
    """
    if model.norm.is_folded:
        raise WeightsError("the batch norms of this model are folded already")
    options = dataclasses.replace(model.norm, mode="folded")
    folded = model.clone(norm=options)
    leaves = traverse_util.flatten_dict(jax.device_get(dict(variables)), sep="/")
    wanted = _folded_shapes(folded)
    paths = [name.removesuffix("/mean") for name in leaves if name.endswith("/mean")]
    results: dict[str, Any] = {}
    for path in paths:
        results |= _fold(leaves, path.removeprefix("batch_stats/"), options.epsilon)
    results |= leaves  # What no norm follows stays as it is.
    check_leaves(results, wanted)
    return folded, traverse_util.unflatten_dict(
        {name: np.asarray(leaf, np.float32) for name, leaf in results.items()}, sep="/"
    )


def as_computed(variables: Mapping, dtype: Any) -> dict:
    """Variables of a folded network in the type that it computes in.

    All of them are rounded to it before they are used, so that nothing changes but
    the time to do so in every call.

    Args:
        variables: from `fold_batch_norm`.
        dtype: compute type of the model.
    """
    return jax.tree.map(lambda leaf: leaf.astype(dtype), dict(variables))


def _folded_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Shapes of the folded model's leaves, from a trace alone."""
    flat = traverse_util.flatten_dict(variable_shapes(model), sep="/")
    return {name: leaf.shape for name, leaf in flat.items()}


def _fold(leaves: dict[str, Any], norm: str, epsilon: float) -> dict[str, np.ndarray]:
    """Takes the leaves of a norm and its convolution out, gives the folded ones."""
    parent, _, name = norm.rpartition("/")
    conv = f"params/{parent}/project"  # A head joins maps and convolves in one.
    if f"{conv}/kernel" not in leaves:
        conv = f"params/{parent}/conv{name.removeprefix('norm')}"
    names = {
        "kernel": f"{conv}/kernel",
        "scale": f"params/{norm}/scale",
        "bias": f"params/{norm}/bias",
        "mean": f"batch_stats/{norm}/mean",
        "var": f"batch_stats/{norm}/var",
    }
    missing = [name for name in names.values() if name not in leaves]
    if missing:
        raise WeightsError(
            f"batch norm {norm} cannot be folded without {', '.join(missing)}"
        )
    kernel, scale, bias, mean, var = (
        np.asarray(leaves.pop(name), np.float64) for name in names.values()
    )
    conv_bias = leaves.pop(f"{conv}/bias", np.zeros(mean.shape)).astype(np.float64)
    for leaf in (scale, bias, mean, var, conv_bias):
        if leaf.shape != kernel.shape[-1:]:
            raise WeightsError(
                f"batch norm {norm} of {leaf.size} channels follows "
                f"{names['kernel']} of {list(kernel.shape)}"
            )
    multiplier = scale / np.sqrt(var + epsilon)
    return {
        names["kernel"]: kernel * multiplier,
        names["bias"]: (conv_bias - mean) * multiplier + bias,
    }


def check_leaves(results: Mapping, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Every leaf of a model filled, every given one used.

    Args:
        results: arrays by names such as `params/stem/conv1/kernel`.
        wanted: shapes by the names of the model.

    Raises:
        WeightsError: naming those that are missing, left over or of another shape.
    """
    problems = {
        "missing": [name for name in wanted if name not in results],
        "left over": [name for name in results if name not in wanted],
        "of another shape": [
            f"{name} {list(results[name].shape)}, expected {list(shape)}"
            for name, shape in wanted.items()
            if name in results and results[name].shape != shape
        ],
    }
    found = [
        f"{len(names)} {what} ({', '.join(sorted(names)[:_LISTED])}"
        + (", ...)" if len(names) > _LISTED else ")")
        for what, names in problems.items()
        if names
    ]
    if found:
        raise WeightsError(f"weights do not fit the model: {'; '.join(found)}")
