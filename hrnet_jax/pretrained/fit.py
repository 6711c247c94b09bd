"""Whether weights are those of a model, and whether they can be weights at all."""

import dataclasses
from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import WeightsError

_LISTED = 8

# Last part of a variance's name, PyTorch's and ours.
_VARIANCES = ("running_var", "var")

Shape = tuple[int, ...]


def check_fit(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]) -> None:
    """Checks that arrays are exactly those expected.

    Raises:
        WeightsError: listing missing, extra and misshapen tensors.
    """
    missing = [name for name in shapes if name not in arrays]
    extra = [name for name in arrays if name not in shapes]
    differ = [
        f"{name}: {_difference(arrays[name], shapes[name])}"
        for name in shapes
        if name in arrays and not _same_shape(arrays[name], shapes[name])
    ]
    if missing or extra or differ:
        parts = [
            f"{len(names)} {kind}: {listed(names)}"
            for kind, names in (
                ("missing", missing),
                ("extra", extra),
                ("of another shape", differ),
            )
            if names
        ]
        raise WeightsError("weights do not fit the model; " + "; ".join(parts))


def check_values(arrays: Mapping[str, np.ndarray]) -> None:
    """Checks that numbers are finite in float32 and variances not negative.

    Others would pass through every layer and make each output nonsense.

    Args:
        arrays: by their names in a state dict, or by ours.

    Raises:
        WeightsError: naming the first tensor at fault and how many there are.
    """
    faults = [
        f"{name}: {fault}"
        for name, array in arrays.items()
        if (fault := _fault_of_values(name, array))
    ]
    if faults:
        count = f"{len(faults)} tensor{'s' * (len(faults) > 1)}"
        raise WeightsError(f"damaged weights, {count} of {len(arrays)}; {faults[0]}")


def _fault_of_values(name: str, array: np.ndarray) -> str:
    array = np.asarray(array)
    if not has_real_numbers(array):
        return f"values of type {array.dtype}, expected real numbers"
    with np.errstate(over="ignore"):  # what float32 does not hold is infinite there
        values = array.astype(np.float32)
    wrong = values[~np.isfinite(values)]
    if wrong.size:
        return (
            f"{wrong.size} of {values.size} values not finite (the first is "
            f"{wrong[0]}), expected finite float32 numbers"
        )
    is_variance = name.replace("/", ".").rsplit(".", 1)[-1] in _VARIANCES
    wrong = values[values < 0] if is_variance else wrong
    if wrong.size:
        return (
            f"{wrong.size} of {values.size} values negative (the least is "
            f"{wrong.min():g}), expected variances of 0 or more"
        )
    return ""


def has_real_numbers(array: np.ndarray) -> bool:
    """Whether an array can be one of weights: no complex numbers, text or objects."""
    return array.dtype.kind in "biuf" or array.dtype == jnp.bfloat16


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Report on every tensor when weights were taken in part.

    Attributes:
        kept: our names that took the value of the source.
        new: our names that kept their initial value.
        dropped: name in the source -> why it was not used.
    """

    kept: tuple[str, ...]
    new: tuple[str, ...] = ()
    dropped: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        total = len(self.kept) + len(self.new)
        text = f"{len(self.kept)} of {total} tensors loaded"
        if self.new:
            text += f", {len(self.new)} left initial ({_layers(self.new)})"
        if self.dropped:
            text += f", {len(self.dropped)} of the source dropped"
        return text

    def report(self) -> str:
        """One line for every name: kept, new or dropped with the reason."""
        lines = [f"kept     {name}" for name in self.kept]
        lines += [f"new      {name}" for name in self.new]
        lines += [f"dropped  {name}: {why}" for name, why in self.dropped.items()]
        return "\n".join([*lines, str(self)])


def transfer(
    initial: Mapping[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
    unknown: Iterable[str] = (),
) -> tuple[dict[str, np.ndarray], Transfer]:
    """Puts those arrays over initial ones that have their name and shape.

    Args:
        initial: all leaves of the model.
        arrays: of another model, by our names.
        unknown: names of the source that belong to no HRNet, for the report.

    Returns:
        All leaves of the model, and what became of every tensor.

    Raises:
        WeightsError: if nothing fits.
    """
    dropped = {}
    for name, value in arrays.items():
        if name not in initial:
            dropped[name] = "the model has no such tensor"
        elif not _same_shape(value, initial[name].shape):
            dropped[name] = _difference(value, initial[name].shape)
    dropped |= dict.fromkeys(unknown, "not a name of an HRNet")
    kept = tuple(name for name in initial if name in arrays and name not in dropped)
    if not kept:
        raise WeightsError(f"no tensor fits the model; the source has {listed(arrays)}")
    new = tuple(name for name in initial if name not in kept)
    merged = {name: arrays[name] if name in kept else initial[name] for name in initial}
    return merged, Transfer(kept, new, dropped)


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = sorted(names)
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _same_shape(array: np.ndarray, shape: Iterable[int]) -> bool:
    return tuple(array.shape) == tuple(shape)


def _difference(array: np.ndarray, shape: Iterable[int]) -> str:
    return f"expected {tuple(shape)}, got {tuple(array.shape)}"


def _layers(names: Iterable[str]) -> str:
    return ", ".join(sorted({name.split("/")[1] for name in names}))
