"""Weights, inputs and outputs of whole detectors of mmdetection 3.3 (goldens)."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection.proposals import Proposals
from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.pretrained import from_torch
from hrnet_jax.registry import create_model
from tests.goldens import official, synthetic_weights

NAMES = ("faster_rcnn_w18", "mask_rcnn_w18", "cascade_mask_rcnn_w32", "fcos_w18")


def info(name: str) -> dict:
    """Description of a golden detector."""
    return official.info(f"detectors/{name}")


def arrays(name: str) -> dict[str, np.ndarray]:
    """All arrays of a golden detector."""
    return official.arrays(f"detectors/{name}")


def case_of(name: str, case: str) -> dict:
    """One case of a golden detector, `batch` or `single`."""
    (found,) = (one for one in info(name)["cases"] if one["name"] == case)
    return found


@functools.lru_cache(maxsize=1)
def state_dict(name: str) -> dict[str, np.ndarray]:
    """The synthetic weights of a golden detector, verified by checksum."""
    record = info(name)
    rows = record["state_dict"]
    scales = [row[0] for row in rows if row[0].endswith(".scale")]
    state = synthetic_weights.make_state_dict(
        [row for row in rows if row[0] not in scales], seed=record["weight_seed"]
    )
    state |= {key: np.float32(1 + k / 16) for k, key in enumerate(scales)}
    for key, factor, offset in record["weight_adjustments"]:
        state[key] = (state[key] * factor + offset).astype(np.float32)
    for key in record["bias_overrides"]:
        state[key] = arrays(name)[f"override/{key}"]
    state = {row[0]: np.asarray(state[row[0]]) for row in rows}
    assert synthetic_weights.checksum(state) == record["weights_crc32"]
    return state


def images(case: dict) -> np.ndarray:
    """Inputs of a case, NHWC, zero outside the images."""
    inputs = np.array(official.image(case))
    for image, facts in zip(inputs, case["images"], strict=True):
        height, width = facts["img_shape"]
        image[height:] = 0
        image[:, width:] = 0
    return inputs


def image_sizes(case: dict) -> np.ndarray:
    """int32 [B, 2]: height and width of every image."""
    return np.array([facts["img_shape"] for facts in case["images"]], np.int32)


def model_and_variables(name: str, dtype=jnp.float32):
    """Our model of a golden detector and its weights, converted."""
    model = create_model(f"detection/{name}", dtype=dtype)
    variables = from_torch(state_dict(name), model)
    return model, jax.tree.map(lambda leaf: np.asarray(leaf, dtype), variables)


def objects(name: str) -> Objects:
    """Ground truth of the training case, with one place to spare."""
    truth = info(name)["training"]["ground_truth"]
    height, width = case_of(name, "batch")["input_shape"][2:]
    most = 1 + max(len(image["boxes"]) for image in truth)
    boxes = np.zeros((len(truth), most, 4))
    classes = np.zeros((len(truth), most), np.int32)
    valid = np.zeros((len(truth), most), bool)
    masks = np.zeros((len(truth), most, height, width), np.uint8)
    for index, image in enumerate(truth):
        count = len(image["boxes"])
        boxes[index, :count] = image["boxes"]
        classes[index, :count] = image["labels"]
        valid[index, :count] = True
        bits = arrays(name).get(f"train/gt_masks{index}_bits")
        if bits is not None:
            masks[index, :count] = unpacked(bits, (count, height, width))
    # Masks of the goldens fill the canvas.
    frames = np.broadcast_to(np.array([0.0, 0, width, height]), boxes.shape)
    return Objects(boxes, classes, valid, masks, frames)


def unpacked(bits: np.ndarray, shape) -> np.ndarray:
    """What `np.packbits` has packed."""
    return np.unpackbits(bits)[: math.prod(shape)].reshape(shape).astype(bool)


def draw(name: str) -> Draw:
    """The rule that replaces random draws in the goldens."""
    case = case_of(name, "batch")
    anchors = sum(
        math.prod(output["shape"][1:])
        for key, output in case["outputs"].items()
        if key.startswith("rpn_cls")
    )
    index = np.arange(anchors, dtype=np.uint64)
    return Draw(
        jax.random.key(0),
        rpn_priority=(index * 2654435761 % 2**32).astype(np.uint32),
        roi_priority=np.arange(4096, dtype=np.uint32),
    )


def proposals(name: str, case: dict, double: bool = False) -> Proposals:
    """The stored proposals of a case."""
    end = "_float64_run" if double else ""
    stored = [
        arrays(name)[f"{case['name']}/proposals{index}{end}"]
        for index in range(len(case["images"]))
    ]
    most = max(map(len, stored))
    boxes = np.zeros((len(stored), most, 5), stored[0].dtype)
    valid = np.zeros((len(stored), most), bool)
    for index, rows in enumerate(stored):
        boxes[index, : len(rows)] = rows
        valid[index, : len(rows)] = True
    return Proposals(boxes[..., :4], boxes[..., 4], valid)


def assert_matches(name: str, case: dict, output: str, value, tolerance: float) -> None:
    """Compares an output, in PyTorch's layout, with subsamples and projections.

    Args:
        name: of the golden.
        case: of the golden.
        output: its key.
        value: ours; the double-precision run is asked for if it is float64.
        tolerance: in standard deviations of the output.
    """
    record = case["outputs"][output]
    value = np.asarray(value)
    assert list(value.shape) == record["shape"]
    std = record["statistics"][1]
    where = f"{name} {case['name']} {output}"
    if value.dtype == np.float64:
        key = "projections_float64_run"
    else:
        key = "projections"
        expected = arrays(f"{name}")[f"{case['name']}/{output}"]
        got = synthetic_weights.subsample(value, record["strides"])
        error = np.abs(got - expected).max() / std
        assert error <= tolerance, f"{where}: {error:.1e}"
    error = official.projection_error(record, value, key)
    # A projection adds up all elements with random signs, over the root of their number.
    assert error <= tolerance, f"{where}, projections: {error:.1e}"


def nchw(value) -> np.ndarray:
    """[B, h, w, ...] as [B, ..., h, w], what comes after w in one axis."""
    value = np.asarray(value)
    value = value.reshape(*value.shape[:3], -1)
    return value.transpose(0, 3, 1, 2)
