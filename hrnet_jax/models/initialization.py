"""Fast initial variables.

`jit(model.init)` of an HRNet compiles hundreds of random draws (34 s for W18).
Here the model is only traced for its shapes and every leaf is drawn by NumPy
from a stream of its own, keyed by its name: a leaf's value depends on nothing
but (seed, name, shape), so it stays the same when other parts change.
"""

import functools
import math
import operator
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.facts import LayerInit
from hrnet_jax.models.model import Model
from hrnet_jax.models.variants import VARIANTS, Variant

INITIALIZERS = ("he", "official")

# Std of every convolution in HRNet-Semantic-Segmentation and
# HRNet-Facial-Landmark-Detection (`init_weights`).
_OFFICIAL_STD = 0.001

# Std of the last convolution of a head (mmsegmentation, `init_cfg` of heads).
_CLASSIFIER_STD = 0.01


def variable_shapes(model: Model) -> dict:
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
def _traced_shapes(model: Model, variant: Variant | None) -> dict:
    """`variable_shapes`; `variant` only tells models of one name apart."""
    side = max(64, getattr(model, "min_size", 1))
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda k, x: model.init(k, x), key, images)
    names = [name for name in ("params", "batch_stats") if name in variables]
    return {name: variables[name] for name in names}


def initial_variables(
    model: Model, seed: int | jax.Array = 0, initializer: str = "he"
) -> dict:
    """Draws a model's initial variables on the host.

    Args:
        model: any model of this package.
        seed: integer from 0 to 2**64 - 1, or a key: one of `jax.random.key`, or the
            uint32 words of one. A key counts as the number that the last 64 bits of
            its `jax.random.key_data` are, so `jax.random.key(7)` is the same as 7.
        initializer: `he` (normal, fan-out, gain of ReLU; the official ImageNet
            code and the right choice from scratch) or `official` (normal of
            standard deviation 0.001, the official segmentation, landmark and pose
            code; see `ModelFacts.init_as_pytorch` and `init_with_zeros` for what a model
            leaves out). Biases follow PyTorch's default, U(+-1 / sqrt(fan_in)).

    Returns:
        {"params": ..., "batch_stats": ...} of float32 NumPy arrays.

    Raises:
        ConfigError: for an unknown initializer, and for what is neither a seed nor a
            key.
    """
    seed = _seed(seed)
    if initializer not in INITIALIZERS:
        raise ConfigError(
            f"unknown initializer {initializer!r}; "
            f"expected one of {', '.join(INITIALIZERS)}"
        )
    shapes = traverse_util.flatten_dict(variable_shapes(model), sep="/")
    leaves = {
        name: _draw(name, leaf.shape, shapes, seed, _rule(model, name, initializer))
        for name, leaf in shapes.items()
    }
    return traverse_util.unflatten_dict(leaves, sep="/")


def _seed(seed: int | jax.Array) -> int:
    """The number that a seed or a key stands for."""
    if isinstance(seed, jax.core.Tracer):
        raise ConfigError(
            "the seed of initial variables is traced (inside jax.jit or vmap), but they "
            "are drawn on the host; expected a seed or a key from outside"
        )
    is_key = isinstance(seed, jax.Array) and jnp.issubdtype(
        seed.dtype, jax.dtypes.prng_key
    )
    words = jax.random.key_data(seed) if is_key else seed
    dtype, shape = getattr(words, "dtype", None), getattr(words, "shape", ())
    # Threefry keys have two words; others four, the last two of which `split` and
    # `fold_in` change as well.
    if dtype == np.uint32 and shape in ((2,), (4,)):
        high, low = np.asarray(words)[-2:].tolist()
        return high << 32 | low
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**64:
        raise ConfigError(
            f"seed {seed!r} of initial variables: expected an integer from 0 to "
            "2**64 - 1, or one key, as jax.random.key(0)"
        )
    return number


def _rule(model: Model, name: str, initializer: str) -> str | LayerInit:
    """The initializer of one leaf: `he`, `official`, `pytorch`, `zeros` or a layer's."""
    inside = name.removeprefix("params/")
    layer = inside.rpartition("/")[0]
    for pattern, own in model.init_layers.items():
        if re.fullmatch(pattern, layer):
            return own
    if initializer != "official":
        return initializer
    if inside in {f"{layer}/bias" for layer in model.init_with_zeros}:
        return "zeros"
    parts = tuple(f"{part}/" for part in model.init_as_pytorch)
    return "pytorch" if inside.startswith(parts) else "official"


def _draw(
    name: str, shape: tuple[int, ...], shapes: dict, seed: int, rule: str | LayerInit
) -> np.ndarray:
    """One leaf; `shapes` tells the fan-in of a bias through its kernel."""
    parent, leaf = name.rsplit("/", 1)
    if leaf in ("scale", "var"):
        return np.ones(shape, np.float32)
    kernel = f"{parent}/kernel"
    if leaf == "mean" or (leaf == "bias" and kernel not in shapes):
        return np.zeros(shape, np.float32)
    if rule == "zeros":
        return np.zeros(shape, np.float32)
    rng = np.random.Generator(np.random.Philox(key=(zlib.crc32(name.encode()), seed)))
    if isinstance(rule, LayerInit):
        return _draw_layer(leaf, shape, rng, rule)
    if leaf == "bias":
        bound = 1.0 / math.sqrt(math.prod(shapes[kernel].shape[:-1]))
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    if len(shape) == 2:  # Linear layers keep PyTorch's default.
        bound = 1.0 / math.sqrt(shape[0])
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    if rule == "pytorch":
        bound = 1.0 / math.sqrt(math.prod(shape[:-1]))
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    if rule == "official":
        std = _OFFICIAL_STD
    elif parent.endswith("/classifier"):
        # Nothing normalises these outputs; He's would start at a loss far above
        # that of a uniform guess.
        std = _CLASSIFIER_STD
    else:
        std = math.sqrt(2.0 / (shape[0] * shape[1] * shape[3]))
    return rng.standard_normal(shape, np.float32) * np.float32(std)


def _draw_layer(
    leaf: str, shape: tuple[int, ...], rng: np.random.Generator, rule: LayerInit
) -> np.ndarray:
    """A leaf of a layer that starts in a way of its own."""
    if leaf == "bias":
        return np.full(shape, rule.bias, np.float32)
    window = math.prod(shape[:-2])
    if rule.kernel == "xavier":
        bound = math.sqrt(6.0 / (window * (shape[-2] + shape[-1])))
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    is_he = rule.kernel == "he"
    std = math.sqrt(2.0 / (window * shape[-1])) if is_he else float(rule.kernel)
    return rng.standard_normal(shape, np.float32) * np.float32(std)
