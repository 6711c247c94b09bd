"""What training scripts wrap around the weights, and how to undo it."""

from collections.abc import Mapping

import numpy as np

from hrnet_jax.errors import WeightsError

# Entries of official files that are no weights: a batch counter that PyTorch
# reads only with momentum=None, and buffers of the loss of the training wrapper.
COUNTER = "num_batches_tracked"
_LOSS_PREFIXES = ("loss.", "head.loss_module.", "keypoint_head.loss.")
_PREFIXES = ("module.", "model.")
_STATE_DICT_KEYS = ("state_dict", "model")


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
        if name.startswith(_LOSS_PREFIXES) or name.endswith(COUNTER):
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
