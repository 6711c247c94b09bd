"""Image classification: what an image shows, from converted or trained weights."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.classification.options import InferenceOptions
from hrnet_jax.classification.transforms import prepare_evaluation
from hrnet_jax.config.options import NoOptions
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.imaging.pictures import with_caption, write_picture
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.tasks.whole_image import WholeImage

_LISTED = 5


class ClassificationTask(WholeImage):
    """Tells what an image shows.

    Args:
        model: a classification model.
        info: its classes, `image_class_names`.
        augmentation: nothing to choose.
        inference: resizing and crop; those of the published figures by default.
        normalization: of images, as the weights were trained.
    """

    Inference = InferenceOptions
    scores_classes = True

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: NoOptions = NoOptions(),
        inference: InferenceOptions = InferenceOptions(),
        normalization: Normalization = Normalization(),
    ):
        self.model = model
        self._names = info.image_class_names
        self._inference = inference
        self._normalization = normalization

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, int]:
        """Options of `create_model` that the data set determines."""
        return {"num_classes": len(info.image_class_names)}

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The crop of an image; see `transforms.prepare_evaluation`."""
        return prepare_evaluation(image, self._inference)

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Class probabilities of images.

        Returns:
            `probabilities` float32 [B, K] and the most probable `class` int32 [B].
        """
        logits = self.logits(variables, batch["image"])
        return self.decode({"logits": logits}, batch["image"].shape[1:3])

    def logits(self, variables: dict, images: jax.Array, frame: Any = None) -> Any:
        """Scores of the classes, float32 [B, K], of uint8 images [B, H, W, 3]."""
        inputs = normalize_images(images, self._normalization)
        return self.model.apply(variables, inputs)

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """`probabilities` and `class` of `logits`; see `predict`."""
        probabilities = jax.nn.softmax(outputs["logits"])
        best = jnp.argmax(probabilities, -1).astype(jnp.int32)
        return {"probabilities": probabilities, "class": best}

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None = None
    ) -> np.ndarray:
        """The image with the most probable classes below it."""
        lines = [
            f"{entry['probability']:6.1%}  {entry['name']}"
            for entry in self._best(prediction)
        ]
        if target is not None and "class" in target:
            lines.append(f"truth: {self._names[int(target['class'])]}")
        return with_caption(image, lines)

    def save(
        self, folder: pathlib.Path, name: str, image: np.ndarray, prediction: dict
    ) -> dict:
        """Writes the captioned image; the summary lists the five best classes."""
        folder.mkdir(parents=True, exist_ok=True)
        write_picture(folder / f"{name}_classes.png", self.draw(image, prediction))
        return {"classes": self._best(prediction)}

    def _best(self, prediction: dict) -> list[dict]:
        probabilities = np.asarray(prediction["probabilities"])
        order = np.argsort(-probabilities, kind="stable")[:_LISTED]
        return [
            {
                "id": int(index),
                "name": self._names[index],
                "probability": round(float(probabilities[index]), 6),
            }
            for index in order
        ]
