"""The models of all tasks: an HRNet and a head that reads its maps."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from flax import linen as nn

from hrnet_jax.models.facts import ModelFacts
from hrnet_jax.models.hrnet import HRNet


def _of_backbone(name: str) -> property:
    return property(lambda self: getattr(self.backbone, name))


class HRNetWithHead(ModelFacts, nn.Module):
    """Base of models that read the representation of an HRNet.

    A subclass calls `self.backbone.represent(images, train)` in its `__call__` and
    names its own modules. Both share one scope, so that the names of all parameters
    start at `stem`, `stage1`, ..., whatever reads them: checkpoints of one task start
    models of another.

    Attributes:
        backbone_defaults: options of the backbone that the family's official weights
            were trained with, where they are not those of `HRNet`.
        backbone: computes the representation.
    """

    backbone_defaults: ClassVar[Mapping[str, Any]] = {}

    backbone: HRNet

    variant = _of_backbone("variant")
    representation = _of_backbone("representation")
    upsample = _of_backbone("upsample")
    norm = _of_backbone("norm")
    dtype = _of_backbone("dtype")
    remat = _of_backbone("remat")
    lanes = _of_backbone("lanes")

    @classmethod
    def create(cls, variant: str, **options: Any) -> "HRNetWithHead":
        """The model around a new backbone.

        Args:
            variant: name in `variants.VARIANTS`.
            **options: those in `option_names()`.
        """
        own = _own_options(cls)
        given = {name: value for name, value in options.items() if name not in own}
        backbone = HRNet(variant, **(dict(cls.backbone_defaults) | given))
        head = {name: value for name, value in options.items() if name in own}
        return cls(backbone, **head)

    @classmethod
    def option_names(cls) -> list[str]:
        """Names of the options of `create`."""
        excluded = {"concatenate"}
        if not cls.representations:
            excluded.add("representation")
        shared = [name for name in HRNet.option_names() if name not in excluded]
        return shared + _own_options(cls)

    def setup(self):
        nn.share_scope(self, self.backbone)

    def clone(self, **updates: Any) -> "HRNetWithHead":
        """A copy with other options, of the backbone too (see `nn.Module.clone`)."""
        shared = set(HRNet.option_names()) | {"variant"}
        given = {name: updates.pop(name) for name in shared & set(updates)}
        if given:
            updates["backbone"] = self.backbone.clone(**given)
        return super().clone(**updates)


# What `create_model` returns.
Model = HRNet | HRNetWithHead


def _own_options(cls: type[HRNetWithHead]) -> list[str]:
    names = [field.name for field in dataclasses.fields(cls)]
    return [name for name in names if name not in ("backbone", "name", "parent")]
