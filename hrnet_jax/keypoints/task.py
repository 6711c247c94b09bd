"""Heatmap regression, for facial landmarks and human pose alike."""

import pathlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.models.hrnet import HRNet
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.options import NoOptions
from hrnet_jax.pictures import write_picture

# Golden angle on the colour circle, so that neighbours in order differ.
_HUE_STEP = 0.618


class HeatmapTask:
    """Finds points in the crop of a face or a person.

    The image is taken as it is: it should be the crop that the weights were trained
    on, one face or one person in the middle.

    Args:
        model: a landmark or pose model.
        info: names of the points, `point_names`.
        inference: nothing to choose.
        normalization: of images, as the weights were trained.
    """

    Augmentation = NoOptions
    Loss = NoOptions
    Inference = NoOptions
    pixel_maps = ()

    def __init__(
        self,
        model: HRNet,
        info: DatasetInfo,
        inference: NoOptions = NoOptions(),
        normalization: Normalization = Normalization(),
    ):
        self.model = model
        self._names = info.point_names
        self._normalization = normalization

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, int]:
        """What a data set fixes about its model."""
        return {"num_points": len(info.point_names)}

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The image as it is."""
        return image

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Heatmaps of images and their peaks.

        Returns:
            `heatmaps` float32 [B, ceil(H / 4), ceil(W / 4), K], `points` float32
            [B, K, 2] (x, y of each peak in pixels of the image, pixel centres at
            integers) and `scores` float32 [B, K], the height of the peaks.
        """
        inputs = normalize_images(batch["image"], self._normalization)
        heatmaps = self.model.apply(variables, inputs)
        return self.decode({"heatmaps": heatmaps}, inputs.shape[1:3])

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """`heatmaps`, `points` and `scores` of `heatmaps`; see `predict`."""
        heatmaps = outputs["heatmaps"]
        height, width = heatmaps.shape[1:3]
        flat = heatmaps.reshape(heatmaps.shape[0], height * width, -1)
        peak = jnp.argmax(flat, 1)
        cells = jnp.stack([peak % width, peak // width], -1).astype(jnp.float32)
        # The centre of a cell, which covers 4x4 pixels.
        return {
            "heatmaps": heatmaps,
            "points": (cells + 0.5) * 4 - 0.5,
            "scores": jnp.max(flat, 1),
        }

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None = None
    ) -> np.ndarray:
        """The image with a dot on every point; true points are white rings."""
        picture = image.copy()
        radius = max(2, min(image.shape[:2]) // 100)
        for index, (x, y) in enumerate(prediction["points"]):
            colour = _colour(index)
            cv2.circle(picture, (round(x), round(y)), radius, colour, -1, cv2.LINE_AA)
        for x, y in [] if target is None else target.get("points", ()):
            place = (round(float(x)), round(float(y)))
            cv2.circle(picture, place, radius + 1, (255, 255, 255), 1, cv2.LINE_AA)
        return picture

    def save(
        self, folder: pathlib.Path, name: str, image: np.ndarray, prediction: dict
    ) -> dict:
        """Writes the image with its points; the summary lists them."""
        folder.mkdir(parents=True, exist_ok=True)
        write_picture(folder / f"{name}_points.png", self.draw(image, prediction))
        points, scores = prediction["points"], prediction["scores"]
        return {
            "height": int(image.shape[0]),
            "width": int(image.shape[1]),
            "points": [
                {
                    "name": self._names[index],
                    "x": round(float(points[index, 0]), 2),
                    "y": round(float(points[index, 1]), 2),
                    "score": round(float(scores[index]), 4),
                }
                for index in range(len(points))
            ],
        }


def _colour(index: int) -> tuple[int, int, int]:
    """A saturated RGB colour."""
    hue = int(index * _HUE_STEP % 1.0 * 180)
    pixel = cv2.cvtColor(np.uint8([[[hue, 220, 255]]]), cv2.COLOR_HSV2RGB)
    return tuple(int(value) for value in pixel[0, 0])
