"""Facts about a weights file: from its tensors, its name, and the user."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hrnet_jax.errors import WeightsError
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained.detector_names import DETECTORS, counts_last_pixel
from hrnet_jax.pretrained.inplace_abn import uses_inplace_abn
from hrnet_jax.pretrained.known import KnownFile
from hrnet_jax.pretrained.names import find_scheme
from hrnet_jax.pretrained.recognition import Recognized, recognize, scheme_of_names
from hrnet_jax.pretrained.scheme import BODY_KIND, Scheme
from hrnet_jax.pretrained.wrappers import unwrap
from hrnet_jax.registry import model_class

# The caffe means of HRNet-FCOS, on the scale of 0 to 1; images keep OpenCV's order.
_CAFFE = Normalization(
    (102.9801 / 255, 115.9465 / 255, 122.7717 / 255),
    (1 / 255,) * 3,
    "bgr",
)
# mmdetection's FCOS feeds OpenCV's order without swapping the channels.
_SWAPPED = Normalization((0.406, 0.456, 0.485), (0.225, 0.224, 0.229), "bgr")
# A layer that only the FCOS head of mmdetection has.
_FCOS_LAYER = "bbox_head.conv_centerness."

_MOMENTUM = 0.1
_EPSILON = 1e-5


class Stated(Protocol):
    """Facts that a user states about a file; see `conversion.ImportOptions`."""

    @property
    def model(self) -> str | None: ...

    @property
    def upsample(self) -> str | None: ...

    @property
    def inplace_abn(self) -> bool | None: ...

    @property
    def options(self) -> Mapping[str, Any]: ...


@dataclasses.dataclass(frozen=True)
class WeightsFacts:
    """Everything needed to rebuild the network of a file.

    Attributes:
        model: for `create_model`.
        convention: whose names the tensors have.
        options: for `create_model`: outputs, upsampling, ...
        inplace_abn: whether scales are |weight| + 1e-5.
        momentum: of the norms.
        epsilon: of the norms.
        normalization: of images.
        record: of the released file, where it is one.
        assumed: facts that neither file nor record nor user states.
        remarks: what was taken off the names of the tensors, or which part was read.
    """

    model: str
    convention: str
    options: Mapping[str, Any]
    inplace_abn: bool
    momentum: float
    epsilon: float
    normalization: Normalization
    record: KnownFile | None
    assumed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """All decisions as text, for people."""
        chosen = ", ".join(f"{key}={value}" for key, value in self.options.items())
        lines = [f"names of {self.convention}; {chosen or 'no options'}"]
        if self.inplace_abn:
            lines.append("InPlaceABN: scales are |weight| + 1e-5")
        if self.record:
            lines.append(f"released file of {self.record.source}, {self.record.data}")
            lines.append(f"published: {self.record.published}")
            lines.append(f"licence: {self.record.licence or 'not stated'}")
            if self.record.note:
                lines.append(f"note: {self.record.note}")
        lines += self.remarks
        return lines + [f"assumed: {text}" for text in self.assumed]


def gather_facts(
    tensors: Mapping[str, np.ndarray], record: KnownFile | None, stated: Stated
) -> WeightsFacts:
    """Joins what the tensors, the record and the user say.

    Raises:
        WeightsError: where they contradict each other or leave something open that
            changes every output.
    """
    names = unwrap(tensors)
    model, found = _recognize(names, record, stated)
    options = dict(found.options) if found and found.model == model else {}
    if record is not None and record.model == model:
        options |= record.options
    scheme = found.scheme if found else scheme_of_names(names)
    is_fcos = "fcos" in (scheme.convention, scheme.kind)
    is_fcos |= any(_FCOS_LAYER in name for name in names)
    if is_fcos and options.get("levels") == 5:
        options["stride"] = 2
    if found and found.model == model and counts_last_pixel(scheme):
        options["conventions"] = "v1"
    assumed = _upsampling(options, scheme, model, record, stated)
    options |= stated.options
    return WeightsFacts(
        model=model,
        convention=scheme.convention,
        options=options,
        inplace_abn=uses_inplace_abn(
            tensors,
            scheme,
            record,
            stated.inplace_abn,
        ),
        momentum=_or(record and record.momentum, _MOMENTUM),
        epsilon=record.epsilon if record else _EPSILON,
        normalization=_normalization(scheme.convention, is_fcos, record),
        record=record,
        assumed=tuple(assumed),
    )


def _recognize(
    names: Mapping[str, np.ndarray], record: KnownFile | None, stated: Stated
) -> tuple[str, Recognized | None]:
    """The model, and that of the tensors: None where they have no head but it is given.

    Raises:
        WeightsError: if it cannot be recognised, or is not that of the record.
    """
    try:
        found = recognize(names)
    except WeightsError:
        if stated.model is None:
            raise
        return stated.model, None
    if record is not None:
        _check_model(found, record)
    if record is not None and _holds_pyramid_of(found, record):
        return stated.model or record.model, found
    return stated.model or found.model, found


def _check_model(found: Recognized, record: KnownFile) -> None:
    """A file of this name has the model that its tensors have."""
    if found.scheme.kind == BODY_KIND and _variant_of(record.model) == found.variant:
        return
    if _holds_pyramid_of(found, record):
        return
    outputs = found.options.get("num_classes", found.options.get("num_points"))
    if (found.model, outputs) != (record.model, _or(record.outputs, outputs)):
        raise WeightsError(
            f"mislabelled: a released file of this name is {record.model} with "
            f"{record.outputs} outputs ({record.source}), these tensors are "
            f"{found.model} with {outputs}; --record= ignores the name"
        )


def _holds_pyramid_of(found: Recognized, record: KnownFile) -> bool:
    """Whether a released pyramid is within a detector, such as those of HTC."""
    same = found.variant == _variant_of(record.model)
    return same and record.family == "pyramid" and found.scheme.kind in DETECTORS


def _upsampling(
    options: dict[str, Any],
    scheme: Scheme,
    model: str,
    record: KnownFile | None,
    stated: Stated,
) -> list[str]:
    """Decides how the exchange upsamples; returns what had to be assumed."""
    if stated.upsample:
        options["upsample"] = stated.upsample
        return []
    kind = model_class(model).output_kind
    if record and (record.model == model or kind == BODY_KIND):
        options["upsample"] = record.upsample
        return []
    if kind == BODY_KIND and not scheme.upsample:
        options["upsample"] = "nearest"
        is_alone = scheme.kind == BODY_KIND
        return ["upsample=nearest, as classifiers (--upsample)"] if is_alone else []
    # The names may be those of another head, or of none.
    published = scheme
    if kind != BODY_KIND:
        published = find_scheme(kind, scheme.convention) or scheme
    if not published.upsample:
        return []
    options["upsample"] = published.upsample
    if not published.upsample_reason:
        return []
    return [f"upsample={published.upsample}, {published.upsample_reason}"]


def _normalization(
    convention: str, is_fcos: bool, record: KnownFile | None
) -> Normalization:
    if record is not None:
        return Normalization(record.mean, record.std, record.channel_order)
    if convention == "fcos" or (is_fcos and convention.startswith("mmdet1")):
        return _CAFFE
    return _SWAPPED if is_fcos else Normalization()


def _variant_of(model: str) -> str:
    """`w48` of `segmentation/w48_ocr`."""
    name = f"_{model.partition('/')[2]}_"
    return max((one for one in VARIANTS if f"_{one}_" in name), key=len, default="")


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
