"""The high-resolution network: stem, parallel branches and their exchange.

Source: "High-Resolution Representations for Labeling Pixels and Regions" and
the official repositories. Four branches run at strides 4, 8, 16 and 32; every
module ends by exchanging information between all of them.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.export import is_symbolic_dim

from hrnet_jax.models.batch_norm import BatchNorm, NormOptions
from hrnet_jax.models.exchange import Exchange
from hrnet_jax.models.facts import ModelFacts
from hrnet_jax.models.layers import (
    BasicBlock,
    Bottleneck,
    Conv,
    ConvNorm,
    at_least_float32,
    jit_block,
    relu,
)
from hrnet_jax.models.packing import Map, pack, pack_width, unpack
from hrnet_jax.models.rematerialisation import remat_policy, rematerialised
from hrnet_jax.models.representations import (
    branches_kept,
    concatenate,
    upsample_between,
)
from hrnet_jax.models.variants import get_variant

Dtype = Any
Maps = tuple[Map, ...]

# Channels of both convolutions of the stem.
STEM_WIDTH = 64


class Stem(nn.Module):
    """Two stride-2 convolutions of 64 channels: images to stride 4."""

    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Maps images [B, H, W, 3] to [B, ceil(H / 4), ceil(W / 4), 64]."""
        for index in (1, 2):
            conv = Conv(STEM_WIDTH, stride=2, dtype=self.dtype, name=f"conv{index}")
            norm = BatchNorm(self.norm, self.dtype, name=f"norm{index}")
            x = relu(norm(conv(x), train))
        return x


class Stage1(nn.Module):
    """The bottlenecks on the single branch of stage 1."""

    width: int
    blocks: int
    norm: NormOptions
    dtype: Dtype
    remat: str = "none"

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Maps [B, H, W, 64] to [B, H, W, 4 * width]."""
        block = rematerialised(Bottleneck, "bottleneck", self.remat)
        for index in range(self.blocks):
            x = block(self.width, self.norm, self.dtype, name=f"block{index}")(x, train)
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
            x = branches[-1 if is_new else index]
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
    remat: str = "none"

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Maps [B, H, W, C] to the same shape."""
        block = rematerialised(BasicBlock, "block", self.remat)
        features = x.shape[-1]
        for index in range(self.blocks):
            x = block(features, self.norm, self.dtype, name=f"block{index}")(x, train)
        return x


class Module(nn.Module):
    """One multi-resolution module: parallel branches, then the exchange."""

    blocks: int
    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype
    remat: str = "none"

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n maps at n resolutions to the first `outputs` of them."""
        common = {"norm": self.norm, "dtype": self.dtype}
        branches = tuple(
            Branch(self.blocks, remat=self.remat, **common, name=f"branch{index}")(
                x, train
            )
            for index, x in enumerate(branches)
        )
        exchange = Exchange(self.outputs, self.upsample, **common, name="exchange")
        return exchange(branches, train)


class Stage(nn.Module):
    """A sequence of modules on the same number of branches.

    Attributes:
        modules: number of modules.
        blocks: basic blocks per branch and module.
        outputs: resolutions that the last module computes.
        remat: what the backward pass computes again, see `rematerialisation`.
    """

    modules: int
    blocks: int
    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype
    remat: str = "none"

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n maps at n resolutions to the first `outputs` of them."""
        module = jit_block(rematerialised(Module, "module", self.remat))
        for index in range(self.modules):
            is_last = index == self.modules - 1
            branches = module(
                self.blocks,
                self.outputs if is_last else len(branches),
                self.upsample,
                self.norm,
                self.dtype,
                self.remat,
                name=f"module{index}",
            )(branches, train)
        return branches


class HRNet(ModelFacts, nn.Module):
    """The network without a head: from images to maps of four resolutions.

    Outputs of every stage are sown as intermediate `after_stage<s>`, for those who
    apply the model with `mutable=["intermediates"]`.

    Attributes:
        output_kind: selects the naming scheme in `pretrained.names`.
        representations: those that the model may be asked for.
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
        concatenate: whether the model returns one map of all resolutions, upsampled
            to the highest, instead of a tuple.
    """

    output_kind: ClassVar = "features"
    representations: ClassVar = ("v1", "v1h", "v2")

    variant: str
    representation: str = "v2"
    upsample: str = "bilinear"
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32
    remat: str | bool = "none"
    lanes: int = 0
    concatenate: bool = False

    def __post_init__(self):
        self.remat = remat_policy(self.remat)
        super().__post_init__()

    @classmethod
    def create(cls, variant: str, **options: Any) -> "HRNet":
        """The constructor, under the name that models with heads have for it."""
        return cls(variant, **options)

    @classmethod
    def option_names(cls) -> list[str]:
        """Names of the options, all attributes except the variant."""
        names = [field.name for field in dataclasses.fields(cls)]
        return [name for name in names if name not in ("variant", "name", "parent")]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the maps that the model returns."""
        widths = get_variant(self.variant).branch_widths()
        if self.representation == "v1h":
            return (sum(widths),)
        widths = widths[: branches_kept(self.representation)]
        return (sum(widths),) if self.concatenate else widths

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image, in each direction, to one of each of these maps."""
        return tuple(4 * 2**branch for branch in range(len(self.channels)))

    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[jax.Array, ...] | jax.Array:
        """Maps normalised images to the maps of the representation.

        Args:
            images: float [B, H, W, 3], any H and W.
            train: whether batch norm uses and updates batch statistics.

        Returns:
            A float32 map [B, ceil(H / s), ceil(W / s), C] for each of `strides` and
            `channels`, or the one map itself if concatenated.
        """
        maps = self.represent(images, train)
        if self.concatenate:
            joined = concatenate(maps, upsample_between(self.upsample))
            return at_least_float32(joined)
        return tuple(map(at_least_float32, maps))

    @nn.compact
    def represent(self, images: jax.Array, train: bool) -> tuple[jax.Array, ...]:
        """Computes the maps of the representation for a head, in the compute type.

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

    def _branches(
        self, images: jax.Array, train: bool, outputs: int
    ) -> tuple[jax.Array, ...]:
        """The first `outputs` branches after stage 4."""
        variant = get_variant(self.variant)
        common = {"norm": self.norm, "dtype": self.dtype}
        remat = remat_policy(self.remat)
        stem = rematerialised(Stem, "stem", remat)
        transition = rematerialised(Transition, "transition", remat)
        x = self._packed_images(images.astype(self.dtype))
        x = stem(**common, name="stem")(x, train)
        x = Stage1(
            variant.stage1_width,
            variant.stage1_blocks,
            remat=remat,
            **common,
            name="stage1",
        )(x, train)
        self.sow("intermediates", "after_stage1", (unpack(x),))
        branches: Maps = (pack(x, pack_width(x.shape[2], variant.width, self.lanes)),)
        for stage, modules in enumerate(variant.modules, start=2):
            branches = transition(
                variant.branch_widths(stage), **common, name=f"transition{stage - 1}"
            )(branches, train)
            branches = Stage(
                modules,
                variant.blocks,
                outputs if stage == 4 else stage,
                self.upsample,
                remat=remat,
                **common,
                name=f"stage{stage}",
            )(branches, train)
            maps = tuple(map(unpack, branches))
            self.sow("intermediates", f"after_stage{stage}", maps)
        return maps

    def _packed_images(self, images: jax.Array) -> Map:
        """Images packed so that what the stem makes of them fills the lanes."""
        width = images.shape[2]
        if is_symbolic_dim(width) or width % 4:
            return images
        pixels = pack_width(width // 4, STEM_WIDTH, self.lanes)
        # Images stay unpacked where the maps of the stem are.
        return pack(images, 4 * pixels) if pixels > 1 else images
