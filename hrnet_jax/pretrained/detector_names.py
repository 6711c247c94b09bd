"""Names of whole detectors: backbone, pyramid and heads.

Four generations: `official` is the paper's fork of mmdetection
(HRNet-Object-Detection), `mmdet1` the first release of 2019, `mmdet1x` mmdetection 1.x
since 1.0, `mmdet` mmdetection 2.x and 3.x. All but the last put the background first.
"""

from hrnet_jax.pretrained.scheme import LayoutRule, Rule, Scheme
from hrnet_jax.pretrained.tensor_layouts import (
    BACKGROUND_BOX,
    BACKGROUND_FIRST,
    BACKGROUND_MASK,
    FLATTENED,
    TRANSPOSED,
)

# `output_kind` of the detectors, and what precedes the variant in their names.
DETECTORS = (
    "faster_rcnn",
    "mask_rcnn",
    "cascade_rcnn",
    "cascade_mask_rcnn",
    "fcos",
)

_BACKBONE = "backbone."
# Convention -> names of the pyramid, and what precedes the names of the heads on RoIs.
_GENERATIONS = {
    "official": ("neck.reduction_conv.0", "neck.fpn_conv.{k}", ""),
    "mmdet1": ("neck.reduction_conv.conv", "neck.fpn_conv.{k}", ""),
    "mmdet1x": ("neck.reduction_conv.conv", "neck.fpn_convs.{k}.conv", ""),
    "mmdet": ("neck.reduction_conv.conv", "neck.fpn_convs.{k}.conv", "roi_head."),
}

_LAYOUTS: tuple[LayoutRule, ...] = (
    (r"box_head\d?/fc1/kernel", FLATTENED),
    (r"mask_head\d?/upsample/kernel", TRANSPOSED),
)
_CLASSES_FIRST: tuple[LayoutRule, ...] = (
    (r"box_head\d?/classes/\w+", BACKGROUND_FIRST),
    (r"mask_head\d?/classes/\w+", BACKGROUND_MASK),
)
# Only where every class has boxes of its own.
_BOXES_FIRST: tuple[LayoutRule, ...] = ((r"box_head/deltas/\w+", BACKGROUND_BOX),)


def _pyramid(convention: str) -> tuple[Rule, ...]:
    reduction, level, _ = _GENERATIONS[convention]
    return (("pyramid/reduce", reduction), ("pyramid/level{k}", level))


def _two_stages(convention: str, kind: str) -> tuple[Rule, ...]:
    """Rules of a detector with proposals; in a cascade every stage has its heads."""
    start = _GENERATIONS[convention][2]
    ours, theirs = ("{s}", ".{s}") if kind.startswith("cascade") else ("", "")
    box, mask = f"{start}bbox_head{theirs}", f"{start}mask_head{theirs}"
    rules: tuple[Rule, ...] = (
        ("rpn/conv", "rpn_head.rpn_conv"),
        ("rpn/objectness", "rpn_head.rpn_cls"),
        ("rpn/deltas", "rpn_head.rpn_reg"),
        (f"box_head{ours}/fc1", f"{box}.shared_fcs.0"),
        (f"box_head{ours}/fc2", f"{box}.shared_fcs.1"),
        (f"box_head{ours}/classes", f"{box}.fc_cls"),
        (f"box_head{ours}/deltas", f"{box}.fc_reg"),
    )
    if "mask" not in kind:
        return rules
    return (
        *rules,
        (f"mask_head{ours}/conv{{k}}", f"{mask}.convs.{{k}}.conv"),
        (f"mask_head{ours}/upsample", f"{mask}.upsample"),
        (f"mask_head{ours}/classes", f"{mask}.conv_logits"),
    )


def _fcos(last: str) -> tuple[Rule, ...]:
    """Rules of the head of FCOS, whose last layers were renamed."""
    rules: list[Rule] = []
    for ours, theirs in (("class", "cls"), ("box", "reg")):
        tower, convs = f"fcos/{ours}_tower{{k}}", f"bbox_head.{theirs}_convs.{{k}}"
        rules += [(f"{tower}/conv", f"{convs}.conv"), (f"{tower}/norm", f"{convs}.gn")]
    for ours, theirs in (("classes", "cls"), ("deltas", "reg")):
        rules.append((f"fcos/{ours}", f"bbox_head.{last}_{theirs}"))
    return (
        *rules,
        ("fcos/centerness", f"bbox_head.{last}_centerness"),
        ("fcos/scale{k}", "bbox_head.scales.{k}"),
    )


def _scheme(convention: str, kind: str) -> Scheme:
    head = _pyramid(convention)
    if kind == "fcos":
        head += _fcos("conv" if convention == "mmdet" else "fcos")
        return Scheme(convention, kind, _BACKBONE, head)
    layouts = _LAYOUTS
    lacks: tuple[tuple[str, object], ...] = ()
    if convention != "mmdet":
        shares_boxes = kind.startswith("cascade")
        layouts += _CLASSES_FIRST + (() if shares_boxes else _BOXES_FIRST)
        # Whether there are boxes of the background the layout has to know.
        lacks = (("class_agnostic", not shares_boxes),)
    head += _two_stages(convention, kind)
    return Scheme(convention, kind, _BACKBONE, head, layouts=layouts, lacks=lacks)


def counts_last_pixel(scheme: Scheme) -> bool:
    """Whether these weights were trained with boxes whose last pixel counts.

    So were all detectors with proposals before mmdetection 2.
    """
    has_proposals = scheme.kind in DETECTORS and scheme.kind != "fcos"
    return has_proposals and scheme.convention != "mmdet"


DETECTOR_SCHEMES = tuple(
    _scheme(convention, kind)
    for convention in _GENERATIONS
    for kind in DETECTORS
    # The paper's FCOS is another code base, HRNet-FCOS.
    if (convention, kind) != ("official", "fcos")
)
