"""What a task offers in addition that predicts in boxes of an image, or finds them.

`TakesBoxes` is the contract of the first (landmarks, pose), `FindsObjects` that of a
detector, whose boxes the other can take.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeGuard, runtime_checkable

import numpy as np

from hrnet_jax.tasks.protocol import Predicts

# Maps an image uint8 [H, W, 3] RGB to boxes float32 [N, 4].
BoxFinder = Callable[[np.ndarray], np.ndarray]


@runtime_checkable
class ScoresBoxes(Protocol):
    """A `BoxFinder` that knows how sure it is of each box."""

    def scored(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes float32 [N, 4] of an image, and their scores float32 [N]."""
        ...


def find_scored(
    find: BoxFinder, image: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """The boxes that are found, and what to add to a prediction in them.

    That is `box_scores` float32 [N], where the finder has scores.
    """
    if not isinstance(find, ScoresBoxes):
        return find(image), {}
    boxes, scores = find.scored(image)
    return boxes, {"box_scores": scores}


class BoxFollower(Protocol):
    """Boxes of the frames of a video."""

    def boxes(self, image: np.ndarray) -> np.ndarray:
        """The boxes of the next frame, float32 [N, 4]."""
        ...

    def follow(self, prediction: dict, image: np.ndarray) -> None:
        """Takes the prediction for the boxes of the frame."""
        ...


class TakesBoxes(Predicts, Protocol):
    """A task that predicts in boxes of an image.

    Predictions hold `boxes` float32 [N, 4]; the summary of `save` lists them as
    `found`. Where a detector found the boxes they hold its `box_scores` [N] as well.

    Attributes:
        finds_boxes: whether it finds boxes itself and is a `FindsBoxes`. Where it
            does not and none are given, the whole image is the one box.
        in_boxes: what is in one box and in many, `("face", "faces")`.
    """

    finds_boxes: ClassVar[bool]
    in_boxes: ClassVar[tuple[str, str]]

    def follow_boxes(self, find: BoxFinder, every: int) -> BoxFollower:
        """Boxes in a video, looked for in every so many frames."""
        ...


class FindsBoxes(TakesBoxes, Protocol):
    """A task that finds its boxes itself."""

    def find_boxes(self, image: np.ndarray) -> np.ndarray:
        """Boxes float32 [N, 4] in a photograph, uint8 [H, W, 3] RGB."""
        ...

    def find_boxes_in_frame(self, image: np.ndarray) -> np.ndarray:
        """The same in a frame of a video, where another one comes soon."""
        ...

    def better_boxes(self, found: np.ndarray, prediction: dict) -> np.ndarray | None:
        """Boxes for a second prediction, derived from the one in the found boxes.

        None where a second prediction would not be better.
        """
        ...


class FindsObjects(Predicts, Protocol):
    """A task that finds objects, in whose boxes other tasks can predict.

    Predictions hold `boxes` float32 [N, 4], (x1, y1, x2, y2) in pixels, whose 0 is the
    edge of the image; `scores` float32 [N]; `classes` int [N]. The summary of `save`
    lists `name`, `score` and `box` of each as `found`.
    """

    @property
    def object_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        ...

    @property
    def least_score(self) -> float:
        """Objects of this score and below are not reported."""
        ...


def takes_boxes(task: Predicts) -> TypeGuard[TakesBoxes]:
    """Whether predictions can be asked for in boxes of the image."""
    return task.takes_boxes


def finds_boxes(task: TakesBoxes) -> TypeGuard[FindsBoxes]:
    """Whether a task finds its boxes itself."""
    return task.finds_boxes


def finds_objects(task: Predicts) -> TypeGuard[FindsObjects]:
    """Whether predictions are objects with their boxes."""
    return task.finds_objects
