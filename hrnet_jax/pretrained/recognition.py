"""Recognises the model of a state dict from its names and shapes."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from hrnet_jax.errors import WeightsError
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.pretrained.detector_names import DETECTORS
from hrnet_jax.pretrained.fit import listed
from hrnet_jax.pretrained.names import SCHEMES, body_scheme, conventions
from hrnet_jax.pretrained.scheme import BODY_KIND, Scheme


@dataclasses.dataclass(frozen=True)
class Recognized:
    """Facts about a state dict from its names and shapes.

    Attributes:
        scheme: whose names these are, and of which kind of model.
        variant: name in `VARIANTS`.
        options: for `create_model`: number of outputs, representation, ...
    """

    scheme: Scheme
    variant: str
    options: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Name for `create_model`."""
        if self.scheme.kind in DETECTORS:
            return f"detection/{self.scheme.kind}_{self.variant}"
        family, _, suffix = self.scheme.kind.partition("_")
        return f"{family}/{self.variant}" + (f"_{suffix}" if suffix else "")


def recognize(tensors: Mapping[str, np.ndarray]) -> Recognized:
    """Tells the model of an unwrapped state dict.

    A whole body, alone or with a part of a classifier's head, is one of `features`.

    Raises:
        WeightsError: if no kind of model fits, several do, there is a head alone, or
            the widths are those of no variant.
    """
    found = _with_whole_heads(tensors)
    scheme = _only(found) if found else _body_alone(tensors)
    if scheme is None:
        raise WeightsError(
            "the names are not those of a whole HRNet model: no head of "
            f"{', '.join(dict.fromkeys(scheme.kind for scheme in SCHEMES))} is "
            f"complete; the tensors are {listed(tensors)}"
        )
    shapes = _shapes(tensors, scheme)
    if found and "stem/conv1/kernel" not in shapes:
        raise WeightsError(
            f"a head of {scheme} without the body of a network: {listed(tensors)}; "
            "scripts/convert.py takes several files that are parts of one network"
        )
    variant = _variant(shapes)
    return Recognized(scheme, variant, _options(scheme.kind, shapes, variant))


def _shapes(tensors: Mapping[str, np.ndarray], scheme: Scheme) -> dict[str, tuple]:
    """Shapes in PyTorch's layout by our names, of those that have one."""
    return {
        ours: tuple(value.shape)
        for name, value in tensors.items()
        if (ours := scheme.from_torch(name)) is not None
    }


def _body_alone(tensors: Mapping[str, np.ndarray]) -> Scheme | None:
    """The names of a body that has at most a part of a classifier's head, if any."""
    bodies = [body_scheme(name) for name in conventions(BODY_KIND)]
    body = max(bodies, key=lambda one: len(_explained(one, tensors)))
    classifiers = [
        scheme
        for scheme in SCHEMES
        if (scheme.kind, scheme.prefix) == ("classification", body.prefix)
    ]
    explained = _explained(body, tensors)
    explained |= {name for one in classifiers for name in _explained(one, tensors)}
    try:
        _variant(_shapes(tensors, body))
    except WeightsError:
        return None
    return body if explained >= tensors.keys() else None


def scheme_of_model(names: Collection[str], kind: str) -> Scheme:
    """The scheme of one kind of model that explains most names; the first of equals.

    What does not fit is listed where the names are compared.

    Raises:
        WeightsError: if no code base has models of this kind.
    """
    schemes = [scheme for scheme in SCHEMES if scheme.kind == kind]
    if kind == BODY_KIND:
        schemes = [scheme.body for scheme in SCHEMES]
    if not schemes:
        raise WeightsError(
            f"no code base here has {kind} models; 'features/<variant>' reads the body "
            "of any model"
        )
    return max(schemes, key=lambda scheme: len(_explained(scheme, names)))


def scheme_of_names(names: Collection[str]) -> Scheme:
    """The scheme that names follow, with or without a head.

    Raises:
        WeightsError: if they follow none, or two with different heads.
    """
    found = _with_whole_heads(names)
    if found:
        return _only(found)
    best = max(SCHEMES, key=lambda scheme: len(_explained(scheme, names)))
    if not _explained(best, names):
        raise WeightsError(f"these are not names of an official HRNet: {listed(names)}")
    return best


def _explained(scheme: Scheme, names: Collection[str]) -> frozenset[str]:
    return frozenset(name for name in names if scheme.from_torch(name))


def _with_whole_heads(names: Collection[str]) -> dict[Scheme, frozenset[str]]:
    """Schemes whose head is there, each with the names it explains.

    One that explains no more than another is left out: every landmark file of
    mmpose also has the names of a pose head.
    """
    names = frozenset(names)
    found = {
        scheme: _explained(scheme, names)
        for scheme in SCHEMES
        if scheme.has_whole_head(names)
    }
    return {
        scheme: mine
        for scheme, mine in found.items()
        if not any(mine < others for others in found.values())
    }


def _only(found: Mapping[Scheme, frozenset[str]]) -> Scheme:
    if len(found) > 1:
        raise WeightsError(
            "the names fit several models: "
            f"{', '.join(str(scheme) for scheme in found)}; name the model"
        )
    return next(iter(found))


def _count(shapes: Mapping[str, tuple], template: str) -> int:
    """How many of `template.format(0)`, `(1)`, ... are there without a gap."""
    index = 0
    while template.format(index) in shapes:
        index += 1
    return index


def _variant(shapes: Mapping[str, tuple]) -> str:
    """Name of the variant with these widths and numbers of blocks."""
    block = "stage4/module0/branch0/block{}/conv1/kernel"

    def modules(stage: int) -> int:
        first = "branch0/block0/conv1/kernel"
        return _count(shapes, f"stage{stage}/module{{}}/{first}")

    first = shapes.get(block.format(0), ())
    bottleneck = shapes.get("stage1/block0/conv1/kernel", ())
    found = Variant(
        width=first[0] if first else 0,
        stage1_blocks=_count(shapes, "stage1/block{}/conv1/kernel"),
        stage1_width=bottleneck[0] if bottleneck else 0,
        modules=(modules(2), modules(3), modules(4)),
        blocks=_count(shapes, block),
    )
    for name, variant in VARIANTS.items():
        if variant == found:
            return name
    raise WeightsError(
        f"no HRNet variant has these sizes: {found}; "
        f"expected one of {', '.join(VARIANTS)}"
    )


def _options(kind: str, shapes: Mapping[str, tuple], variant: str) -> dict[str, Any]:
    """Options of the model; shapes are in PyTorch's layout, names are ours."""
    read = {
        option: tell(shapes, variant) for option, tell in _OPTIONS.get(kind, {}).items()
    }
    return {option: value for option, value in read.items() if value is not None}


def _representation(shapes: Mapping[str, tuple], variant: str) -> str:
    if "expand/kernel" in shapes:
        return "v1h"
    channels = _size(shapes, "head/project/kernel", 1)
    return "v1" if channels == VARIANTS[variant].width else "v2"


def _body_representation(shapes: Mapping[str, tuple], variant: str) -> str:
    if "expand/kernel" in shapes:
        return "v1h"
    last = VARIANTS[variant].modules[2] - 1
    path = f"stage4/module{last}/exchange/from0_to1/"
    return "v2" if any(name.startswith(path) for name in shapes) else "v1"


_Read = Callable[[Mapping[str, tuple], str], Any]


def _channels(kernel: str) -> _Read:
    """The output channels of a layer."""
    return lambda shapes, variant: _size(shapes, kernel, 0)


def _size(shapes: Mapping[str, tuple], kernel: str, axis: int) -> int:
    """One side of a kernel of the head.

    Raises:
        WeightsError: if it is not there, or has too few dimensions.
    """
    shape = shapes.get(kernel)
    if shape is None or len(shape) <= axis:
        what = "is missing" if shape is None else f"has the shape {shape}"
        raise WeightsError(
            f"a layer of the head has no usable weight: what is {kernel!r} here {what}, "
            f"expected at least {axis + 1} dimensions"
        )
    return shape[axis]


def _has(name: str) -> _Read:
    """Whether there is an array."""
    return lambda shapes, variant: name in shapes


def _head_width(shapes: Mapping[str, tuple], variant: str) -> int | None:
    width, channels = (_size(shapes, "head/project/kernel", axis) for axis in (0, 1))
    return None if width == channels else width


def _head_kernel(shapes: Mapping[str, tuple], variant: str) -> int | None:
    side = _size(shapes, "head/project/kernel", 2)
    return None if side == 1 else side


_PYRAMID: dict[str, _Read] = {
    "features": _channels("pyramid/reduce/kernel"),
    "levels": lambda shapes, variant: _count(shapes, "pyramid/level{}/kernel"),
}


def _two_stages(stage: str) -> dict[str, _Read]:
    """Options of a detector with proposals; `stage` numbers its first box head."""
    head = f"box_head{stage}"

    def shares_boxes(shapes: Mapping[str, tuple], variant: str) -> bool | None:
        # Of one class both forms have four numbers and are the same.
        one_class = _size(shapes, f"{head}/classes/kernel", 0) == 2
        return None if one_class else _size(shapes, f"{head}/deltas/kernel", 0) == 4

    return _PYRAMID | {
        # The last of the outputs is the background.
        "num_classes": lambda shapes, variant: (
            _size(shapes, f"{head}/classes/kernel", 0) - 1
        ),
        "head_width": _channels(f"{head}/fc1/kernel"),
        "class_agnostic": shares_boxes,
    }


# Kind of model -> option -> how shapes tell its value; None: the model's default.
_OPTIONS: dict[str, dict[str, _Read]] = {
    "classification": {
        "num_classes": _channels("classifier/kernel"),
        "head_bias": _has("final/conv/bias"),
    },
    BODY_KIND: {"representation": _body_representation},
    "landmarks": {
        "num_points": _channels("head/classifier/kernel"),
        "representation": _representation,
    },
    "pose": {"num_points": _channels("classifier/kernel")},
    "pyramid": _PYRAMID,
    "faster_rcnn": _two_stages(""),
    "mask_rcnn": _two_stages(""),
    "cascade_rcnn": _two_stages("0"),
    "cascade_mask_rcnn": _two_stages("0"),
    "fcos": _PYRAMID | {"num_classes": _channels("fcos/classes/kernel")},
    "segmentation": {
        "num_classes": _channels("head/classifier/kernel"),
        "head_bias": _has("head/project/bias"),
        "head_width": _head_width,
        "head_kernel": _head_kernel,
        "representation": _representation,
    },
    "segmentation_ocr": {
        "num_classes": _channels("ocr/classifier/kernel"),
        "head_bias": _has("aux/project/bias"),
    },
}
