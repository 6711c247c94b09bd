"""Convolution, ReLU and the two residual blocks HRNet is built of."""

import functools
from typing import Any, overload

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.batch_norm import BatchNorm, NormOptions
from hrnet_jax.models.packing import Map, convolve_map
from hrnet_jax.models.parameters import parameter
from hrnet_jax.runtime.target import per_target, target

Dtype = Any

# He et al. 2015 for ReLU networks, fan-out, as in HRNet-Image-Classification.
kernel_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")

# Traces equal blocks and modules once, which halves the time to trace, and lets
# `runtime.pieces` compile them once. Of the random streams only `params` is passed on:
# blocks draw nothing else, and every stream costs a key derivation per block.
jit_block = functools.partial(
    nn.jit,
    static_argnums=(2,),  # `train`
    rngs="params",
)


class Conv(nn.Module):
    """Square convolution with symmetric padding, as PyTorch's `padding=k // 2`.

    `padding="SAME"` would differ at stride 2 on even sizes and shift imported
    weights by one pixel.

    Attributes:
        features: number of output channels.
        kernel_size: side of the kernel, in pixels.
        stride: spatial stride.
        use_bias: whether to add a bias.
        dtype: compute type; parameters stay float32.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = False
    dtype: Dtype = jnp.float32

    @overload
    def __call__(self, x: jax.Array) -> jax.Array: ...
    @overload
    def __call__(self, x: Map) -> Map: ...
    @nn.compact
    def __call__(self, x: Map) -> Map:
        """Maps [B, H, W, C] to [B, ceil(H / s), ceil(W / s), features]."""
        k, channels = self.kernel_size, x.shape[-1]
        shape = (k, k, channels, self.features)
        kernel = parameter(self, "kernel", kernel_init, shape)
        y = convolve_map(x.astype(self.dtype), kernel, self.stride)
        if self.use_bias:
            bias = parameter(self, "bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(self.dtype)
        return y


@jax.jit
@jax.custom_vjp
def relu(x: Map) -> Map:
    """max(x, 0), NaN stays NaN; the gradient at 0 is 0.

    The gradient needs the result only, so the input need not be kept.
    """
    return jax.tree.map(lambda x: per_target(_at_least_zero, x), x)


def _at_least_zero(x: jax.Array) -> jax.Array:
    # XLA's CPU compiler merges the convolutions on both sides of a maximum into one
    # unit, which then runs at half the speed. The GPU compiler makes a maximum a part
    # of the convolution before it.
    if target() == "cpu":
        return jax.lax.select(x <= 0, jnp.zeros_like(x), x)
    return jnp.maximum(x, 0)


def _relu_forward(x):
    y = relu(x)
    return y, y


def _relu_backward(y, g):
    return (
        jax.tree.map(lambda y, g: jax.lax.select(y == 0, jnp.zeros_like(g), g), y, g),
    )


# Not in the type of `jax.jit`, which sets it as `functools.wraps` does.
relu.__wrapped__.defvjp(_relu_forward, _relu_backward)  # type: ignore[attr-defined]


def at_least_float32(x: jax.Array) -> jax.Array:
    """Type of the outputs, independent of the compute type."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class ConvNorm(nn.Module):
    """Bias-free convolution, batch norm, optional ReLU.

    Attributes:
        features: number of output channels.
        kernel_size: side of the square kernel, in pixels.
        stride: spatial stride.
        relu: whether to end with a ReLU.
        use_bias: whether the convolution has a bias (only some heads do).
        norm: options of the batch norm.
        dtype: compute type; parameters and statistics stay float32.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    relu: bool = True
    use_bias: bool = False
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32

    @overload
    def __call__(self, x: jax.Array, train: bool) -> jax.Array: ...
    @overload
    def __call__(self, x: Map, train: bool) -> Map: ...
    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Maps [B, H, W, C] to [B, ceil(H / s), ceil(W / s), features]."""
        x = Conv(
            self.features,
            self.kernel_size,
            self.stride,
            self.use_bias and not self.norm.is_folded,
            self.dtype,
            name="conv",
        )(x)
        x = BatchNorm(self.norm, self.dtype, name="norm")(x, train)
        return relu(x) if self.relu else x


@jit_block
class BasicBlock(nn.Module):
    """Two 3x3 convolutions and an identity shortcut.

    Attributes:
        features: channels in and out.
        norm: options of the batch norms.
        dtype: compute type.
    """

    features: int
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Maps [B, H, W, features] to the same shape."""

        def layer(index: int, x: Map) -> Map:
            conv = Conv(self.features, dtype=self.dtype, name=f"conv{index}")
            norm = BatchNorm(self.norm, self.dtype, name=f"norm{index}")
            return norm(conv(x), train)

        return relu(x + layer(2, relu(layer(1, x))))


@jit_block
class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; the last has four times the channels.

    The shortcut is a 1x1 convolution with norm where the channels differ.

    Attributes:
        width: channels of the first two convolutions.
        norm: options of the batch norms.
        dtype: compute type.
    """

    width: int
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32

    @overload
    def __call__(self, x: jax.Array, train: bool) -> jax.Array: ...
    @overload
    def __call__(self, x: Map, train: bool) -> Map: ...
    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Maps [B, H, W, C] to [B, H, W, 4 * width]."""
        y = x
        for index, (features, size) in enumerate(
            ((self.width, 1), (self.width, 3), (4 * self.width, 1)), start=1
        ):
            conv = Conv(features, size, dtype=self.dtype, name=f"conv{index}")
            norm = BatchNorm(self.norm, self.dtype, name=f"norm{index}")
            y = norm(conv(y), train)
            if index < 3:
                y = relu(y)
        if x.shape[-1] != 4 * self.width:
            x = ConvNorm(
                4 * self.width,
                kernel_size=1,
                relu=False,
                norm=self.norm,
                dtype=self.dtype,
                name="shortcut",
            )(x, train)
        return relu(x + y)
