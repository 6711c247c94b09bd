"""The high-resolution network: stem, parallel branches and their exchange.

Source: "High-Resolution Representations for Labeling Pixels and Regions" and
the official repositories. Four branches run at strides 4, 8, 16 and 32; every
module ends by exchanging information between all of them.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.export import is_symbolic_dim

from hrnet_jax.models.batch_norm import BatchNorm, NormOptions
from hrnet_jax.models.exchange import Exchange
from hrnet_jax.models.layers import (
    BasicBlock,
    Bottleneck,
    Conv,
    ConvNorm,
    relu,
    traced_once,
)
from hrnet_jax.models.packing import pack, pixels_per_position, unpack
from hrnet_jax.models.rematerialisation import remat_policy, rematerialised
from hrnet_jax.models.representations import branches_kept
from hrnet_jax.models.variants import get_variant

Dtype = Any
Maps = tuple[jax.Array, ...]

# Channels of both convolutions of the stem.
STEM_WIDTH = 64


class Stem(nn.Module):
    """Two stride-2 convolutions of 64 channels: images to stride 4.

    Attributes:
        pixels: that positions of the result hold, see `packing`.
    """

    norm: NormOptions
    dtype: Dtype
    pixels: int = 1

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, 3] to [B, ceil(H / 4), ceil(W / 4), 64], or packed."""
        # Unpacked images stay so, or else two pixels would be halved to one.
        pixels = 4 * self.pixels if self.pixels > 1 else 1
        x = pack(images, pixels)
        for index in (1, 2):
            x = Conv(
                STEM_WIDTH,
                stride=2,
                dtype=self.dtype,
                pixels_in=pixels,
                pixels=(pixels := max(1, pixels // 2)),
                name=f"conv{index}",
            )(x)
            norm = BatchNorm(self.norm, self.dtype, pixels, name=f"norm{index}")
            x = relu(norm(x, train))
        return x


class Stage1(nn.Module):
    """The bottlenecks on the single branch of stage 1."""

    width: int
    blocks: int
    norm: NormOptions
    dtype: Dtype
    remat: str = "none"
    pixels: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, 64], or packed, to [B, H, W, 4 * width], or packed."""
        block = rematerialised(Bottleneck, "bottleneck", self.remat)
        for index in range(self.blocks):
            x = block(
                self.width, self.norm, self.dtype, self.pixels, name=f"block{index}"
            )(x, train)
        return x


class Transition(nn.Module):
    """Turns the branches of one stage into those of the next.

    Existing branches pass unchanged unless their width changes. The new branch
    comes from the lowest-resolution one through a stride-2 convolution.

    Attributes:
        widths: channels of the branches after the transition.
        pixels_in: that positions of each branch hold before it, see `packing`.
        pixels: that positions of each branch hold after it.
    """

    widths: tuple[int, ...]
    norm: NormOptions
    dtype: Dtype
    pixels_in: tuple[int, ...] = (1, 1, 1)
    pixels: tuple[int, ...] = (1, 1, 1, 1)

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n branches to len(widths) branches, at most one more."""
        results = []
        for index, width in enumerate(self.widths):
            is_new = index >= len(branches)
            source = len(branches) - 1 if is_new else index
            x, pixels_in = branches[source], self.pixels_in[source]
            if is_new or x.shape[-1] != width * pixels_in:
                x = ConvNorm(
                    width,
                    stride=2 if is_new else 1,
                    norm=self.norm,
                    dtype=self.dtype,
                    pixels_in=pixels_in,
                    pixels=self.pixels[index],
                    name=f"branch{index}",
                )(x, train)
            results.append(x)
        return tuple(results)


class Branch(nn.Module):
    """Basic blocks at one resolution."""

    blocks: int
    norm: NormOptions
    dtype: Dtype
    remat: str = "none"
    pixels: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C], or packed, to the same shape."""
        block = rematerialised(BasicBlock, "block", self.remat)
        features = x.shape[-1] // self.pixels
        for index in range(self.blocks):
            x = block(
                features, self.norm, self.dtype, self.pixels, name=f"block{index}"
            )(x, train)
        return x


class Module(nn.Module):
    """One multi-resolution module: parallel branches, then the exchange."""

    blocks: int
    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype
    remat: str = "none"
    pixels: tuple[int, ...] = (1, 1, 1, 1)

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n maps at n resolutions to the first `outputs` of them."""
        common = {"norm": self.norm, "dtype": self.dtype}
        branches = tuple(
            Branch(
                self.blocks,
                remat=self.remat,
                pixels=pixels,
                **common,
                name=f"branch{index}",
            )(x, train)
            for index, (x, pixels) in enumerate(zip(branches, self.pixels))
        )
        return Exchange(
            self.outputs, self.upsample, pixels=self.pixels, **common, name="exchange"
        )(branches, train)


class Stage(nn.Module):
    """A sequence of modules on the same number of branches.

    Attributes:
        modules: number of modules.
        blocks: basic blocks per branch and module.
        outputs: resolutions that the last module puts out.
        remat: what the backward pass computes again, see `rematerialisation`.
        pixels: that positions of each branch hold, see `packing`.
    """

    modules: int
    blocks: int
    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype
    remat: str = "none"
    pixels: tuple[int, ...] = (1, 1, 1, 1)

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n maps at n resolutions to the first `outputs` of them."""
        module = traced_once(rematerialised(Module, "module", self.remat))
        for index in range(self.modules):
            is_last = index == self.modules - 1
            branches = module(
                self.blocks,
                self.outputs if is_last else len(branches),
                self.upsample,
                self.norm,
                self.dtype,
                self.remat,
                self.pixels,
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
        auxiliary_outputs: names of outputs that only a loss looks at.
        init_as_pytorch: parts whose kernels the official code leaves at PyTorch's
            initial values, where it draws all others.
        init_with_zeros: biases that the official code starts at 0.
        variant: name in `variants.VARIANTS`.
        representation: `v1`, `v1h`, `v2` or `v2p`; see `representations`.
        upsample: method inside the exchange, one of `resize.EXCHANGE_METHODS`.
        norm: batch-norm options.
        dtype: compute type (bfloat16 on accelerators); parameters, statistics
            and outputs are float32.
        remat: what the backward pass computes again, one of
            `rematerialisation.POLICIES`; saves memory, costs time. True is
            `modules`, False is `none`.
        lanes: values that the machine moves together, 128 on a TPU: narrow branches
            are then packed, see `packing`. 0 packs nothing. Weights do not depend
            on it.
    """

    kind: ClassVar[str]
    representations: ClassVar[tuple[str, ...]]
    auxiliary_outputs: ClassVar[tuple[str, ...]] = ()
    init_as_pytorch: ClassVar[tuple[str, ...]] = ()
    init_with_zeros: ClassVar[tuple[str, ...]] = ()

    variant: str
    representation: str = "v2"
    upsample: str = "bilinear"
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32
    remat: str | bool = "none"
    lanes: int = 0

    def __post_init__(self):
        self.remat = remat_policy(self.remat)
        super().__post_init__()

    @property
    def min_size(self) -> int:
        """Smallest side of an image that the model can see, in pixels."""
        return 1

    def attention_multiply_adds(self, shapes: dict[str, Any]) -> int:
        """Multiply-adds of products between activations, for one image.

        Args:
            shapes: what every module outputs, by its name.
        """
        return 0

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
        first = self._first_pixels(images)
        stem = rematerialised(Stem, "stem", self.remat)
        transition = rematerialised(Transition, "transition", self.remat)
        x = stem(**common, pixels=first, name="stem")(images.astype(self.dtype), train)
        x = Stage1(
            variant.stage1_width,
            variant.stage1_blocks,
            remat=self.remat,
            pixels=first,
            **common,
            name="stage1",
        )(x, train)
        branches: Maps = (x,)
        self.sow("intermediates", "after_stage1", (unpack(x, first),))
        pixels = pixels_per_position(
            x.shape[2] * first, variant.branch_widths()[0], self.lanes
        )
        before: tuple[int, ...] = (first,)
        for stage, modules in enumerate(variant.modules, start=2):
            branches = transition(
                variant.branch_widths(stage),
                pixels_in=before,
                pixels=pixels,
                **common,
                name=f"transition{stage - 1}",
            )(branches, train)
            before = pixels[:stage]
            branches = Stage(
                modules,
                variant.blocks,
                outputs if stage == 4 else stage,
                self.upsample,
                remat=self.remat,
                pixels=before,
                **common,
                name=f"stage{stage}",
            )(branches, train)
            maps = tuple(map(unpack, branches, before))
            self.sow("intermediates", f"after_stage{stage}", maps)
        return maps

    def _first_pixels(self, images: jax.Array) -> int:
        """Pixels per position of stem and stage 1, where rows divide into them."""
        width = images.shape[2]
        if is_symbolic_dim(width) or width % 4:
            return 1
        return pixels_per_position(width // 4, STEM_WIDTH, self.lanes)[0]
