"""Fast initial variables.

`jit(model.init)` of an HRNet compiles hundreds of random draws (34 s for W18).
Here the model is only traced for its shapes and every leaf is drawn by NumPy
from a stream of its own, keyed by its name: a leaf's value depends on nothing
but (seed, name, shape), so it stays the same when other parts change.
"""

import functools
import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.variants import VARIANTS, Variant

INITIALIZERS = ("he", "official")

# Std of every convolution in HRNet-Semantic-Segmentation and
# HRNet-Facial-Landmark-Detection (`init_weights`).
_OFFICIAL_STD = 0.001

# The OCR branch leaves every layer whose name contains `cls`, `aux` or `ocr` at
# PyTorch's default (`init_weights` of `seg_hrnet_ocr.py`).
_DEFAULT_PARTS = ("params/aux/", "params/ocr/")

# Std of the last convolution of a head (mmsegmentation, `init_cfg` of heads).
_CLASSIFIER_STD = 0.01


def variable_shapes(model: nn.Module) -> dict:
    """Shapes and dtypes of a model's variables, without computing anything.

    Equal models are traced once.

    Returns:
        {"params": ..., "batch_stats": ...} of `jax.ShapeDtypeStruct`; of a model
        with folded norms the parameters alone. The dictionaries are the caller's.
    """
    # A model knows its variant by name, and the table may change.
    variant = VARIANTS.get(getattr(model, "variant", ""))
    return jax.tree.map(lambda leaf: leaf, _traced_shapes(model, variant))


@functools.lru_cache(maxsize=128)
def _traced_shapes(model: nn.Module, variant: Variant | None) -> dict:
    """`variable_shapes`; `variant` only tells models of one name apart."""
    del variant
    # The last level of a deep pyramid needs a larger image than anything else.
    side = max(64, 4 * 2 ** (getattr(model, "levels", 1) - 1))
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda k, x: model.init(k, x), key, images)
    names = [name for name in ("params", "batch_stats") if name in variables]
    return {name: variables[name] for name in names}


def initial_variables(model: nn.Module, seed: int = 0, initializer: str = "he") -> dict:
    """Draws a model's initial variables on the host.

    Args:
        model: any model of this package.
        seed: non-negative integer.
        initializer: `he` (normal, fan-out, gain of ReLU; the official ImageNet
            code and the right choice from scratch) or `official` (normal of
            standard deviation 0.001, the official segmentation, landmark and pose
            code, which leaves OCR heads at PyTorch's default). Biases follow
            PyTorch's default, U(+-1 / sqrt(fan_in)); those of pose start at 0.

    Returns:
        {"params": ..., "batch_stats": ...} of float32 NumPy arrays.

    Raises:
        ConfigError: for an unknown initializer.
    """
    if initializer not in INITIALIZERS:
        raise ConfigError(
            f"unknown initializer {initializer!r}; "
            f"expected one of {', '.join(INITIALIZERS)}"
        )
    shapes = traverse_util.flatten_dict(variable_shapes(model), sep="/")
    leaves = {
        name: _draw(name, leaf.shape, shapes, seed, initializer)
        for name, leaf in shapes.items()
    }
    return traverse_util.unflatten_dict(leaves, sep="/")


def _draw(
    name: str, shape: tuple[int, ...], shapes: dict, seed: int, initializer: str
) -> np.ndarray:
    """One leaf; `shapes` tells the fan-in of a bias through its kernel."""
    parent, leaf = name.rsplit("/", 1)
    if leaf in ("scale", "var"):
        return np.ones(shape, np.float32)
    kernel = f"{parent}/kernel"
    if leaf == "mean" or (leaf == "bias" and kernel not in shapes):
        return np.zeros(shape, np.float32)
    is_pose_bias = name == "params/classifier/bias" and len(shapes[kernel].shape) == 4
    if initializer == "official" and is_pose_bias:
        return np.zeros(shape, np.float32)
    rng = np.random.Generator(np.random.Philox(key=(zlib.crc32(name.encode()), seed)))
    if leaf == "bias":
        bound = 1.0 / math.sqrt(math.prod(shapes[kernel].shape[:-1]))
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    if len(shape) == 2:  # Linear layers keep PyTorch's default.
        bound = 1.0 / math.sqrt(shape[0])
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    if initializer == "official" and name.startswith(_DEFAULT_PARTS):
        bound = 1.0 / math.sqrt(math.prod(shape[:-1]))
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    if initializer == "official":
        std = _OFFICIAL_STD
    elif parent.endswith("/classifier"):
        # Nothing normalises these outputs; He's would start at a loss far above
        # that of a uniform guess.
        std = _CLASSIFIER_STD
    else:
        std = math.sqrt(2.0 / (shape[0] * shape[1] * shape[3]))
    return rng.standard_normal(shape, np.float32) * np.float32(std)
