"""The high-resolution network: stem, parallel branches and their exchange.

Source: "High-Resolution Representations for Labeling Pixels and Regions" and
the official repositories. Four branches run at strides 4, 8, 16 and 32; every
module ends by exchanging information between all of them.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.batch_norm import BatchNorm, NormOptions
from hrnet_jax.models.layers import (
    BasicBlock,
    Bottleneck,
    Conv,
    ConvNorm,
    relu,
    traced_once,
)
from hrnet_jax.models.representations import branches_kept
from hrnet_jax.models.resize import BY_FACTOR, resize
from hrnet_jax.models.variants import get_variant

Dtype = Any
Maps = tuple[jax.Array, ...]


class Stem(nn.Module):
    """Two stride-2 convolutions of 64 channels: images to stride 4."""

    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, 3] to [B, ceil(H / 4), ceil(W / 4), 64]."""
        x = images
        for index in (1, 2):
            x = Conv(64, stride=2, dtype=self.dtype, name=f"conv{index}")(x)
            x = BatchNorm(self.norm, self.dtype, name=f"norm{index}")(x, train)
            x = relu(x)
        return x


class Stage1(nn.Module):
    """The bottlenecks on the single branch of stage 1."""

    width: int
    blocks: int
    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, 64] to [B, H, W, 4 * width]."""
        for index in range(self.blocks):
            x = Bottleneck(self.width, self.norm, self.dtype, name=f"block{index}")(
                x, train
            )
        return x


class Transition(nn.Module):
    """Turns the branches of one stage into those of the next.

    Existing branches pass unchanged unless their width changes. The new branch
    comes from the lowest-resolution one through a stride-2 convolution.

    Attributes:
        widths: channels of the branches after the transition.
    """

    widths: tuple[int, ...]
    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n branches to len(widths) branches, at most one more."""
        results = []
        for index, width in enumerate(self.widths):
            is_new = index >= len(branches)
            x = branches[-1] if is_new else branches[index]
            if is_new or x.shape[-1] != width:
                x = ConvNorm(
                    width,
                    stride=2 if is_new else 1,
                    norm=self.norm,
                    dtype=self.dtype,
                    name=f"branch{index}",
                )(x, train)
            results.append(x)
        return tuple(results)


class Branch(nn.Module):
    """Basic blocks at one resolution."""

    blocks: int
    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to the same shape."""
        for index in range(self.blocks):
            x = BasicBlock(x.shape[-1], self.norm, self.dtype, name=f"block{index}")(
                x, train
            )
        return x


class DownPath(nn.Module):
    """Strided convolutions from a branch to a lower-resolution one.

    Each step halves the resolution; only the last changes the width, and it
    alone has no ReLU because the exchange ends with one.
    """

    steps: int
    features: int
    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, H / 2**steps, W / 2**steps, features]."""
        for index in range(self.steps):
            is_last = index == self.steps - 1
            x = ConvNorm(
                self.features if is_last else x.shape[-1],
                stride=2,
                relu=not is_last,
                norm=self.norm,
                dtype=self.dtype,
                name=f"step{index}",
            )(x, train)
        return x


class Exchange(nn.Module):
    """Every resolution receives the sum of all of them, then a ReLU.

    From a lower resolution: 1x1 convolution and norm, then upsampling to the
    size of the target branch (so any input size works). From a higher one:
    stride-2 convolutions.

    Attributes:
        outputs: number of resolutions to compute, the highest first.
        upsample: resize method.
    """

    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n maps at n resolutions to the first `outputs` of them."""
        results = []
        for target in range(self.outputs):
            # Summed from the highest resolution down, the official order.
            total = self._path(branches, 0, target, train)
            for source in range(1, len(branches)):
                total = total + self._path(branches, source, target, train)
            results.append(relu(total))
        return tuple(results)

    def _path(self, branches: Maps, source: int, target: int, train: bool) -> jax.Array:
        x, goal = branches[source], branches[target]
        if source == target:
            return x
        name = f"from{source}_to{target}"
        if source < target:
            return DownPath(
                target - source, goal.shape[-1], self.norm, self.dtype, name=name
            )(x, train)
        x = ConvNorm(
            goal.shape[-1],
            kernel_size=1,
            relu=False,
            norm=self.norm,
            dtype=self.dtype,
            name=name,
        )(x, train)
        if self.upsample != BY_FACTOR:
            return resize(x, goal.shape[1:3], self.upsample)
        height, width = (side * 2 ** (source - target) for side in x.shape[1:3])
        return resize(resize(x, (height, width)), goal.shape[1:3])


class Module(nn.Module):
    """One multi-resolution module: parallel branches, then the exchange."""

    blocks: int
    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n maps at n resolutions to the first `outputs` of them."""
        branches = tuple(
            Branch(self.blocks, self.norm, self.dtype, name=f"branch{index}")(x, train)
            for index, x in enumerate(branches)
        )
        return Exchange(
            self.outputs, self.upsample, self.norm, self.dtype, name="exchange"
        )(branches, train)


class Stage(nn.Module):
    """A sequence of modules on the same number of branches.

    Attributes:
        modules: number of modules.
        blocks: basic blocks per branch and module.
        outputs: resolutions that the last module puts out.
        remat: whether the backward pass recomputes each module.
    """

    modules: int
    blocks: int
    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype
    remat: bool

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n maps at n resolutions to the first `outputs` of them."""
        module = nn.remat(Module, static_argnums=(2,)) if self.remat else Module
        module = traced_once(module)
        for index in range(self.modules):
            is_last = index == self.modules - 1
            branches = module(
                self.blocks,
                self.outputs if is_last else len(branches),
                self.upsample,
                self.norm,
                self.dtype,
                name=f"module{index}",
            )(branches, train)
        return branches


class HRNet(nn.Module):
    """Base of all models: the body from images to four representations.

    Task models derive from this class and call `represent` in their own
    `__call__`, so that parameter names start at `stem`, `stage1`, ...

    What every stage puts out is sown as intermediate `after_stage<s>`, for those
    who apply the model with `mutable=["intermediates"]`.

    Attributes:
        kind: what the model puts out; schemes of tensor names go by it.
        representations: those that the model may be asked for.
        variant: name in `variants.VARIANTS`.
        representation: `v1`, `v1h`, `v2` or `v2p`; see `representations`.
        upsample: method inside the exchange, one of `resize.EXCHANGE_METHODS`.
        norm: batch-norm options.
        dtype: compute type (bfloat16 on accelerators); parameters, statistics
            and outputs are float32.
        remat: recompute modules in the backward pass; saves memory, costs time.
    """

    kind: ClassVar[str]
    representations: ClassVar[tuple[str, ...]]

    variant: str
    representation: str = "v2"
    upsample: str = "bilinear"
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32
    remat: bool = False

    def represent(self, images: jax.Array, train: bool) -> Maps:
        """Computes the maps of the representation.

        Args:
            images: [B, H, W, 3], normalised.
            train: whether batch norm uses and updates batch statistics.

        Returns:
            V1: one map [B, ceil(H / 4), ceil(W / 4), C]; V1h: the same with 15 C
            channels; V2 and V2p: four maps, map b of
            [B, ceil(H / s), ceil(W / s), C * 2**b] with s = 4 * 2**b.
        """
        branches = self._branches(images, train, branches_kept(self.representation))
        if self.representation != "v1h":
            return branches
        width = sum(get_variant(self.variant).branch_widths())
        expand = Conv(width, 1, use_bias=True, dtype=self.dtype, name="expand")
        return (expand(branches[0]),)

    def _branches(self, images: jax.Array, train: bool, outputs: int) -> Maps:
        """The first `outputs` branches after stage 4."""
        variant = get_variant(self.variant)
        common = {"norm": self.norm, "dtype": self.dtype}
        x = Stem(**common, name="stem")(images.astype(self.dtype), train)
        x = Stage1(
            variant.stage1_width, variant.stage1_blocks, **common, name="stage1"
        )(x, train)
        branches: Maps = (x,)
        self.sow("intermediates", "after_stage1", branches)
        for stage, modules in enumerate(variant.modules, start=2):
            branches = Transition(
                variant.branch_widths(stage), **common, name=f"transition{stage - 1}"
            )(branches, train)
            branches = Stage(
                modules,
                variant.blocks,
                outputs if stage == 4 else stage,
                self.upsample,
                remat=self.remat,
                **common,
                name=f"stage{stage}",
            )(branches, train)
            self.sow("intermediates", f"after_stage{stage}", branches)
        return branches
