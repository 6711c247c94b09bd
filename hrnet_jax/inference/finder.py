"""Finds boxes with a detector, for models that predict in boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.boxes import from_edges
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.registry import get_spec
from hrnet_jax.tasks.boxes import BoxFinder, finds_objects
from hrnet_jax.tasks.protocol import Predicts

# Score from which on objects are looked into, the one from which on they are drawn.
USUAL_SCORE = 0.5


class ObjectFinder:
    """A `tasks.boxes.BoxFinder`: the boxes of some objects of an image.

    Args:
        run: with a task that finds objects; from `load_run` or `open_any`.
        classes: names of the objects wanted, or one name; all without any.
        score: objects of a higher score count.

    Raises:
        ConfigError: for a model that finds no objects, a class that it does not
            know, and a score that it does not report or that is no score.
    """

    def __init__(
        self,
        run: OpenedModel,
        classes: str | Sequence[str] = (),
        score: float = USUAL_SCORE,
    ):
        model = run.about["model"]
        task = run.task
        if not finds_objects(task):
            raise _finds_nothing(model)
        known = task.object_names
        self._run = run
        self._names = (classes,) if isinstance(classes, str) else tuple(classes)
        check_classes(self._names, known, f"detector {model}")
        check_score(score, task.least_score)
        self._score = score
        self._wanted = [k for k, name in enumerate(known) if name in self._names]

    @property
    def about(self) -> dict[str, Any]:
        """Source of the boxes, for a report."""
        chosen = {"classes": list(self._names), "score": self._score}
        return {**self._run.about, **chosen}

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Boxes of objects, best first.

        Args:
            image: uint8 [H, W, 3] RGB.

        Returns:
            float32 [N, 4], (x1, y1, x2, y2) in pixels, pixel centres at integers,
            each with a size; N is 0 where nothing is found.
        """
        return self.scored(image)[0]

    def scored(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same boxes, and the score of each, float32 [N]."""
        found = self._run.predict(image)
        boxes, scores = np.asarray(found["boxes"]), np.asarray(found["scores"])
        kept = (scores > self._score) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        if self._names:
            kept &= np.isin(np.asarray(found["classes"]), self._wanted)
        return from_edges(boxes[kept]), np.asarray(scores[kept], np.float32)


def sources_of(run: OpenedModel, find: BoxFinder | None = None) -> dict[str, Any]:
    """What the predictions come from, as the summary tells it."""
    sources = dict(run.about)
    if finds_objects(run.task):
        sources["classes"] = list(run.task.object_names)
    if isinstance(find, ObjectFinder):
        sources["detector"] = find.about
    return sources


def check_detector(detector: str | None, model: str | None) -> None:
    """Refuses models that do not go together, before they are opened.

    Args:
        detector: name of the model that is to find boxes; None where only its weights
            tell.
        model: name of the one that is to predict in them; None as well.

    Raises:
        ConfigError: if the one finds no objects or the other takes no boxes.
    """
    if detector is not None and not get_spec(detector).task_class.finds_objects:
        raise _finds_nothing(detector)
    if model is not None:
        check_takes_boxes(get_spec(model).task_class, model)


def _finds_nothing(model: str) -> ConfigError:
    return ConfigError(
        f"{model} finds no objects, so it is no detector; expected a detection model"
    )


def check_takes_boxes(task: Predicts | type[Predicts], model: str) -> None:
    """Refuses a detector for a task that predicts in no boxes.

    Raises:
        ConfigError: naming the model.
    """
    if not task.takes_boxes:
        raise ConfigError(
            f"a detector was given, but {model} looks at whole images; only landmark "
            "and pose models take boxes"
        )


def check_score(score: float, least: float = 0.0) -> None:
    """Refuses a score that no object, or every object, is above.

    Args:
        score: above which objects count.
        least: above which a detector reports objects.

    Raises:
        ConfigError: if it is less than that, or not below 1.
    """
    if not least <= score < 1:
        raise ConfigError(
            f"the score of objects is {score:g}; expected at least {least:g}, above "
            "which they are listed, and less than 1"
        )


def check_classes(chosen: Sequence[str], known: Sequence[str], where: str) -> None:
    """Refuses names of classes that there are not.

    Args:
        chosen: by a user.
        known: all there are.
        where: what has these classes.

    Raises:
        ConfigError: with the names that there are.
    """
    for name in chosen:
        if name not in known:
            raise ConfigError(
                f"{where} knows no class {name!r}; expected some of {', '.join(known)}"
            )
