"""Weights, inputs and outputs of whole detectors of mmdetection 3.3 (goldens)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

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
