"""How the tensor names of one code base relate to our layer names.

A rule is a pair of templates, ours and theirs; `{x}` stands for a number and a
repeated letter for the same number. Rules are tried in order and work both ways.
"""

import dataclasses
import functools
import re

from hrnet_jax.pretrained.tensor_layouts import TensorLayout

Rule = tuple[str, str]
# Regular expression of our leaves, and how a code base stores them.
LayoutRule = tuple[str, TensorLayout]

# (our layer, official layer). Source: the `state_dict` of the official code.
_BODY: tuple[Rule, ...] = (
    ("stem/conv{k}", "conv{k}"),
    ("stem/norm{k}", "bn{k}"),
    ("stage1/block{n}/conv{k}", "layer1.{n}.conv{k}"),
    ("stage1/block{n}/norm{k}", "layer1.{n}.bn{k}"),
    ("stage1/block{n}/shortcut/conv", "layer1.{n}.downsample.0"),
    ("stage1/block{n}/shortcut/norm", "layer1.{n}.downsample.1"),
    # A new branch sits one list deeper than a branch that only changes width.
    ("transition{t}/branch{t}/conv", "transition{t}.{t}.0.0"),
    ("transition{t}/branch{t}/norm", "transition{t}.{t}.0.1"),
    ("transition{t}/branch{b}/conv", "transition{t}.{b}.0"),
    ("transition{t}/branch{b}/norm", "transition{t}.{b}.1"),
    (
        "stage{s}/module{m}/branch{b}/block{n}/conv{k}",
        "stage{s}.{m}.branches.{b}.{n}.conv{k}",
    ),
    (
        "stage{s}/module{m}/branch{b}/block{n}/norm{k}",
        "stage{s}.{m}.branches.{b}.{n}.bn{k}",
    ),
    (
        "stage{s}/module{m}/exchange/from{j}_to{i}/step{k}/conv",
        "stage{s}.{m}.fuse_layers.{i}.{j}.{k}.0",
    ),
    (
        "stage{s}/module{m}/exchange/from{j}_to{i}/step{k}/norm",
        "stage{s}.{m}.fuse_layers.{i}.{j}.{k}.1",
    ),
    (
        "stage{s}/module{m}/exchange/from{j}_to{i}/conv",
        "stage{s}.{m}.fuse_layers.{i}.{j}.0",
    ),
    (
        "stage{s}/module{m}/exchange/from{j}_to{i}/norm",
        "stage{s}.{m}.fuse_layers.{i}.{j}.1",
    ),
    # V1h, of which no code was ever published.
    ("expand", "expand"),
)


# `output_kind` of an HRNet without a head, which every code base has.
BODY_KIND = "features"


@dataclasses.dataclass(frozen=True)
class Scheme:
    """Tensor names of one code base for one kind of model.

    Attributes:
        convention: the code base.
        kind: `output_kind` of the model class.
        prefix: before the names of the body.
        head: rules of everything else.
        upsample: method inside the exchange that the code base trains with, where
            that is not the model's default.
        upsample_reason: why that is assumed of a file that does not tell; empty
            where the code base knows no other.
        maybe_inplace_abn: whether some of its weights were trained with InPlaceABN.
        layouts: of tensors that are not ours transposed; the others are.
        lacks: (option, value) of models whose tensors these layouts do not hold.
    """

    convention: str
    kind: str
    prefix: str
    head: tuple[Rule, ...]
    upsample: str = ""
    upsample_reason: str = ""
    maybe_inplace_abn: bool = False
    layouts: tuple[LayoutRule, ...] = ()
    lacks: tuple[tuple[str, object], ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} ({self.convention})"

    @property
    def body(self) -> "Scheme":
        """The same names without a head, for models of kind `features`."""
        return dataclasses.replace(self, kind=BODY_KIND, head=(), layouts=())

    @functools.cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Rules of the whole model."""
        body = tuple((ours, self.prefix + theirs) for ours, theirs in _BODY)
        return body + self.head

    def to_torch(self, name: str) -> str | None:
        """Their name of our leaf (`stem/conv1/kernel` -> `conv1.weight`).

        Args:
            name: our leaf without its collection.

        Returns:
            Their name, or None if no rule knows the layer.
        """
        layer, leaf = name.rsplit("/", 1)
        theirs = _translate(layer, self.rules, 0)
        leaves = _NORM_LEAVES if _is_norm(layer) else _LAYER_LEAVES
        return f"{theirs}.{leaves[leaf]}" if theirs and leaf in leaves else None

    def from_torch(self, name: str) -> str | None:
        """Our name of their tensor, the inverse of `to_torch`."""
        if "." not in name:
            return None
        theirs, leaf = name.rsplit(".", 1)
        layer = _translate(theirs, self.rules, 1)
        if layer is None:
            return None
        leaves = _NORM_LEAVES if _is_norm(layer) else _LAYER_LEAVES
        for ours, their_leaf in leaves.items():
            if their_leaf == leaf:
                return f"{layer}/{ours}"
        return None

    def layouts_of(self, name: str) -> tuple[TensorLayout, ...]:
        """How they store our leaf, beyond transposing it; empty for most."""
        found = (
            layout for leaves, layout in self.layouts if re.fullmatch(leaves, name)
        )
        return tuple(found)

    def has_whole_head(self, names: frozenset[str]) -> bool:
        """Whether every layer of the head is among their tensor names."""
        layers = {name.rsplit(".", 1)[0] for name in names}
        return all(
            any(_pattern(theirs).fullmatch(layer) for layer in layers)
            for _, theirs in self.head
        )


_LAYER_LEAVES = {"kernel": "weight", "bias": "bias", "scale": "scale"}
_NORM_LEAVES = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def _is_norm(layer: str) -> bool:
    return layer.rsplit("/", 1)[-1].startswith("norm")


def _translate(layer: str, rules: tuple[Rule, ...], side: int) -> str | None:
    for rule in rules:
        match = _pattern(rule[side]).fullmatch(layer)
        if match:
            return rule[1 - side].format(**match.groupdict())
    return None


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """Regular expression of a template; repeated letters refer back."""
    seen: set[str] = set()
    parts = []
    for text in re.split(r"(\{\w\})", template):
        if not re.fullmatch(r"\{\w\}", text):
            parts.append(re.escape(text))
        elif text in seen:
            parts.append(f"(?P={text[1]})")
        else:
            seen.add(text)
            parts.append(rf"(?P<{text[1]}>\d+)")
    return re.compile("".join(parts))
