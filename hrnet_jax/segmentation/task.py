"""Semantic segmentation as a task of the training loop."""

import dataclasses
import functools
import pathlib
from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.models.resize import resize, size_of
from hrnet_jax.segmentation.augmentation import AugmentationOptions
from hrnet_jax.segmentation.drawing import draw_panels, overlay
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.segmentation.metrics import SegmentationEvaluator, confusion_matrix
from hrnet_jax.segmentation.outputs import KINDS, save_prediction
from hrnet_jax.segmentation.transforms import make_eval_transform, make_train_transform
from hrnet_jax.segmentation.windows import WindowOptions, windowed_logits
from hrnet_jax.tasks.forward import train_outputs
from hrnet_jax.tasks.whole_image import WholeImage


@dataclasses.dataclass(frozen=True)
class InferenceOptions:
    """Options of predictions for whole images.

    Attributes:
        flip: average the logits of the image and its mirror image.
        window: predict large images in windows.
        absent_classes: what becomes of classes that no pixel of the evaluated split is
            labelled with: `zero`, their IoU of 0 counts in the mean, as published;
            `skip`, the mean is over the others.
    """

    flip: bool = False
    window: WindowOptions = WindowOptions()
    absent_classes: str = "zero"

    def __post_init__(self):
        if self.absent_classes not in ("zero", "skip"):
            raise ConfigError(
                "config key 'eval.inference.absent_classes' must be zero or skip, "
                f"got {self.absent_classes!r}"
            )


class SegmentationTask(WholeImage):
    """Labels pixels.

    Args:
        model: a segmentation model.
        info: classes of the data set.
        augmentation: training transforms.
        loss: pixel loss.
        inference: evaluation and prediction.
        pad_to: (height, width) that evaluation images are padded to.
        normalization: of images, as the weights were trained.
    """

    Augmentation = AugmentationOptions
    Loss = LossOptions
    Inference = InferenceOptions
    best_metric = ("mean_iou", "max")
    totals = ("confusion",)
    map_keys = ("label",)
    pads_images = True
    groups_images = False
    pixel_maps = ("label", "confidence")
    scores_classes = True
    picture_kinds = KINDS

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: AugmentationOptions = AugmentationOptions(),
        loss: LossOptions = LossOptions(),
        inference: InferenceOptions = InferenceOptions(),
        pad_to: tuple[int, int] | None = None,
        normalization: Normalization = Normalization(),
    ):
        weights = len(loss.class_weights)
        if weights not in (0, info.num_classes):
            raise ConfigError(
                f"config key 'loss.class_weights' has {weights} values, expected one "
                f"for each of the {info.num_classes} classes of {info.name}"
            )
        self.model = model
        self.image_size = augmentation.crop_size
        self._info = info
        self._loss = loss
        self._inference = inference
        self._normalization = normalization
        self._augment = make_train_transform(
            augmentation, info.ignore_label, info.flip_pairs
        )
        self._pad = make_eval_transform(pad_to, info.ignore_label)

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, int]:
        """Options of `create_model` that the data set determines."""
        return {"num_classes": info.num_classes}

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """Scales, crops and flips one sample to the crop size."""
        return self._augment(_pixels(sample), rng)

    def eval_transform(self, sample: dict) -> dict:
        """Pads one sample to the common size of its split."""
        return self._pad(_pixels(sample))

    def empty_sample(self, size: tuple[int, int]) -> dict:
        """An image of class 0 with nothing to see; see `tasks.protocol.Trains`."""
        return {
            "image": np.zeros((*size, 3), np.uint8),
            "label": np.zeros(size, np.uint8),
            "image_id": "",
        }

    @property
    def _upsample(self) -> str:
        aligned = self.model.upsample == "align_corners"
        return "align_corners" if aligned else "bilinear"

    def loss(self, variables: dict, batch: dict, rngs: dict):
        """Mean pixel loss of a batch; see `tasks.protocol.Trains`."""
        outputs, stats = train_outputs(
            self.model, variables, batch["image"], self._normalization, rngs
        )
        value = segmentation_loss(outputs, batch["label"], self._loss, self._upsample)
        return value, (stats, {})

    def logits(self, variables: dict, images: jax.Array) -> jax.Array:
        """Logits float32 [B, H, W, K] of uint8 images [B, H, W, 3]."""
        score = functools.partial(self._logits_at_once, variables)
        return windowed_logits(score, images, self._inference.window)

    def _logits_at_once(self, variables: dict, images: jax.Array) -> jax.Array:
        """Logits of images or windows that the network sees whole."""
        inputs = normalize_images(images, self._normalization)
        logits = self._logits_of(variables, inputs)
        if self._inference.flip:
            mirrored = self._logits_of(variables, inputs[:, :, ::-1])[:, :, ::-1]
            for left, right in self._info.flip_pairs:
                order = np.arange(mirrored.shape[-1])
                order[[left, right]] = right, left
                mirrored = mirrored[..., order]
            logits = (logits + mirrored) / 2
        return resize(logits, size_of(images), self._upsample)

    def _logits_of(self, variables: dict, inputs: jax.Array) -> jax.Array:
        """The model's logits; an auxiliary output is for the loss alone."""
        outputs: Any = self.model.apply(variables, inputs)
        return outputs["logits"] if isinstance(outputs, dict) else outputs

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Labels every pixel.

        Returns:
            `label` uint8 [B, H, W], `confidence` float32 [B, H, W] (softmax
            probability of that label), and, where the batch has labels, their
            `confusion` matrix, padded examples left out.
        """
        logits = self.logits(variables, batch["image"])
        predictions = self.decode({"logits": logits}, size_of(logits))
        if "label" in batch:
            valid = batch["example_valid"][:, None, None]
            target = jnp.where(valid, batch["label"], self._info.ignore_label)
            predictions["confusion"] = confusion_matrix(
                target, predictions["label"], self._info.num_classes
            )
        return predictions

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """`label` and `confidence` of `logits` at any resolution; see `predict`."""
        logits = resize(outputs["logits"], size, self._upsample)
        label = jnp.argmax(logits, -1).astype(jnp.uint8)
        confidence = jnp.exp(jnp.max(logits, -1) - jax.nn.logsumexp(logits, -1))
        return {"label": label, "confidence": confidence}

    def evaluator(self, per_example: bool = False) -> SegmentationEvaluator:
        """Counts pixels over a data set, and of each image for a report."""
        absent = self._inference.absent_classes
        return SegmentationEvaluator(self._info.class_names, absent, per_example)

    def draw(self, image: np.ndarray, prediction: dict, target: dict | None = None):
        """Image, prediction, overlay and (where known) truth side by side."""
        label = None if target is None else target.get("label")
        return draw_panels(image, prediction["label"], self._info, label)

    def draw_frame(self, image: np.ndarray, prediction: dict) -> np.ndarray:
        """The colours of the labels over the image."""
        palette = self._info.palette or default_palette(self._info.num_classes)
        return overlay(image, prediction["label"], palette)

    def save(
        self,
        folder: pathlib.Path,
        name: str,
        image: np.ndarray,
        prediction: dict,
        only: Collection[str] = (),
    ) -> dict:
        """Writes label map, colour map, overlay and panels of one image, or some."""
        kinds = only or self.picture_kinds
        return save_prediction(folder, name, image, prediction, self._info, kinds)


def _pixels(sample: dict) -> dict:
    """Keys that labelling pixels needs; boxes and points belong to other tasks."""
    keys = ("image", "label", "image_id")  # Not all splits have labels.
    return {key: sample[key] for key in keys if key in sample}
