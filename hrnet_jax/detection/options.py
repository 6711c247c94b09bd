"""Options of detectors in a configuration, and the numbers they stand for."""

import dataclasses
from typing import Any

from hrnet_jax.detection.settings import FCOSSettings, TwoStageSettings
from hrnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Which regions of an image the losses see; FCOS looks at all of its points.

    Attributes:
        anchors: of the proposal network, half of them objects at most; 0 for as many
            as published, 256.
        candidates: best anchors of a level that become proposals; 0 for 2000.
        proposals: regions that are kept; 0 for 1000, in cascades 2000.
        regions: of these and the objects, a quarter of them objects at most, that a
            head learns from; 0 for 512.
    """

    anchors: int = 0
    candidates: int = 0
    proposals: int = 0
    regions: int = 0

    def __post_init__(self):
        for key, value in dataclasses.asdict(self).items():
            _check_count(f"loss.{key}", value)


@dataclasses.dataclass(frozen=True)
class InferenceOptions:
    """Which detections of an image are reported.

    Attributes:
        score: those above this, 0 to 1.
        overlap: intersection over union from which on the worse of two of a class goes.
        count: the best so many at most.
        candidates: best anchors of a level, or points of FCOS, that are looked at; 0
            for as many as published, 1000.
        proposals: regions that the heads see; 0 for 1000.
        vote: intersection over union from which on the candidates of a class are
            averaged with one that is reported, weighed by score (box voting); 0 for
            none, as published.
        flip: look for objects in the image and its mirror image, and suppress doubles
            among all that both show.
        draw_score: those above this are drawn.
    """

    score: float = 0.05
    overlap: float = 0.5
    count: int = 100
    candidates: int = 0
    proposals: int = 0
    vote: float = 0.0
    flip: bool = False
    draw_score: float = 0.5

    def __post_init__(self):
        for key in ("score", "overlap", "vote", "draw_score"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(
                    f"config key 'eval.inference.{key}' must be between 0 and 1, got "
                    f"{getattr(self, key)}"
                )
        if self.count < 1:
            raise ConfigError(
                f"config key 'eval.inference.count' must be at least 1, got {self.count}"
            )
        for key in ("candidates", "proposals"):
            _check_count(f"eval.inference.{key}", getattr(self, key))


def _check_count(key: str, value: int) -> None:
    if value < 0:
        raise ConfigError(
            f"config key {key!r} must be positive, or 0 for the published number, got "
            f"{value}"
        )


def chosen_numbers(
    published: Any, loss: LossOptions, inference: InferenceOptions
) -> Any:
    """Numbers of a detector with what a configuration changes.

    Args:
        published: `TwoStageSettings` or `FCOSSettings` of the model.
        loss: of the configuration.
        inference: of the configuration.
    """
    detections = dataclasses.replace(
        published.detections,
        score=inference.score,
        overlap=inference.overlap,
        count=inference.count,
        vote=inference.vote,
        flip=inference.flip,
    )
    if isinstance(published, FCOSSettings):
        return dataclasses.replace(
            published,
            detections=detections,
            candidates=inference.candidates or published.candidates,
        )
    return _two_stages(published, loss, inference, detections)


def _two_stages(
    published: TwoStageSettings,
    loss: LossOptions,
    inference: InferenceOptions,
    detections: Any,
) -> TwoStageSettings:
    rpn = published.rpn
    anchors, regions = loss.anchors or rpn.samples, loss.regions or published.samples
    rpn = dataclasses.replace(
        rpn,
        samples=anchors,
        most_positive=anchors // 2,
        train_candidates=loss.candidates or rpn.train_candidates,
        train_proposals=loss.proposals or rpn.train_proposals,
        candidates=inference.candidates or rpn.candidates,
        proposals=inference.proposals or rpn.proposals,
    )
    return dataclasses.replace(
        published,
        rpn=rpn,
        samples=regions,
        most_positive=regions // 4,
        detections=detections,
    )
