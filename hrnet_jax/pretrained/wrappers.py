"""Removes what training scripts wrap around the weights."""

from collections.abc import Mapping

import numpy as np

from hrnet_jax.errors import WeightsError

# Entries of published files that are no weights: a batch counter that PyTorch
# reads only with momentum=None, buffers of the loss of the training wrapper, and the
# mean and deviation of images (mmpose 1.x).
COUNTER = "num_batches_tracked"
_SKIPPED = ("loss.", "data_preprocessor.")
# HRNet-MaskRCNN-Benchmark keeps the epsilon of every norm as a vector.
_EPSILON_LEAF = ".eps"
_EPSILON = 1e-5
_PREFIXES = ("module.", "model.")
_STATE_DICT_KEYS = ("state_dict", "model")


def unwrap(
    state_dict: Mapping, *, keep_counters: bool = False
) -> dict[str, np.ndarray]:
    """Undoes what training scripts wrap around the weights.

    Args:
        state_dict: what a file holds.
        keep_counters: leave batch counters in; that they are there tells ordinary
            norms from InPlaceABN.

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
        if name.startswith(_SKIPPED):
            continue
        if name.endswith(COUNTER) and not keep_counters:
            continue
        if not hasattr(value, "shape"):
            raise WeightsError(
                f"entry {name!r} is a {type(value).__name__}, expected a tensor"
            )
        if name.endswith(_EPSILON_LEAF):
            _check_epsilon(name, value)
            continue
        if name in result:
            raise WeightsError(f"two tensors are called {name!r} without their prefix")
        result[name] = value
    if not result:
        raise WeightsError("the state dict holds no tensors")
    return result


def has_counters(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether the norms of a file counted their batches."""
    return any(name.endswith(COUNTER) for name in tensors)


def _check_epsilon(name: str, value: np.ndarray) -> None:
    """The epsilon of a norm is an option of the model, so it must be the usual one."""
    if not np.allclose(np.asarray(value), _EPSILON, rtol=1e-6, atol=0):
        raise WeightsError(f"{name!r} is not {_EPSILON}, which all norms here use")
