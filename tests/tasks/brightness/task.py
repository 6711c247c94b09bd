"""Brightness as a task: what `hrnet_jax.tasks.protocol.Trains` asks for."""

import dataclasses
import pathlib
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.pictures import with_caption, write_picture
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.runtime.processes import gather_rows
from hrnet_jax.tasks.forward import train_outputs
from hrnet_jax.tasks.whole_image import WholeImage


@dataclasses.dataclass(frozen=True)
class AugmentationOptions:
    """How training images are varied.

    Attributes:
        crop_size: (height, width) of random crops, in pixels.
    """

    crop_size: tuple[int, int] = (32, 32)


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """What is minimised.

    Attributes:
        power: of the absolute error.
    """

    power: float = 2.0

    def __post_init__(self):
        if self.power <= 0:
            raise ConfigError(
                f"config key 'loss.power' must be positive, got {self.power}"
            )


class BrightnessTask(WholeImage):
    """Tells the mean of all values of an image, from 0 (black) to 1."""

    Augmentation = AugmentationOptions
    Loss = LossOptions
    recipe: ClassVar = {"schedule.learning_rate": 0.01, "optimizer.weight_decay": 0.0}
    best_metric = ("mean_error", "min")
    totals = ()
    map_keys = ()
    groups_images = False

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: AugmentationOptions = AugmentationOptions(),
        loss: LossOptions = LossOptions(),
        inference=None,
        normalization: Normalization = Normalization(),
    ):
        self.model = model
        self.image_size = augmentation.crop_size
        self._loss = loss
        self._normalization = normalization

    @staticmethod
    def model_options(info: DatasetInfo) -> dict:
        """A data set fixes nothing about the model."""
        return {}

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """A random crop and how bright it is."""
        image = sample["image"]
        top, left = (
            rng.integers(side - crop + 1)
            for side, crop in zip(image.shape, self.image_size, strict=False)
        )
        height, width = self.image_size
        return _described(sample, image[top : top + height, left : left + width])

    def eval_transform(self, sample: dict) -> dict:
        """The image and how bright it is."""
        return _described(sample, sample["image"])

    def empty_sample(self, size: tuple[int, int]) -> dict:
        """A black image."""
        return {"image": np.zeros((*size, 3), np.uint8), "image_id": ""}

    def loss(self, variables: dict, batch: dict, rngs: dict):
        """Mean error, to some power."""
        outputs, stats = train_outputs(
            self.model, variables, batch["image"], self._normalization, rngs
        )
        error = jnp.abs(outputs[:, 0] - batch["brightness"])
        return jnp.mean(error**self._loss.power), (stats, {})

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """`brightness` float32 [B]."""
        inputs = normalize_images(batch["image"], self._normalization)
        outputs = {"brightness": self.model.apply(variables, inputs)}
        return self.decode(outputs, inputs.shape[1:3])

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """`brightness` float32 [B] of the network's output [B, 1]."""
        return {"brightness": outputs["brightness"][:, 0]}

    def evaluator(self, per_example: bool = False) -> "BrightnessEvaluator":
        """Mean error over a data set."""
        return BrightnessEvaluator()

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None = None
    ) -> np.ndarray:
        """The image with its brightness below it."""
        lines = [f"{float(prediction['brightness']):.2f}"]
        if target is not None:
            lines.append(f"truth: {float(target['brightness']):.2f}")
        return with_caption(image, lines)

    def save(
        self, folder: pathlib.Path, name: str, image: np.ndarray, prediction: dict
    ) -> dict:
        """Writes the picture; the summary has the number."""
        folder.mkdir(parents=True, exist_ok=True)
        write_picture(folder / f"{name}_brightness.png", self.draw(image, prediction))
        return {"brightness": float(prediction["brightness"])}


class BrightnessEvaluator:
    """Mean absolute error."""

    def __init__(self):
        self._errors: list[np.ndarray] = []

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes one batch."""
        valid, truth, predicted = gather_rows(
            (batch["example_valid"], batch["brightness"], predictions["brightness"])
        )
        self._errors.append(np.abs(truth - predicted)[valid])

    def compute(self) -> dict[str, float]:
        """`mean_error` over all images."""
        return {"mean_error": float(np.concatenate(self._errors).mean())}

    def remarks(self) -> list[str]:
        """None."""
        return []

    def report(self, folder: pathlib.Path) -> None:
        """Writes the error of every image, in the order of the data set."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / "errors.txt", np.concatenate(self._errors))

    def worst(self, count: int) -> list[int]:
        """Images of the largest error."""
        order = np.argsort(-np.concatenate(self._errors), kind="stable")
        return [int(index) for index in order[:count]]


def _described(sample: dict, image: np.ndarray) -> dict:
    brightness = np.float32(image.mean() / 255)
    return {"image": image, "brightness": brightness, "image_id": sample["image_id"]}
