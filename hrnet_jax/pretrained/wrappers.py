"""Removes what training scripts wrap around the weights."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained.entries import (
    INNER_WRAPPERS,
    WeightSet,
    choose,
    find_sets,
    plain,
)
from hrnet_jax.pretrained.fit import has_real_numbers

_log = logging.getLogger(__name__)

# Entries of published files that are no weights: a batch counter that PyTorch
# reads only with momentum=None, buffers of the loss of the training wrapper, and the
# mean and deviation of images (mmpose 1.x).
COUNTER = "num_batches_tracked"
_SKIPPED = ("loss.", "data_preprocessor.")
# Sums that MIT's synchronised norms keep beside their running statistics.
_SUMS = ("._tmp_running_mean", "._tmp_running_var", "._running_iter")
# How many steps an average has seen: torch.optim.swa_utils, mmengine.
_AVERAGING = ("n_averaged", "steps")
# HRNet-MaskRCNN-Benchmark keeps the epsilon of every norm as a vector.
_EPSILON_LEAF = ".eps"
_EPSILON = 1e-5
_PREFIXES = ("module.", "model.")
_STATE_DICT_KEYS = ("state_dict", "model")


@dataclasses.dataclass(frozen=True)
class Unwrapped:
    """Weights without what training scripts wrap around them.

    Attributes:
        tensors: by the names of a code base.
        remarks: what was taken off, for people.
    """

    tensors: dict[str, np.ndarray]
    remarks: tuple[str, ...] = ()


def unwrap(
    state_dict: Mapping, *, keep_counters: bool = False, entry: str | None = None
) -> dict[str, np.ndarray]:
    """The tensors of `unwrap_with_remarks`, which are logged."""
    found = unwrap_with_remarks(state_dict, keep_counters=keep_counters, entry=entry)
    log_remarks(found, "state dict")
    return found.tensors


def log_remarks(found: Unwrapped, source: str | os.PathLike) -> None:
    """Tells what was taken off the names of a source."""
    for remark in found.remarks:
        _log.info("%s: %s", os.fspath(source), remark)


def unwrap_with_remarks(
    state_dict: Mapping, *, keep_counters: bool = False, entry: str | None = None
) -> Unwrapped:
    """Undoes what training scripts wrap around the weights.

    Args:
        state_dict: what a file holds.
        keep_counters: leave batch counters in; that they are there tells ordinary
            norms from InPlaceABN.
        entry: which of several networks; see `entries.choose`.

    Raises:
        WeightsError: for an entry that is no named tensor, if none is left, and for
            several networks where `entry` names none of them.
    """
    chosen = choose(find_sets(state_dict), entry)
    if chosen is None:  # names of no HRNet, or of a part of one
        for key in _STATE_DICT_KEYS:
            if isinstance(state_dict.get(key), Mapping):
                state_dict = state_dict[key]
        chosen = WeightSet("", (), state_dict, "")
    result: dict[str, np.ndarray] = {}
    for key, value in chosen.content.items():
        if not isinstance(key, str):
            raise WeightsError(f"entry {key!r} is not named by a text")
        name = chosen.short(plain(key))
        if name is None:
            continue
        while name.startswith(_PREFIXES):
            name = name.split(".", 1)[1]
        if _is_kept(name, value, keep_counters):
            if name in result:
                raise WeightsError(
                    f"two tensors are called {name!r} without their prefix"
                )
            result[name] = value
    if not result:
        raise WeightsError("the state dict holds no tensors")
    return Unwrapped(result, _remarks(chosen, entry))


def _is_kept(name: str, value: Any, keep_counters: bool) -> bool:
    """Whether an entry is a weight, or a counter that is wanted.

    Raises:
        WeightsError: if it is no tensor, or an epsilon that no model here has.
    """
    if name.startswith(_SKIPPED) or name.endswith(_SUMS) or name in _AVERAGING:
        return False
    if name.endswith(COUNTER) and not keep_counters:
        return False
    if not hasattr(value, "shape"):
        raise WeightsError(
            f"entry {name!r} is a {type(value).__name__}, expected a tensor"
        )
    if name.endswith(_EPSILON_LEAF):
        _check_epsilon(name, value)
        return False
    return True


def _remarks(chosen: WeightSet, entry: str | None) -> tuple[str, ...]:
    """What was taken off the names, and which network was taken."""
    remarks = []
    if entry is not None:
        remarks.append(f"entry {chosen.name!r} was chosen")
    elif set(chosen.keys) - set(_STATE_DICT_KEYS):
        remarks.append(f"the weights are the entry {'.'.join(chosen.keys)!r}")
    names = [name for name in chosen.content if isinstance(name, str)]
    taken = [part for part in INNER_WRAPPERS if any(part in name for name in names)]
    if chosen.prefix:
        taken.insert(0, chosen.prefix)
    return (
        *remarks,
        *(
            f"{part!r}, which PyTorch code put into names, is taken off"
            for part in taken
        ),
    )


def has_counters(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether the norms of a file counted their batches."""
    return any(name.endswith(COUNTER) for name in tensors)


def _check_epsilon(name: str, value: np.ndarray) -> None:
    """The epsilon of a norm is an option of the model, so it must be the usual one."""
    value = np.asarray(value)
    is_usual = has_real_numbers(value) and np.allclose(value, _EPSILON, 1e-6, 0)
    if not is_usual:
        raise WeightsError(f"{name!r} is not {_EPSILON}, which all norms here use")
