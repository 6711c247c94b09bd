"""Numbers of the published detectors: thresholds, counts and weights.

Those of mmdetection 3.3's `configs/hrnet`, which all released weights since its version
2 were trained with; `v1` makes those of the paper's fork of them.
"""

import dataclasses

from hrnet_jax.detection.boxes import MODERN, V1, Conventions


@dataclasses.dataclass(frozen=True)
class RPNSettings:
    """Numbers of the region proposal network.

    Attributes:
        scales: sides of anchors in strides of their level.
        ratios: of their heights to their widths.
        positive: overlap with an object from which on an anchor is positive.
        negative: overlap below which it is background.
        least: every object takes the anchor nearest to it from this overlap on.
        inside_only: whether anchors that leave the image are ignored.
        samples: anchors of an image that the losses see.
        most_positive: of these.
        beta: where smooth L1 of boxes becomes linear; 0 is plain L1.
        train_candidates: best anchors of a level that become proposals.
        train_proposals: of an image, in training.
        candidates: the same in prediction.
        proposals: the same in prediction.
        overlap: above which the worse of two proposals of a level goes.
    """

    scales: tuple[float, ...] = (8.0,)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    positive: float = 0.7
    negative: float = 0.3
    least: float = 0.3
    inside_only: bool = False
    samples: int = 256
    most_positive: int = 128
    beta: float = 0.0
    train_candidates: int = 2000
    train_proposals: int = 1000
    candidates: int = 1000
    proposals: int = 1000
    overlap: float = 0.7


@dataclasses.dataclass(frozen=True)
class StageSettings:
    """Numbers of one box head (and mask head).

    Attributes:
        positive: overlap with an object from which on a region is positive; below it
            is background.
        stds: scales of the four numbers that correct a box.
        weight: of the losses of the stage.
    """

    positive: float = 0.5
    stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class DetectionSettings:
    """Which detections of an image are reported.

    Attributes:
        score: those above this.
        overlap: above which the worse of two of a class goes.
        count: the best so many at most.
        vote: overlap from which on boxes of the class are averaged with one that is
            reported, weighed by their scores; 0 for none.
        flip: whether objects are looked for in the mirror image as well.
    """

    score: float = 0.05
    overlap: float = 0.5
    count: int = 100
    vote: float = 0.0
    flip: bool = False


@dataclasses.dataclass(frozen=True)
class TwoStageSettings:
    """Numbers of a detector with proposals.

    Attributes:
        rpn: of the proposals.
        stages: of the heads, one after the other.
        low_quality: whether every object takes its best proposal, however little they
            overlap beyond the first stage's threshold.
        samples: regions of an image that the losses of a stage see.
        most_positive: of these.
        beta: where smooth L1 of boxes becomes linear; 0 is plain L1.
        finest: side of regions that are read from the second level, in pixels.
        detections: what is reported.
        conventions: how boxes are measured.
    """

    rpn: RPNSettings = RPNSettings()
    stages: tuple[StageSettings, ...] = (StageSettings(),)
    low_quality: bool = False
    samples: int = 512
    most_positive: int = 128
    beta: float = 0.0
    finest: float = 56.0
    detections: DetectionSettings = DetectionSettings()
    conventions: Conventions = MODERN


@dataclasses.dataclass(frozen=True)
class FCOSSettings:
    """Numbers of FCOS.

    Attributes:
        ranges: least and most distance to a side of its object, in pixels, that points
            of a level are to find.
        alpha: weight of positives in the focal loss.
        gamma: its exponent.
        candidates: best classes and points of a level that are decoded.
        detections: what is reported; its `score` is compared with the score of the
            class alone, before centerness counts.
        conventions: how boxes are measured.
    """

    ranges: tuple[tuple[float, float], ...] = (
        (-1.0, 64.0),
        (64.0, 128.0),
        (128.0, 256.0),
        (256.0, 512.0),
        (512.0, float("inf")),
    )
    alpha: float = 0.25
    gamma: float = 2.0
    candidates: int = 1000
    detections: DetectionSettings = DetectionSettings()
    conventions: Conventions = MODERN


FASTER = TwoStageSettings()
MASK = TwoStageSettings(low_quality=True)
CASCADE = TwoStageSettings(
    rpn=RPNSettings(inside_only=True, beta=1 / 9, train_proposals=2000),
    stages=(
        StageSettings(),
        StageSettings(0.6, (0.05, 0.05, 0.1, 0.1), 0.5),
        StageSettings(0.7, (0.033, 0.033, 0.067, 0.067), 0.25),
    ),
    beta=1.0,
)
FCOS = FCOSSettings()


def v1(settings: TwoStageSettings) -> TwoStageSettings:
    """The same detector as the paper's fork of mmdetection trained and tested it.

    Boxes whose last pixel counts, anchors with whole corners inside the image, smooth
    L1 in all losses, 2000 proposals in prediction as well.
    """
    rpn = dataclasses.replace(
        settings.rpn,
        inside_only=True,
        beta=1 / 9,
        train_proposals=2000,
        candidates=2000,
        proposals=2000,
    )
    return dataclasses.replace(settings, rpn=rpn, beta=1.0, conventions=V1)
