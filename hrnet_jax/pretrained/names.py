"""The one map between our layer names and those of PyTorch code bases.

A rule is a pair of templates, ours and theirs; `{x}` stands for a number and a
repeated letter for the same number. Rules are tried in order and work both ways.
All code bases share the names of the body, some behind a prefix; every code base
has a scheme for each kind of model that it publishes.
"""

import dataclasses
import functools
import re

from hrnet_jax.models.resize import BY_FACTOR

Rule = tuple[str, str]

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


def _pixel_head(ours: str, first: str, norm: str, last: str) -> tuple[Rule, ...]:
    """Rules of a `PixelHead`."""
    return (
        (f"{ours}/project", first),
        (f"{ours}/norm", norm),
        (f"{ours}/classifier", last),
    )


def _layers(ours: str, conv: str, norm: str) -> tuple[Rule, ...]:
    """Rules of a `ConvNorm`."""
    return ((f"{ours}/conv", conv), (f"{ours}/norm", norm))


def _increase(start: str) -> tuple[Rule, ...]:
    """Rules of the bottlenecks that widen the branches of a classifier."""
    return (
        ("increase{b}/conv{k}", f"{start}.{{b}}.0.conv{{k}}"),
        ("increase{b}/norm{k}", f"{start}.{{b}}.0.bn{{k}}"),
        ("increase{b}/shortcut/conv", f"{start}.{{b}}.0.downsample.0"),
        ("increase{b}/shortcut/norm", f"{start}.{{b}}.0.downsample.1"),
    )


_CLASSIFIER: tuple[Rule, ...] = (
    *_increase("incre_modules"),
    *_layers("downsample{b}", "downsamp_modules.{b}.0", "downsamp_modules.{b}.1"),
    *_layers("final", "final_layer.0", "final_layer.1"),
    ("classifier", "classifier"),
)


def _mmpretrain_classifier() -> tuple[Rule, ...]:
    start = "neck.0.downsample_layers.{b}"
    return (
        *_increase("neck.0.increase_layers"),
        *_layers("downsample{b}", f"{start}.conv", f"{start}.bn"),
        *_layers("final", "neck.0.final_layer.conv", "neck.0.final_layer.bn"),
        ("classifier", "head.fc"),
    )


def _official_ocr() -> tuple[Rule, ...]:
    block = "ocr_distri_head.object_context_block"
    rules = _pixel_head("aux", *(f"aux_head.{index}" for index in (0, 1, 3)))
    rules += _layers("ocr/pixels", "conv3x3_ocr.0", "conv3x3_ocr.1")
    for ours, theirs in (("query", "f_pixel"), ("key", "f_object")):
        for index in (0, 1):
            start = f"{block}.{theirs}"
            rules += _layers(
                f"ocr/attention/{ours}{index}",
                f"{start}.{2 * index}",
                f"{start}.{2 * index + 1}.0",
            )
    for ours, theirs in (("value", "f_down"), ("out", "f_up")):
        start = f"{block}.{theirs}"
        rules += _layers(f"ocr/attention/{ours}", f"{start}.0", f"{start}.1.0")
    start = "ocr_distri_head.conv_bn_dropout"
    rules += _layers("ocr/fuse", f"{start}.0", f"{start}.1.0")
    return (*rules, ("ocr/classifier", "cls_head"))


def _mmseg_ocr() -> tuple[Rule, ...]:
    first, head = "decode_head.0", "decode_head.1"
    block = f"{head}.object_context_block"
    rules = _pixel_head(
        "aux", f"{first}.convs.0.conv", f"{first}.convs.0.bn", f"{first}.conv_seg"
    )
    pairs = [("pixels", f"{head}.bottleneck"), ("fuse", f"{block}.bottleneck")]
    for name in ("query", "key"):
        for index in (0, 1):
            pairs.append(
                (f"attention/{name}{index}", f"{block}.{name}_project.{index}")
            )
    for name in ("value", "out"):
        pairs.append((f"attention/{name}", f"{block}.{name}_project"))
    for ours, theirs in pairs:
        rules += _layers(f"ocr/{ours}", f"{theirs}.conv", f"{theirs}.bn")
    return (*rules, ("ocr/classifier", f"{head}.conv_seg"))


def _pyramid(reduction: str, level: str) -> tuple[Rule, ...]:
    return (("pyramid/reduce", reduction), ("pyramid/level{k}", level))


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
    """

    convention: str
    kind: str
    prefix: str
    head: tuple[Rule, ...]
    upsample: str = ""
    upsample_reason: str = ""
    maybe_inplace_abn: bool = False

    def __str__(self) -> str:
        return f"{self.kind} ({self.convention})"

    @property
    def body(self) -> "Scheme":
        """The same names without a head, for models of kind `features`."""
        return dataclasses.replace(self, kind=BODY_KIND, head=())

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

    def has_whole_head(self, names: frozenset[str]) -> bool:
        """Whether every layer of the head is among their tensor names."""
        layers = {name.rsplit(".", 1)[0] for name in names}
        return all(
            any(_pattern(theirs).fullmatch(layer) for layer in layers)
            for _, theirs in self.head
        )


_INDICES = (0, 1, 3)
_MIT = _pixel_head("head", "cbr.0", "cbr.1", "conv_last")
_BACKBONE = "backbone."

# `official`: the five repositories of the authors, and timm, which kept their names;
# its pyramid is that of HRNet-Object-Detection. `mmdet1` is the first release of
# 2019, `mit` is semantic-segmentation-pytorch (encoder `hrnetv2`, decoder `c1`, each in
# a file of its own), `mmpose0` and `mmpose1` are the generations 0.x and 1.x, `fcos` is HRNet-FCOS
# and `maskrcnn_benchmark` HRNet-MaskRCNN-Benchmark.
SCHEMES: tuple[Scheme, ...] = (
    Scheme("official", "classification", "", _CLASSIFIER),
    Scheme(
        "official",
        "segmentation",
        "",
        _pixel_head("head", *(f"last_layer.{index}" for index in _INDICES)),
        upsample="bilinear",
        upsample_reason="as most segmentation files of this kind; ADE20K and "
        "COCO-Stuff were trained with aligned corners, other data without (--upsample)",
        maybe_inplace_abn=True,
    ),
    Scheme(
        "official",
        "segmentation_ocr",
        "",
        _official_ocr(),
        upsample="align_corners",
        upsample_reason="as all released OCR files (--upsample)",
        maybe_inplace_abn=True,
    ),
    Scheme(
        "official",
        "landmarks",
        "",
        _pixel_head("head", *(f"head.{index}" for index in _INDICES)),
    ),
    Scheme("official", "pose", "", (("classifier", "final_layer"),)),
    Scheme(
        "official",
        "pyramid",
        _BACKBONE,
        _pyramid("neck.reduction_conv.0", "neck.fpn_conv.{k}"),
    ),
    Scheme("mmpretrain", "classification", _BACKBONE, _mmpretrain_classifier()),
    Scheme(
        "mmseg",
        "segmentation",
        _BACKBONE,
        _pixel_head(
            "head",
            "decode_head.convs.0.conv",
            "decode_head.convs.0.bn",
            "decode_head.conv_seg",
        ),
        upsample=BY_FACTOR,
    ),
    Scheme("mmseg", "segmentation_ocr", _BACKBONE, _mmseg_ocr(), upsample=BY_FACTOR),
    Scheme("mit", "segmentation", "", _MIT, upsample="bilinear"),
    Scheme(
        "mmdet",
        "pyramid",
        _BACKBONE,
        _pyramid("neck.reduction_conv.conv", "neck.fpn_convs.{k}.conv"),
    ),
    Scheme(
        "mmdet1",
        "pyramid",
        _BACKBONE,
        _pyramid("neck.reduction_conv.conv", "neck.fpn_conv.{k}"),
    ),
    Scheme(
        "maskrcnn_benchmark",
        "pyramid",
        "backbone.body.",
        _pyramid("backbone.neck.reduction_conv.0", "backbone.neck.fpn_conv.{k}"),
    ),
    Scheme(
        "fcos",
        "pyramid",
        "backbone.body.",
        _pyramid("backbone.fpn.reduction_conv.0", "backbone.fpn.fpn_conv.{k}"),
    ),
    Scheme(
        "mmpose0",
        "landmarks",
        _BACKBONE,
        _pixel_head("head", *(f"keypoint_head.final_layer.{i}" for i in _INDICES)),
        upsample=BY_FACTOR,
    ),
    Scheme(
        "mmpose0", "pose", _BACKBONE, (("classifier", "keypoint_head.final_layer"),)
    ),
    Scheme(
        "mmpose1",
        "landmarks",
        _BACKBONE,
        _pixel_head(
            "head", "head.conv_layers.0", "head.conv_layers.1", "head.final_layer"
        ),
        upsample=BY_FACTOR,
    ),
    Scheme("mmpose1", "pose", _BACKBONE, (("classifier", "head.final_layer"),)),
)

# Patterns of our names that belong to task heads; what an ImageNet checkpoint
# and a segmentation model do not share.
HEAD_PATTERNS = (
    r"^(head|aux|ocr|pyramid|expand)/",
    r"^(increase|downsample)\d/",
    r"^final/",
    r"^classifier/",
)

_LAYER_LEAVES = {"kernel": "weight", "bias": "bias"}
_NORM_LEAVES = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def conventions(kind: str) -> tuple[str, ...]:
    """The code bases that publish a kind of model."""
    found = [s.convention for s in SCHEMES if kind in (s.kind, BODY_KIND)]
    return tuple(dict.fromkeys(found))


def find_scheme(kind: str, convention: str) -> Scheme | None:
    """The scheme of a kind of model in a code base, if there is one."""
    for scheme in SCHEMES:
        if scheme.convention == convention and kind in (scheme.kind, BODY_KIND):
            return scheme.body if kind == BODY_KIND else scheme
    return None


def body_scheme(convention: str) -> Scheme:
    """The names that all models of a code base have for the body.

    Raises:
        KeyError: for a code base without names.
    """
    for scheme in SCHEMES:
        if scheme.convention == convention:
            return scheme.body
    raise KeyError(convention)


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
