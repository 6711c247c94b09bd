"""Checks that an exported file computes what its model does, and times both."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hrnet_jax import runtime
from hrnet_jax.errors import ExportError
from hrnet_jax.export.exported import ExportedModel, Outputs
from hrnet_jax.export.programs import prepared_noise

BATCH_SIZES = (1, 3)

# Largest difference allowed, in standard deviations of an output: the rounding of
# float32 makes 1e-6 in W18 and 7e-6 in W48. Weights that no training made can make
# more where an output depends on almost equal values (OCR's attention: 6e-5).
TOLERANCE = 1e-5
# Detections come after more: regions are cut where the first boxes lie, and theirs are
# exponentials of outputs (3.1e-5 in a trained Faster R-CNN).
TOLERANCE_OF_PREDICTIONS = 5e-5
# Below this an error may still be rounding.
_ROUNDING = 1e-3

_RUNS = 5


@dataclasses.dataclass(frozen=True)
class Check:
    """Result of a comparison of a file with its model.

    Attributes:
        errors: largest difference for each batch size, in standard deviations of
            the output; none where neither predicts anything.
        image_size: (height, width) of the images.
        megabytes: size of the file.
        milliseconds: median time of the file for one image, on the CPU.
        model_milliseconds: of the model, compiled.
    """

    errors: dict[int, float]
    image_size: tuple[int, int]
    megabytes: float
    milliseconds: float
    model_milliseconds: float

    def __str__(self) -> str:
        errors = ", ".join(
            f"{error:.1e} (batch {batch})" for batch, error in self.errors.items()
        )
        height, width = self.image_size
        return (
            f"{self.megabytes:.1f} MB; largest error in standard deviations {errors}; "
            f"{self.milliseconds:.1f} ms for one image of {height}x{width} on the CPU, "
            f"the model {self.model_milliseconds:.1f} ms"
        )


def compare(
    function: Callable,
    variables: Mapping,
    exported: ExportedModel,
    size: tuple[int, int],
    tolerance: float | None = None,
) -> Check:
    """Compares a file with the function it was made of, at two batch sizes.

    Args:
        function: (variables, images as the file takes them) -> named outputs.
        variables: of the unfolded model.
        exported: the file, opened.
        size: (height, width) of the images, which are noise.
        tolerance: largest difference allowed; None for that of its kind of outputs.

    Raises:
        ExportError: if they differ by more than rounding.
    """
    if tolerance is None:
        of_predictions = exported.holds_predictions
        tolerance = TOLERANCE_OF_PREDICTIONS if of_predictions else TOLERANCE
    # Accelerators round products to fewer bits, whose errors would hide others.
    with jax.default_device(jax.devices("cpu")[0]):
        variables = jax.device_put(dict(variables))
        reference = runtime.jit(function)

        def model(**inputs: np.ndarray) -> Outputs:
            images = exported.prepare(inputs.pop("image"))
            found = reference(variables, images, *inputs.values())
            result: Outputs = jax.device_get(found)
            return result

        errors = {}
        for batch in BATCH_SIZES:
            inputs = _noise(exported, batch, size)
            error = _difference(exported, model(**inputs), exported.outputs(**inputs))
            if error is not None:
                errors[batch] = error
        one = {name: value[:1] for name, value in inputs.items()}
        times = median_milliseconds((exported.outputs, model), one)
    worst = max(errors.values(), default=0.0)
    if not worst <= tolerance:  # NaN is worse than anything.
        raise ExportError(
            f"{exported.path.name} differs from the model by {worst:.1e} standard "
            f"deviations of its output, more than the tolerance of {tolerance:.0e}; "
            f"nothing is written{advice(worst)}"
        )
    megabytes = exported.path.stat().st_size / 1e6
    return Check(errors, (size[0], size[1]), megabytes, *times)


def _noise(
    exported: ExportedModel, batch: int, size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Images of noise, and what the file takes beside them."""
    if exported.holds_predictions:
        return prepared_noise(exported.task, batch, size)
    rng = np.random.default_rng(batch)
    return {"image": rng.integers(0, 256, (batch, *size, 3), np.uint8)}


def _difference(
    exported: ExportedModel, expected: Outputs, got: Outputs
) -> float | None:
    if not exported.holds_predictions:
        return largest_error(expected, got)
    _check_names(expected, got)
    task: Any = exported.task
    found: float | None = task.largest_difference(expected, got)
    return found


def _check_names(expected: Mapping, got: Mapping) -> None:
    if expected.keys() != got.keys():
        raise ExportError(f"outputs are {', '.join(got)}, not {', '.join(expected)}")


def advice(error: float) -> str:
    """How to have a file all the same, where rounding alone explains its error."""
    if not error < _ROUNDING:
        return ""
    return (
        f"; a network that has hardly been trained rounds more, --tolerance="
        f"{1.1 * error:.1e} accepts that"
    )


def largest_error(expected: Mapping, got: Mapping) -> float:
    """Largest difference of all outputs, each in its standard deviations."""
    _check_names(expected, got)
    errors = [0.0]
    for name, value in expected.items():
        if got[name].shape != value.shape:
            raise ExportError(
                f"output {name!r} has the shape {list(got[name].shape)}, the model's "
                f"has {list(value.shape)}"
            )
        # A model that says the same everywhere still has rounding.
        scale = max(float(value.std()), float(np.abs(value).max()) * 1e-2, 1e-30)
        errors.append(float(np.abs(got[name] - value).max()) / scale)
    return float(np.max(errors))


def median_milliseconds(
    functions: Sequence[Callable], inputs: Mapping[str, np.ndarray]
) -> list[float]:
    """Time of one call of each, by turns so that other load hits all alike."""
    times: list[list[float]] = [[] for _ in functions]
    # The first round compiles, where the batch is new.
    for turn in range(_RUNS + 1):
        for function, row in zip(functions, times, strict=True):
            start = time.perf_counter()
            function(**inputs)
            if turn:
                row.append(time.perf_counter() - start)
    return [1e3 * statistics.median(row) for row in times]
