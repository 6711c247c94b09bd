"""Convolution, norm and the two residual blocks HRNet is built of."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.errors import ConfigError

Dtype = Any

NORM_MODES = ("batch", "frozen")

# He et al. 2015 for ReLU networks, fan-out, as in HRNet-Image-Classification.
kernel_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


@dataclasses.dataclass(frozen=True)
class NormOptions:
    """How every batch norm of a model behaves.

    Attributes:
        mode: `batch` uses the statistics of the (global) batch in training;
            `frozen` always uses the running ones, the affine part still learns.
        momentum: weight of the new batch in the running statistics, PyTorch's
            convention (0.1 or 0.01; flax's own is one minus this).
        epsilon: added to the variance.
        unbiased_variance: whether the running variance takes n / (n - 1) times
            the batch variance, as PyTorch does. The normalisation never does.
    """

    mode: str = "batch"
    momentum: float = 0.1
    epsilon: float = 1e-5
    unbiased_variance: bool = True

    def __post_init__(self):
        if self.mode not in NORM_MODES:
            raise ConfigError(
                f"unknown norm mode {self.mode!r}; "
                f"expected one of {', '.join(NORM_MODES)}"
            )


class BatchNorm(nn.Module):
    """Batch norm with PyTorch's running statistics.

    Under `jit` on a sharded batch the means are global, so this is what other
    frameworks call synchronised batch norm. Statistics are float32 (or wider)
    whatever the compute type.

    Attributes:
        options: mode, momentum, epsilon.
        dtype: type of the result.
    """

    options: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalises [..., C] over all axes but the last."""
        features = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (features,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (features,), jnp.float32)
        mean_state = self.variable(
            "batch_stats", "mean", jnp.zeros, (features,), jnp.float32
        )
        var_state = self.variable(
            "batch_stats", "var", jnp.ones, (features,), jnp.float32
        )
        if train and self.options.mode == "batch":
            mean, var = batch_moments(x)
            if not self.is_initializing():
                self._update(mean_state, var_state, mean, var, x.size // features)
        else:
            mean, var = mean_state.value, var_state.value
        # In this order XLA folds scale and shift into one multiply-add.
        multiplier = scale * jax.lax.rsqrt(var + self.options.epsilon)
        y = x.astype(multiplier.dtype) * multiplier + (bias - mean * multiplier)
        return y.astype(self.dtype)

    def _update(self, mean_state, var_state, mean, var, count: int) -> None:
        """new = (1 - momentum) * old + momentum * batch."""
        momentum = self.options.momentum
        if self.options.unbiased_variance and count > 1:
            var = var * (count / (count - 1))
        for state, value in ((mean_state, mean), (var_state, var)):
            state.value = (1 - momentum) * state.value + momentum * value


def batch_moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over all axes but the last, in one pass.

    The variance is E[x^2] - E[x]^2, at least zero, in float32 or wider.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    var = jnp.maximum(jnp.mean(jnp.square(x), axes) - jnp.square(mean), 0.0)
    return mean, var


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

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] to [B, ceil(H / s), ceil(W / s), features]."""
        k = self.kernel_size
        kernel = self.param(
            "kernel", kernel_init, (k, k, x.shape[-1], self.features), jnp.float32
        )
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        if self.use_bias:
            bias = self.param(
                "bias", nn.initializers.zeros, (self.features,), jnp.float32
            )
            y = y + bias.astype(self.dtype)
        return y


def relu(x: jax.Array) -> jax.Array:
    """max(x, 0), NaN stays NaN; the gradient at 0 is 0.

    Written as a selection because XLA's CPU compiler merges the convolutions
    on both sides of a maximum into one unit, which then runs at half the speed.
    """
    return jnp.where(x <= 0, jnp.zeros((), x.dtype), x)


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """NHWC by HWIO convolution, padded by half the kernel on both sides.

    A 1x1 kernel is a matrix product: XLA's gradient of a 1x1 convolution with
    respect to its kernel is a convolution by a kernel as large as the image,
    ten times slower on a CPU than the product.
    """
    pad = kernel.shape[0] // 2
    if kernel.shape[:2] == (1, 1) and stride == 1:
        return jnp.einsum("bhwc,cf->bhwf", x, kernel[0, 0])
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


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

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, ceil(H / s), ceil(W / s), features]."""
        x = Conv(
            self.features,
            self.kernel_size,
            self.stride,
            self.use_bias,
            self.dtype,
            name="conv",
        )(x)
        x = BatchNorm(self.norm, self.dtype, name="norm")(x, train)
        return relu(x) if self.relu else x


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
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, features] to the same shape."""
        y = Conv(self.features, dtype=self.dtype, name="conv1")(x)
        y = relu(BatchNorm(self.norm, self.dtype, name="norm1")(y, train))
        y = Conv(self.features, dtype=self.dtype, name="conv2")(y)
        y = BatchNorm(self.norm, self.dtype, name="norm2")(y, train)
        return relu(x + y)


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

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, H, W, 4 * width]."""
        y = x
        for index, (features, size) in enumerate(
            ((self.width, 1), (self.width, 3), (4 * self.width, 1)), start=1
        ):
            y = Conv(features, size, dtype=self.dtype, name=f"conv{index}")(y)
            y = BatchNorm(self.norm, self.dtype, name=f"norm{index}")(y, train)
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
