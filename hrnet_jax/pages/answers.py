"""What the demo answers to an image: pictures, a legend, files. Knows no web page."""

import dataclasses
import json
import pathlib
import time
from typing import Any

import cv2
import numpy as np

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.imaging.pictures import write_picture
from hrnet_jax.inference.folder import predict_image
from hrnet_jax.inference.images import ImageLike, as_pixels
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.inference.reducing import Reduced
from hrnet_jax.pages import html
from hrnet_jax.segmentation.drawing import overlay

# Key of the predictions that have a class for each pixel.
LABEL = "label"
# What can be shown of labelled pixels.
VIEWS = ("prediction", "confidence")
# What the network sees while the page starts, (height, width): a camera's image.
_FIRST_SIZE = (480, 640)
# Rows of a legend; ImageNet has a thousand classes.
_ROWS = 30


@dataclasses.dataclass(frozen=True)
class Answer:
    """A prediction for one image.

    Attributes:
        image: uint8 RGB [H, W, 3].
        prediction: of the task.
        summary: of the prediction, as JSON; what `scripts/predict.py` writes.
        seconds: that the prediction took.
        is_first: whether it was the first of its size, which may have been compiled for.
    """

    image: np.ndarray
    prediction: dict[str, np.ndarray]
    summary: dict[str, Any]
    seconds: float
    is_first: bool


class Answerer:
    """A model that answers to images.

    Args:
        run: from `open_any`.
        folder: for what is written on the way; its pictures are overwritten.
        max_side: larger images are reduced to this many pixels for the network.
    """

    def __init__(self, run: OpenedModel, folder: pathlib.Path, max_side: int):
        self.run = run
        self._model = Reduced(run, max_side)
        self._folder = folder
        self._sizes: set[tuple[int, ...]] = set()

    @property
    def labels_pixels(self) -> bool:
        """Whether predictions are colours over the image."""
        return LABEL in self.run.task.pixel_maps

    @property
    def finds_boxes(self) -> bool:
        """Whether the boxes to predict in can be looked for."""
        task = self.run.task
        return task.takes_boxes and bool(getattr(task, "finds_boxes", False))

    def warm_up(self) -> float:
        """Compiles for the size of a camera's image; returns the seconds it took.

        Raises:
            DataError: if the model takes images of another size alone.
        """
        start = time.perf_counter()
        image = np.zeros((*_FIRST_SIZE, 3), np.uint8)
        predict_image(self._model, image, find=False)
        return time.perf_counter() - start

    def answer(self, image: ImageLike, *, find: bool = True) -> Answer:
        """Predicts for an image of any size.

        Args:
            image: a path, a Pillow image or uint8 RGB [H, W, 3].
            find: see `inference.folder.predict_image`.

        Raises:
            DataError: for what is no image.
        """
        pixels = as_pixels(image)
        start = time.perf_counter()
        prediction = predict_image(self._model, pixels, find=find)
        seconds = time.perf_counter() - start
        only = {"only": (LABEL,)} if self.labels_pixels else {}
        task: Any = self.run.task
        summary = task.save(self._folder, "last", pixels, prediction, **only)
        is_first = pixels.shape not in self._sizes
        self._sizes.add(pixels.shape)
        return Answer(pixels, prediction, summary, seconds, is_first)

    def picture(
        self, answer: Answer, view: str = VIEWS[0], opacity: float = 0.5
    ) -> np.ndarray:
        """The prediction drawn over the image, uint8 RGB [H, W, 3].

        Args:
            answer: to draw.
            view: of labelled pixels, one of `VIEWS`.
            opacity: of the colours of pixels, 0 to 1.
        """
        if not self.labels_pixels:
            return self.run.task.draw_frame(answer.image, answer.prediction)
        if view == "confidence":
            return _heat(answer.image, answer.prediction["confidence"], opacity)
        label = answer.prediction[LABEL]
        return overlay(answer.image, label, self._palette, opacity)

    def files(
        self, answer: Answer, picture: np.ndarray, folder: pathlib.Path
    ) -> dict[str, pathlib.Path]:
        """Writes what can be taken away.

        Args:
            answer: with the numbers.
            picture: that is shown.
            folder: to write to; made if missing.

        Returns:
            What is in it -> file: `picture`, `json`, and `label` of labelled pixels.
        """
        folder.mkdir(parents=True, exist_ok=True)
        written = {
            "picture": folder / "picture.png",
            "json": folder / "prediction.json",
        }
        write_picture(written["picture"], picture)
        content = {**self._model.about, **answer.summary}
        written["json"].write_text(json.dumps(content, indent=2) + "\n")
        if self.labels_pixels:
            written[LABEL] = folder / "label.png"
            write_picture(written[LABEL], answer.prediction[LABEL])
        return written

    def legend(self, answer: Answer) -> html.Markup:
        """Classes with colour, share and confidence, or faces with their points."""
        height, width = answer.image.shape[:2]
        line = f"{width} x {height} pixels, {answer.seconds:.2f} s"
        if answer.is_first:
            line += " (the first of this size: with compilation)"
        if "mean_confidence" in answer.summary:
            line += f", mean confidence {answer.summary['mean_confidence']:.1%}"
        return html.join([html.tag("p", line), self._rows(answer.summary)])

    def _rows(self, summary: dict[str, Any]) -> html.Markup:
        if "found" in summary:
            return self._found(summary["found"])
        classes = summary.get("classes", ())[:_ROWS]
        if self.labels_pixels:
            rows = [
                [
                    html.join([self._swatch(entry["id"]), " ", entry["name"]]),
                    f"{entry['share']:.1%}",
                    f"{entry['mean_confidence']:.1%}",
                ]
                for entry in classes
            ]
            return html.table([["class", "share of pixels", "confidence"], *rows])
        rows = [[entry["name"], f"{entry['probability']:.1%}"] for entry in classes]
        return html.table([["class", "probability"], *rows])

    def _found(self, found: list[dict[str, Any]]) -> html.Markup:
        one, many = getattr(self.run.task, "in_boxes", ("box", "boxes"))
        if not found:
            return html.tag("p", f"no {one} found")
        rows = [
            [
                f"{one} {number}",
                str(len(entry["points"])),
                f"{np.mean([point['score'] for point in entry['points']]):.2f}",
            ]
            for number, entry in enumerate(found, 1)
        ]
        header = [many, "points", "mean peak of the heatmaps"]
        return html.table([header, *rows[:_ROWS]])

    @property
    def _palette(self) -> Any:
        info = self.run.info
        return info.palette or default_palette(info.num_classes)

    def _swatch(self, index: int) -> html.Markup:
        red, green, blue = self._palette[index]
        style = (
            "display:inline-block;width:1em;height:1em;vertical-align:middle;"
            f"border-radius:3px;background:rgb({red},{green},{blue})"
        )
        return html.tag("span", style=style)


def _heat(image: np.ndarray, confidence: np.ndarray, opacity: float) -> np.ndarray:
    """Confidence, float [H, W] from 0 (dark) to 1 (bright), over an image."""
    levels = np.rint(255 * np.clip(confidence, 0, 1)).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return cv2.addWeighted(
        np.ascontiguousarray(colours), opacity, image, 1 - opacity, 0
    )


def in_one_line(error: DataError, name: str) -> str:
    """What the page says of an image, with its name instead of where it was kept.

    Args:
        error: of reading it or predicting for it.
        name: path of the image.
    """
    path = pathlib.Path(name)
    return " ".join(str(error).replace(str(path), path.name).split())
