"""Object context against its formula, written out in NumPy.

Whole networks with it are beside the official code in `tests/models/test_goldens.py`.
"""

import jax
import numpy as np
import pytest

from hrnet_jax.segmentation import model as segmentation
from hrnet_jax.segmentation.model import ObjectContextHead

KEYS, OBJECTS, CLASSES = 4, 6, 3


@pytest.fixture
def head(monkeypatch):
    """A head of few channels with random weights and statistics, and its inputs."""
    monkeypatch.setattr(segmentation, "_KEY_WIDTH", KEYS)
    monkeypatch.setattr(segmentation, "_OBJECT_WIDTH", OBJECTS)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 5, 7), np.float32)
    coarse = 3 * rng.standard_normal((2, 4, 5, CLASSES), np.float32)
    module = ObjectContextHead(CLASSES)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, coarse, False))
    variables = jax.tree.map(lambda leaf: rng.uniform(0.2, 1, leaf.shape), shapes)
    variables = jax.tree.map(lambda leaf: leaf.astype(np.float32), variables)
    return module, variables, x, coarse


def softmax(x, axis):
    x = np.exp(x - x.max(axis, keepdims=True))
    return x / x.sum(axis, keepdims=True)


def conv_norm(x, variables, *path):
    """Convolution of 1x1 or 3x3 with zeros around, norm of evaluation, ReLU."""
    params, stats = variables["params"], variables["batch_stats"]
    for name in path:
        params, stats = params[name], stats[name]
    kernel = params["conv"]["kernel"]
    side = kernel.shape[0]
    if side > 1:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        height, width = x.shape[1:3]
        x = sum(
            padded[:, i : i + height, j : j + width] @ kernel[i, j]
            for i in range(side)
            for j in range(side)
        )
    else:
        x = x @ kernel[0, 0]
    x = x + params["conv"].get("bias", 0)
    norm, stats = params["norm"], stats["norm"]
    x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    return np.maximum(x * norm["scale"] + norm["bias"], 0)


def test_equals_the_formula(head):
    module, variables, x, coarse = head
    got = module.apply(variables, x, coarse, False)
    pixels = conv_norm(x, variables, "pixels")
    # A class is the mean of the pixels, weighted by its softmax over positions.
    positions = softmax(coarse.reshape(2, 20, CLASSES), 1)
    rows = np.einsum("bnk,bnc->bkc", positions, pixels.reshape(2, 20, OBJECTS))
    rows = rows[:, :, None]

    def layer(name, given):
        return conv_norm(given, variables, "attention", name)

    queries = layer("query1", layer("query0", pixels))
    keys = layer("key1", layer("key0", rows))[:, :, 0]
    values = layer("value", rows)[:, :, 0]
    likeness = np.einsum("bhwc,bkc->bhwk", queries, keys) / np.sqrt(KEYS)
    context = layer("out", np.einsum("bhwk,bkc->bhwc", softmax(likeness, -1), values))
    fused = conv_norm(np.concatenate([context, pixels], -1), variables, "fuse")
    classifier = variables["params"]["classifier"]
    expected = fused @ classifier["kernel"][0, 0] + classifier["bias"]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
