"""The feature pyramid of HRNetV2p for single images."""

import pathlib

import cv2
import jax
import numpy as np

from hrnet_jax.config.options import NoOptions
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pictures import write_picture
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.models.resize import size_of
from hrnet_jax.tasks.whole_image import WholeImage
from hrnet_jax.whole_files import whole_file


class PyramidTask(WholeImage):
    """Computes the features that detectors read.

    Args:
        model: a pyramid model.
        info: of the data set; nothing is needed of it.
        augmentation: nothing to choose.
        inference: nothing to choose.
        normalization: of images, as the weights were trained.
    """

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: NoOptions = NoOptions(),
        inference: NoOptions = NoOptions(),
        normalization: Normalization = Normalization(),
    ):
        self.model = model
        self._normalization = normalization

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, int]:
        """A data set fixes nothing about this model."""
        return {}

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The image as it is, if the last level sees any of it.

        Raises:
            DataError: if the image is too small.
        """
        least = self.model.min_size
        if min(image.shape[:2]) < least:
            raise DataError(
                f"an image for a pyramid of {self.model.levels} levels must be at "
                f"least {least} pixels high and wide, got "
                f"{image.shape[0]}x{image.shape[1]}"
            )
        return image

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Levels of the pyramid.

        Returns:
            `level0`, `level1`, ... float32 [B, h, w, features], each half the size
            of the last.
        """
        inputs = normalize_images(batch["image"], self._normalization)
        levels = self.model.apply(variables, inputs)
        named = {f"level{index}": level for index, level in enumerate(levels)}
        return self.decode(named, size_of(inputs))

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """The levels as they are."""
        return outputs

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None = None
    ) -> np.ndarray:
        """The image and, beside it, how strongly each level responds where."""
        height, width = image.shape[:2]
        panels = [image]
        for level in prediction.values():
            strength = np.linalg.norm(level, axis=-1)
            span = max(float(np.ptp(strength)), np.finfo(np.float32).tiny)
            grey = (255 * (strength - strength.min()) / span).astype(np.uint8)
            colours = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1]
            size = (width, height)
            panels.append(cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST))
        return np.concatenate(panels, axis=1)

    def save(
        self, folder: pathlib.Path, name: str, image: np.ndarray, prediction: dict
    ) -> dict:
        """Writes the levels as `<name>_pyramid.npz` and a picture of them."""
        folder.mkdir(parents=True, exist_ok=True)
        write_picture(folder / f"{name}_pyramid.png", self.draw(image, prediction))
        with whole_file(folder / f"{name}_pyramid.npz") as file:
            np.savez(file, **prediction)
        return {"levels": {key: list(value.shape) for key, value in prediction.items()}}
