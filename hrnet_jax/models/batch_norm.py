"""Batch norm as PyTorch computes it, with a gradient of few operations."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.packing import Map, as_map, pack_width_of, values_of
from hrnet_jax.models.parameters import parameter
from hrnet_jax.runtime import row_shards
from hrnet_jax.runtime.target import target

Dtype = Any

NORM_MODES = ("batch", "frozen", "folded")


@dataclasses.dataclass(frozen=True)
class NormOptions:
    """Options of every batch norm of a model.

    Attributes:
        mode: `batch` uses the statistics of the (global) batch in training;
            `frozen` always uses the running ones, the affine part still learns;
            `folded` only adds a bias, for weights that `folding` has prepared.
        momentum: weight of the new batch in the running statistics, PyTorch's
            convention (0.1 or 0.01; flax's own is one minus this).
        epsilon: added to the variance.
        unbiased_variance: whether the running variance takes n / (n - 1) times
            the batch variance, as PyTorch does. The normalisation never does.
        groups: in training, parts of the batch with statistics of their own: neighbours
            in it, as each of so many GPUs had a part. The running statistics take the
            mean of theirs (the official code: those of the first GPU).
    """

    mode: str = "batch"
    momentum: float = 0.1
    epsilon: float = 1e-5
    unbiased_variance: bool = True
    groups: int = 1

    def __post_init__(self):
        if self.groups < 1:
            raise ConfigError(f"groups of a norm must be at least 1, got {self.groups}")
        if self.mode not in NORM_MODES:
            raise ConfigError(
                f"unknown norm mode {self.mode!r}; "
                f"expected one of {', '.join(NORM_MODES)}"
            )

    @property
    def is_folded(self) -> bool:
        """Whether the convolutions before norms carry their scales and biases."""
        return self.mode == "folded"


class BatchNorm(nn.Module):
    """Batch norm with PyTorch's running statistics.

    Under `jit` on a sharded batch the means are global, so this is what other
    frameworks call synchronised batch norm. With groups, of which each device has whole
    ones, no means travel between devices. Statistics are float32 (or wider)
    whatever the compute type.

    Attributes:
        options: mode, momentum, epsilon.
        dtype: type of the result.
    """

    options: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32

    @overload
    def __call__(self, x: jax.Array, train: bool) -> jax.Array: ...
    @overload
    def __call__(self, x: Map, train: bool) -> Map: ...
    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Normalises the channels of [..., C]."""
        features = x.shape[-1]
        if self.options.is_folded:
            bias = parameter(self, "bias", nn.initializers.zeros, (features,))
            return x.astype(self.dtype) + bias.astype(self.dtype)
        scale = parameter(self, "scale", nn.initializers.ones, (features,))
        bias = parameter(self, "bias", nn.initializers.zeros, (features,))
        mean_state = self.variable(
            "batch_stats", "mean", jnp.zeros, (features,), jnp.float32
        )
        var_state = self.variable(
            "batch_stats", "var", jnp.ones, (features,), jnp.float32
        )
        values, pixels = values_of(x), pack_width_of(x)
        epsilon = self.options.epsilon
        if not train or self.options.mode == "frozen":
            moments = mean_state.value, var_state.value
            is_frozen = self.options.mode == "frozen"
            normalize = normalize_frozen if is_frozen else _affine
            y = normalize(values, *moments, scale, bias, epsilon)
            return as_map(y.astype(self.dtype), pixels)
        groups = self.options.groups
        y, mean, var = normalize_groups(values, scale, bias, epsilon, groups)
        if not self.is_initializing():
            mean_state.value, var_state.value = running_moments(
                (mean_state.value, var_state.value),
                (mean, var),
                values.size // features // groups,
                self.options,
            )
        return as_map(y.astype(self.dtype), pixels)


@functools.partial(jax.jit, static_argnums=(2, 3))
def running_moments(
    old: tuple[jax.Array, jax.Array],
    batch: tuple[jax.Array, jax.Array],
    count: int,
    options: NormOptions,
) -> tuple[jax.Array, jax.Array]:
    """new = (1 - momentum) * old + momentum * batch.

    Args:
        old: running mean and variance, both [C].
        batch: mean and biased variance of this batch.
        count: values per channel in the batch.
        options: momentum and whether to correct the variance.
    """
    mean, var = batch
    if options.unbiased_variance and count > 1:
        var = var * (count / (count - 1))
    momentum = options.momentum
    old_mean, old_var = old
    return (
        (1 - momentum) * old_mean + momentum * mean,
        (1 - momentum) * old_var + momentum * var,
    )


# Most operations of a compiled HRNet are on vectors of C values, and the time to
# compile grows faster than their number. Differentiating the forward pass makes
# twice as many as the formula below; `jit` lets equal norms share one trace.
@functools.partial(jax.jit, static_argnames="epsilon")
@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalize_batch(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises by the batch's own statistics.

    Args:
        x: [..., C], or [..., p * C] where positions hold p pixels (see `packing`).
        scale: [C].
        bias: [C].
        epsilon: added to the variance.

    Returns:
        The result [..., C], mean [C] and biased variance [C], in float32 or
        wider. As in PyTorch no gradient flows through the last two.
    """
    return _forward(x, scale, bias, epsilon)[0]


def normalize_groups(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, groups: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`normalize_batch` of each of so many equal parts of a batch.

    Args:
        x: [B, ..., C], or [B, ..., p * C] where positions hold p pixels.
        scale: [C].
        bias: [C].
        epsilon: added to the variance.
        groups: number of the parts.

    Returns:
        The result as x, and the means over the groups of their means [C] and of their
        biased variances [C].

    Raises:
        ConfigError: if the batch does not divide so.
    """
    if groups == 1:
        return normalize_batch(x, scale, bias, epsilon)
    if len(x) % groups:
        raise ConfigError(
            f"batch norms of {groups} groups (model.norm_groups) cannot divide a batch "
            f"of {len(x)} images; expected a multiple"
        )
    parts = x.reshape(groups, len(x) // groups, *x.shape[1:])
    y, mean, var = jax.vmap(lambda part: normalize_batch(part, scale, bias, epsilon))(
        parts
    )
    return y.reshape(x.shape), jnp.mean(mean, 0), jnp.mean(var, 0)


def _forward(x, scale, bias, epsilon):
    mean, var = batch_moments(x, scale.size)
    y = _affine(x, mean, var, scale, bias, epsilon)
    return (y, mean, var), (x, mean, var, scale)


def _backward(epsilon, residuals, cotangents):
    """The gradients of Ioffe & Szegedy 2015, section 3, as one affine map.

    With g the gradient of the result and r = 1 / sqrt(var + epsilon):
    d_bias = sum(g), d_scale = r * sum(g * (x - mean)),
    d_x = scale * r * (g - (d_bias + (x - mean) * r * d_scale) / n).
    """
    x, mean, var, scale = residuals
    wide = jnp.promote_types(x.dtype, jnp.float32)
    g = cotangents[0].astype(wide)
    count = x.size // scale.size
    inverse = jax.lax.rsqrt(var + epsilon)
    d_bias, products = (
        _per_channel(total, scale.size) for total in _sums(g, g * x.astype(wide))
    )
    d_scale = inverse * (products - mean * d_bias)
    # The barrier keeps XLA from sharing the forward pass's multiplier, which it
    # would do by storing that vector repeated over the whole map.
    multiplier = jax.lax.optimization_barrier(scale * inverse)
    slope = -multiplier * inverse * d_scale / count
    shift = -multiplier * d_bias / count - mean * slope
    multiplier, slope, shift = (
        _per_position(vector, x) for vector in (multiplier, slope, shift)
    )
    d_x = g * multiplier + x.astype(wide) * slope + shift
    return d_x.astype(x.dtype), d_scale, d_bias


# Not in the type of `jax.jit`, which sets it as `functools.wraps` does.
normalize_batch.__wrapped__.defvjp(_forward, _backward)  # type: ignore[attr-defined]


# Differentiating `_affine` would keep x in float32 for the gradient of the scale: of
# bfloat16 maps twice the memory that `normalize_batch` takes.
@functools.partial(jax.jit, static_argnames="epsilon")
@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def normalize_frozen(
    x: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
) -> jax.Array:
    """Normalises by statistics that are given.

    The backward pass gets vectors, and x in its own type where the gradient of mean,
    var or scale is wanted.

    Args:
        x: [..., C], or [..., p * C] where positions hold p pixels (see `packing`).
        mean: [C].
        var: biased variance [C].
        scale: [C].
        bias: [C].
        epsilon: added to the variance.

    Returns:
        The result [..., C], in float32 or wider.
    """
    return _affine(x, mean, var, scale, bias, epsilon)


def _frozen_forward(x, mean, var, scale, bias, epsilon):
    reads_x = mean.perturbed or var.perturbed or scale.perturbed
    x, mean, var, scale, bias = (p.value for p in (x, mean, var, scale, bias))
    # Without x the backward pass still has to know its type.
    kept = x if reads_x else jnp.zeros(0, x.dtype)
    y = _affine(x, mean, var, scale, bias, epsilon)
    return y, (kept, mean, var, scale)


def _frozen_backward(epsilon, residuals, cotangent):
    """The gradients of an affine map of each channel.

    With g the gradient of the result and r = 1 / sqrt(var + epsilon):
    d_x = scale * r * g, d_bias = sum(g), d_scale = r * sum(g * (x - mean)),
    d_mean = -scale * r * d_bias, d_var = -scale * r^2 * d_scale / 2.
    """
    x, mean, var, scale = residuals
    wide = jnp.promote_types(x.dtype, jnp.float32)
    g = cotangent.astype(wide)
    inverse = jax.lax.rsqrt(var + epsilon)
    multiplier = scale * inverse
    d_x = (g * _per_position(multiplier, g)).astype(x.dtype)
    if not x.size:
        d_bias = _per_channel(_sums(g)[0], scale.size)
        return d_x, None, None, None, d_bias
    d_bias, products = (
        _per_channel(total, scale.size) for total in _sums(g, g * x.astype(wide))
    )
    d_scale = inverse * (products - mean * d_bias)
    d_var = multiplier * inverse * d_scale / -2
    return d_x, -multiplier * d_bias, d_var, d_scale, d_bias


normalize_frozen.__wrapped__.defvjp(  # type: ignore[attr-defined]  # As above.
    _frozen_forward, _frozen_backward, symbolic_zeros=True
)


def _affine(x, mean, var, scale, bias, epsilon):
    """(x - mean) / sqrt(var + epsilon) * scale + bias."""
    # In this order XLA folds scale and shift into one multiply-add.
    multiplier = scale * jax.lax.rsqrt(var + epsilon)
    shift = bias - mean * multiplier
    multiplier, shift = _per_position(multiplier, x), _per_position(shift, x)
    return x.astype(multiplier.dtype) * multiplier + shift


def batch_moments(x: jax.Array, channels: int) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of every channel, in one pass.

    The variance is E[x^2] - E[x]^2, at least zero, in float32 or wider.

    Args:
        x: [..., C], or [..., p * C] where positions hold p pixels.
        channels: C.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    count = x.size // channels
    mean, square = (
        _per_channel(total, channels) / count for total in _sums(x, jnp.square(x))
    )
    return mean, jnp.maximum(square - jnp.square(mean), 0.0)


def _sums(*maps: jax.Array) -> Sequence[jax.Array]:
    """Sums of maps [..., C] of one shape over all axes but the last.

    A GPU adds up parts of the rows and then the parts, of all maps together: the
    compiler's own second step is one kernel for each map, and where a map is small and
    wide it has no second step, so that a few blocks do all the work.
    """
    if maps[0].ndim != 4 or target() != "gpu":
        return [jnp.sum(x, tuple(range(x.ndim - 1))) for x in maps]
    b, h, w, c = maps[0].shape
    # As many parts as there are pixels in each. Where devices divide the rows, every
    # one has whole parts.
    most, shards = math.isqrt(b * h * w), row_shards()
    sizes = (r for r in range(1, h) if h % (r * shards) == 0 and b * h // r <= most)
    rows = next(sizes, h if shards == 1 else 1)
    parts = [jnp.sum(x.reshape(b, h // rows, rows, w, c), (2, 3)) for x in maps]
    zeros = [jnp.zeros((), part.dtype) for part in parts]
    return jax.lax.reduce(
        parts, zeros, lambda a, b: jax.tree.map(jnp.add, a, b), (0, 1)
    )


def _per_channel(sums: jax.Array, channels: int) -> jax.Array:
    """Adds up what the pixels of a position have in a channel: [p * C] to [C]."""
    if sums.size == channels:
        return sums
    return jnp.sum(sums.reshape(-1, channels), 0)


def _per_position(vector: jax.Array, x: jax.Array) -> jax.Array:
    """Repeats a vector of channels for every pixel of a position of x."""
    pixels = x.shape[-1] // vector.size
    return vector if pixels == 1 else jnp.tile(vector, pixels)
