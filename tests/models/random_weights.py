"""Variables in which every leaf matters, unlike initial ones."""

import zlib

import jax
import numpy as np
from flax import traverse_util

from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.model import Model


def random_variables(model: Model, seed: int = 0) -> dict:
    """He kernels; scales, biases, means and variances all drawn at random.

    The ranges keep activations near one through a hundred layers.
    """
    drawn = jax.device_get(initial_variables(model, seed, "he"))
    leaves = traverse_util.flatten_dict(drawn, sep="/")
    for name, leaf in leaves.items():
        rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
        values = {
            "scale": rng.uniform(0.2, 0.8, leaf.shape),
            "bias": rng.normal(0, 0.3, leaf.shape),
            "mean": rng.normal(0, 0.3, leaf.shape),
            "var": rng.uniform(0.3, 2.0, leaf.shape),
            "kernel": leaf,
        }[name.rsplit("/", 1)[1]]
        leaves[name] = values.astype(np.float32)
    return traverse_util.unflatten_dict(leaves, sep="/")
