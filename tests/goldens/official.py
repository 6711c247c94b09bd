"""Access to the outputs of the official PyTorch code kept in this folder."""

import functools
import json
import pathlib

import numpy as np

from tests.goldens import synthetic_weights

FOLDER = pathlib.Path(__file__).parent

# Largest error allowed, in standard deviations of the official output: five
# times the rounding noise, a tenth of the effect of the smallest mistake known.
TOLERANCE = 5e-5
# The same for two programs that both compute in double precision.
DOUBLE_TOLERANCE = 1e-10

# Families with outputs of whole networks.
FAMILIES = ("classification", "segmentation", "landmarks", "pose", "detection")


@functools.cache
def info(name: str) -> dict:
    """Description of one golden file, for example `segmentation/hrnet_w48`."""
    return json.loads((FOLDER / f"{name}.json").read_text())


@functools.cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """All arrays of one golden file."""
    with np.load(FOLDER / f"{name}.npz") as content:
        return {key: content[key] for key in content.files}


def names(family: str) -> list[str]:
    """Golden files of one family."""
    return sorted(f"{family}/{path.stem}" for path in (FOLDER / family).glob("*.json"))


@functools.lru_cache(maxsize=1)
def state_dict(name: str) -> dict[str, np.ndarray]:
    """The synthetic weights of one golden file, verified by checksum."""
    record = info(name)
    state = synthetic_weights.make_state_dict(
        record["state_dict"], seed=record["weight_seed"]
    )
    assert synthetic_weights.checksum(state) == record["weights_crc32"]
    return state


def image(case: dict) -> np.ndarray:
    """Input of one case, NHWC."""
    shape = case["input_shape"]
    return synthetic_weights.make_image_nchw(shape, case["image_seed"]).transpose(
        0, 2, 3, 1
    )


def assert_matches(name: str, case: dict, output: str, value: np.ndarray) -> None:
    """Compares an NCHW (or NC) result with subsamples and projections."""
    record = case["outputs"][output]
    assert list(value.shape) == record["shape"]
    std = record["statistics"][1]
    expected = arrays(name)[f"{case['name']}/{output}"]
    got = synthetic_weights.subsample(value, record["strides"])
    error = np.abs(got - expected).max() / std
    assert error <= TOLERANCE, f"{name} {case['name']} {output}: {error:.1e}"
    # Random-sign projections notice any misplaced element of the full output.
    error = projection_error(record, value, "projections")
    assert error <= TOLERANCE, f"{name} {case['name']} {output}: {error:.1e}"


def assert_matches_in_double(
    name: str, case: dict, output: str, value: np.ndarray
) -> None:
    """Compares a result in double precision with the projections of one."""
    assert value.dtype == np.float64
    record = case["outputs"][output]
    assert list(value.shape) == record["shape"]
    error = projection_error(record, value, "projections_float64_run")
    assert error <= DOUBLE_TOLERANCE, f"{name} {case['name']} {output}: {error:.1e}"


def projection_error(record: dict, value: np.ndarray, key: str) -> float:
    """Largest difference of four projections, in standard deviations."""
    got = np.array(synthetic_weights.projections(value))
    return float(np.abs(got - record[key]).max() / record["statistics"][1])


def first_wrong_tap(case: dict, taps: dict[str, np.ndarray], tolerance: float) -> str:
    """Names the first stage whose output differs, for messages.

    Args:
        case: of a golden file; its taps are in the order of the network.
        taps: `layer1`, `stage2.0`, ... to NCHW values.
        tolerance: in standard deviations of each tap.
    """
    for tap, record in case["taps"].items():
        error = projection_error(record, taps[tap], "projections")
        if error > tolerance:
            return f"; the first stage that differs is {tap}: {error:.1e}"
    return "; all stages agree, so the head differs"
