"""Official PyTorch state dicts to our variables and back, strict and total."""

from collections.abc import Iterable, Mapping

import numpy as np
from flax import linen as nn
from flax import traverse_util

from hrnet_jax.errors import WeightsError
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.pretrained.names import from_official, to_official

# Entries of official files that are no weights: a batch counter that PyTorch
# reads only with momentum=None, and buffers of the loss of the training wrapper.
_COUNTER = "num_batches_tracked"
_LOSS_PREFIX = "loss."
_PREFIXES = ("module.", "model.")
_STATE_DICT_KEYS = ("state_dict", "model")
_LISTED = 8


def from_torch(
    state_dict: Mapping[str, np.ndarray],
    model: nn.Module,
    *,
    inplace_abn: bool = False,
) -> dict:
    """Converts an official state dict into the variables of `model`.

    Every tensor of the state dict is used once and every leaf of the model is
    filled, or this fails. Wrappers are undone: a nested `state_dict`, the
    prefixes `module.` and `model.`, loss buffers and batch counters.

    Args:
        state_dict: official names to arrays (PyTorch layout).
        model: from `create_model`.
        inplace_abn: the file was trained with InPlaceABN, whose effective scale
            is |weight| + 1e-5 (all downloads of the master branch of
            HRNet-Semantic-Segmentation and files ending in `_torch04`).

    Returns:
        {"params": ..., "batch_stats": ...} of float32 NumPy arrays.

    Raises:
        WeightsError: listing missing and extra tensors and shapes that differ.
    """
    arrays = convert_names(state_dict, inplace_abn=inplace_abn)
    shapes = traverse_util.flatten_dict(variable_shapes(model), sep="/")
    leaves = fit(arrays, {name: leaf.shape for name, leaf in shapes.items()})
    return traverse_util.unflatten_dict(leaves, sep="/")


def to_torch(variables: Mapping, model: nn.Module) -> dict[str, np.ndarray]:
    """Converts variables into an official state dict, the inverse of `from_torch`.

    Batch counters, which variables do not keep, are written as zero.

    Raises:
        WeightsError: if the variables are not those of `model`.
    """
    flat = traverse_util.flatten_dict(
        {name: variables[name] for name in ("params", "batch_stats")}, sep="/"
    )
    shapes = traverse_util.flatten_dict(variable_shapes(model), sep="/")
    leaves = fit(flat, {name: leaf.shape for name, leaf in shapes.items()})
    state_dict = {}
    for name, value in leaves.items():
        official = to_official(name.split("/", 1)[1])
        if official is None:
            raise WeightsError(f"{name!r} has no name in the official code")
        state_dict[official] = _to_torch_layout(np.asarray(value))
        if official.endswith(".running_var"):
            counter = official.removesuffix("running_var") + _COUNTER
            state_dict[counter] = np.zeros((), np.int64)
    return state_dict


def convert_names(
    state_dict: Mapping[str, np.ndarray], *, inplace_abn: bool = False
) -> dict[str, np.ndarray]:
    """Our names and layout for every weight of an official state dict.

    Works for all families, so that a classifier's body can start a
    segmentation model. Names are `params/...` or `batch_stats/...`.

    Raises:
        WeightsError: for names that no official HRNet has.
    """
    arrays, unknown = {}, []
    for official, value in unwrap(state_dict).items():
        name = from_official(official)
        if name is None:
            unknown.append(official)
            continue
        leaf = name.rsplit("/", 1)[-1]
        collection = "batch_stats" if leaf in ("mean", "var") else "params"
        value = _from_torch_layout(np.asarray(value, np.float32))
        if inplace_abn and leaf == "scale":
            value = np.abs(value) + np.float32(1e-5)
        arrays[f"{collection}/{name}"] = value
    if unknown:
        raise WeightsError(
            "these are not names of an official HRNet: " + _some(unknown)
        )
    return arrays


def unwrap(state_dict: Mapping) -> dict[str, np.ndarray]:
    """Undoes what training scripts wrap around the weights.

    Raises:
        WeightsError: for an entry that is no named tensor, or if none is left.
    """
    for key in _STATE_DICT_KEYS:
        if isinstance(state_dict.get(key), Mapping):
            state_dict = state_dict[key]
    result = {}
    for name, value in state_dict.items():
        if not isinstance(name, str):
            raise WeightsError(f"entry {name!r} is not named by a text")
        while name.startswith(_PREFIXES):
            name = name.split(".", 1)[1]
        if name.startswith(_LOSS_PREFIX) or name.endswith(_COUNTER):
            continue
        if not hasattr(value, "shape"):
            raise WeightsError(
                f"entry {name!r} is a {type(value).__name__}, expected a tensor"
            )
        if name in result:
            raise WeightsError(f"two tensors are called {name!r} without their prefix")
        result[name] = value
    if not result:
        raise WeightsError("the state dict holds no tensors")
    return result


def fit(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Checks that arrays are exactly those of a model.

    Raises:
        WeightsError: listing missing, extra and misshapen tensors.
    """
    missing = [name for name in shapes if name not in arrays]
    extra = [name for name in arrays if name not in shapes]
    differ = [
        f"{name}: expected {tuple(shapes[name])}, got {tuple(arrays[name].shape)}"
        for name in shapes
        if name in arrays and tuple(arrays[name].shape) != tuple(shapes[name])
    ]
    if missing or extra or differ:
        parts = [
            f"{len(names)} {kind}: {_some(names)}"
            for kind, names in (
                ("missing", missing),
                ("extra", extra),
                ("of another shape", differ),
            )
            if names
        ]
        raise WeightsError("weights do not fit the model; " + "; ".join(parts))
    return {name: arrays[name] for name in shapes}


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _from_torch_layout(value: np.ndarray) -> np.ndarray:
    """OIHW to HWIO, (out, in) to (in, out); vectors stay."""
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(2, 3, 1, 0))
    return np.ascontiguousarray(value.T)


def _to_torch_layout(value: np.ndarray) -> np.ndarray:
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    return np.ascontiguousarray(value.T)
