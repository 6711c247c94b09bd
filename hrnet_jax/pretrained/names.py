"""The one map between our layer names and those of PyTorch code bases.

All code bases share the names of the body, some behind a prefix; every code base
has a scheme for each kind of model that it publishes.
"""

from hrnet_jax.models.resize import BY_FACTOR
from hrnet_jax.pretrained.detector_names import DETECTOR_SCHEMES
from hrnet_jax.pretrained.scheme import BODY_KIND, Rule, Scheme


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


_INDICES = (0, 1, 3)
_MIT = _pixel_head("head", "cbr.0", "cbr.1", "conv_last")
_BACKBONE = "backbone."

# `official`: the five repositories of the authors, and timm, which kept their names;
# its pyramid is that of HRNet-Object-Detection. `mmdet1` is the first release of
# 2019, `mmdet` what followed (see `detector_names`), `mit` is semantic-segmentation-pytorch (encoder `hrnetv2`, decoder `c1`, each in
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
    *DETECTOR_SCHEMES,
)

# Patterns of our names that belong to task heads; what an ImageNet checkpoint
# and a segmentation model do not share.
HEAD_PATTERNS = (
    r"^(head|aux|ocr|pyramid|expand)/",
    r"^(rpn|fcos)/",
    r"^(box|mask)_head\d?/",
    r"^(increase|downsample)\d/",
    r"^final/",
    r"^classifier/",
)


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
