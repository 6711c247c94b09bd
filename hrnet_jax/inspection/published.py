"""Sizes and costs as the papers and the official repositories print them.

What the publications count: trainable parameters, the norms' scales and biases
included, in units of 10**6; multiply-adds of convolutions and linear layers, called
GFLOPs, in units of 1024**3. Exceptions carry their unit and a note. No publication
gives the pyramid without a detector, so it is compared through Faster R-CNN.
"""

import dataclasses
import decimal

MEGA = 10**6
MEBI = 2**20
GIGA = 10**9
GIBI = 2**30
SYMBOLS = {MEGA: "M", MEBI: "Mi", GIGA: "G", GIBI: "Gi"}

# Parameters of Faster R-CNN of HRNet-Object-Detection beyond the pyramid: RPN, two
# linear layers of 1024, 81 classes with a box each.
FASTER_RCNN_HEADS = 14_904_740


@dataclasses.dataclass(frozen=True)
class Published:
    """One line of a published table.

    Attributes:
        model: name in the registry.
        outputs: number of classes or points; None for the pyramid.
        size: height and width of the input, in pixels.
        source: where it is printed.
        parameters: as printed, in units of `parameters_unit`; empty if not given.
        multiply_adds: as printed, in units of `multiply_adds_unit`; empty if not
            given.
        parameters_unit: 10**6, or 2**20 where the publication counts in those.
        multiply_adds_unit: 2**30, or 10**9.
        other_parameters: of parts that are in the publication's count and not in
            our model.
        note: what is known of a deviation.
    """

    model: str
    outputs: int | None
    size: tuple[int, int]
    source: str
    parameters: str = ""
    multiply_adds: str = ""
    parameters_unit: int = MEGA
    multiply_adds_unit: int = GIBI
    other_parameters: int = 0
    note: str = ""

    def parameters_agree(self, count: int) -> bool:
        """Whether `count` parameters are what is printed; true if nothing is."""
        return not self.parameters or is_printed_as(
            count + self.other_parameters, self.parameters_unit, self.parameters
        )

    def multiply_adds_agree(self, count: int) -> bool:
        """Whether `count` multiply-adds are what is printed; true if nothing is."""
        return not self.multiply_adds or is_printed_as(
            count, self.multiply_adds_unit, self.multiply_adds
        )


def is_printed_as(count: int, unit: int, printed: str) -> bool:
    """Whether a count in some unit, rounded or cut, gives the printed digits.

    The tables do both: 70,372,678 parameters are printed as 70.3M, 37,712,220 as
    37.7M and 13,187,464 as 13.2M.
    """
    expected = decimal.Decimal(printed)
    value = decimal.Decimal(count) / unit
    return expected in (
        value.quantize(expected, decimal.ROUND_HALF_UP),
        value.quantize(expected, decimal.ROUND_DOWN),
    )


def published(
    model: str, outputs: int | None, size: tuple[int, int]
) -> list[Published]:
    """Published figures of a model, input size and number of outputs.

    Args:
        model: name in the registry.
        outputs: classes or points; None for the pyramid.
        size: height and width, in pixels.
    """
    return [
        record
        for record in PUBLISHED
        if (record.model, record.outputs, record.size) == (model, outputs, size)
    ]


def quantity(value: float | str, unit: int) -> str:
    """A value with the symbol of its unit: `65.9 M`, `696.18 Gi`."""
    digits = value if isinstance(value, str) else f"{value:.2f}"
    return f"{digits} {SYMBOLS[unit]}"


# "Deep High-Resolution Representation Learning for Visual Recognition".
_PAPER = "arXiv 1908.07919"


def _classification(variant: str, parameters: str, multiply_adds: str) -> Published:
    return Published(
        f"classification/{variant}",
        1000,
        (224, 224),
        "HRNet-Image-Classification, README",
        parameters,
        multiply_adds,
    )


def _segmentation(
    variant: str,
    source: str,
    parameters: str,
    multiply_adds: str,
    *,
    classes: int = 19,
    size: tuple[int, int] = (1024, 2048),
    unit: int = GIBI,
    note: str = "",
) -> Published:
    return Published(
        f"segmentation/{variant}",
        classes,
        size,
        source,
        parameters,
        multiply_adds,
        multiply_adds_unit=unit,
        note=note,
    )


def _pose(
    variant: str, points: int, size: tuple[int, int], parameters: str, cost: str
) -> Published:
    source = "deep-high-resolution-net.pytorch, README"
    return Published(f"pose/{variant}", points, size, source, parameters, cost)


def _faster_rcnn(variant: str, parameters: str, note: str = "") -> Published:
    return Published(
        f"pyramid/{variant}",
        None,
        (800, 1344),
        f"{_PAPER}, Table 7, Faster R-CNN",
        parameters,
        parameters_unit=MEBI,
        other_parameters=FASTER_RCNN_HEADS,
        note=f"the whole detector, {FASTER_RCNN_HEADS:,} parameters more than the "
        f"pyramid, and unlike the rest of its table in units of 2**20{note}",
    )


_SEGMENTATION = "HRNet-Semantic-Segmentation, README"
_RESCALED = (
    "the printed figure is that of 19 classes at 1024x2048, {full}, times the ratio of "
    "the pixels, {part}/{whole}"
)

PUBLISHED: tuple[Published, ...] = (
    _classification("w18_small_v1", "13.2", "1.49"),
    _classification("w18_small_v2", "15.6", "2.42"),
    _classification("w18", "21.3", "3.99"),
    _classification("w30", "37.7", "7.55"),
    _classification("w32", "41.2", "8.31"),
    _classification("w40", "57.6", "11.8"),
    _classification("w44", "67.1", "13.9"),
    _classification("w48", "77.5", "16.1"),
    _classification("w64", "128.1", "26.9"),
    _segmentation("w18_small_v1", _SEGMENTATION, "1.5", "31.1"),
    _segmentation("w18_small_v2", _SEGMENTATION, "3.9", "71.6"),
    _segmentation(
        "w40",
        f"{_PAPER}, Table 3",
        "45.2",
        "493.2",
        note="that model was never released, and its standard sizes, which give the "
        "published W40 of ImageNet, do not give these figures",
    ),
    _segmentation("w48", f"{_PAPER}, Table 3", "65.9", "696.2"),
    _segmentation("w48", _SEGMENTATION, "65.8", "696.2"),
    _segmentation(
        "w48",
        "arXiv 1904.04514 (2019)",
        "65.9",
        "747.3",
        unit=GIGA,
        note="in units of 10**9 instead of 1024**3",
    ),
    _segmentation("w48_ocr", f"{_SEGMENTATION}, branch HRNet-OCR", "70.3", "1206.3"),
    _segmentation(
        "w48",
        _SEGMENTATION,
        "65.8",
        "74.3",
        classes=20,
        size=(473, 473),
        note=_RESCALED.format(full="696.2", part="473**2", whole="(1024*2048)"),
    ),
    *(
        _segmentation(
            "w48",
            _SEGMENTATION,
            "65.8",
            "76.5",
            classes=classes,
            size=(480, 480),
            note=_RESCALED.format(full="696.2", part="480**2", whole="(1024*2048)"),
        )
        for classes in (59, 60)
    ),
    *(
        Published(
            "landmarks/w18",
            points,
            (256, 256),
            "HRNet-Facial-Landmark-Detection, README",
            "9.3",
            "4.3",
            note="printed for any number of points; 9.3M is what the body of V1 has, "
            "9,317,892",
        )
        for points in (19, 29, 68, 98)
    ),
    _pose("w32", 17, (256, 192), "28.5", "7.1"),
    _pose("w32", 17, (384, 288), "28.5", "16.0"),
    _pose("w48", 17, (256, 192), "63.6", "14.6"),
    _pose("w48", 17, (384, 288), "63.6", "32.9"),
    _pose("w32", 16, (256, 256), "28.5", "9.5"),
    _pose("w48", 16, (256, 256), "63.6", ""),
    _faster_rcnn("w18", "26.2"),
    _faster_rcnn("w32", "45.0"),
    _faster_rcnn("w40", "60.5"),
    _faster_rcnn(
        "w48",
        "79.4",
        note="; boxes for 80 instead of 81 classes, 4,100 fewer, give 79.4",
    ),
)
