"""Semantic segmentation as a task of the training loop."""

import copy
import functools
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.models.resize import resize, size_of
from hrnet_jax.segmentation import strips
from hrnet_jax.segmentation.augmentation import AugmentationOptions
from hrnet_jax.segmentation.drawing import draw_panels, overlay
from hrnet_jax.segmentation.framing import Canvas, Framing
from hrnet_jax.segmentation.fusion import fused_logits
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.segmentation.metrics import SegmentationEvaluator, confusion_matrix
from hrnet_jax.segmentation.options import InferenceOptions
from hrnet_jax.segmentation.outputs import (
    KINDS,
    REQUESTED,
    save_prediction,
    save_together,
)
from hrnet_jax.segmentation.transforms import make_train_transform, pad_bottom_right
from hrnet_jax.tasks.forward import train_outputs
from hrnet_jax.tasks.whole_image import WholeImage, refuse_boxes


class SegmentationTask(WholeImage):
    """Labels pixels.

    Args:
        model: a segmentation model.
        info: classes of the data set.
        augmentation: training transforms.
        loss: pixel loss.
        inference: evaluation and prediction.
        normalization: of images, as the weights were trained.
    """

    Augmentation = AugmentationOptions
    Loss = LossOptions
    Inference = InferenceOptions
    best_metric = ("mean_iou", "max")
    totals = ("confusion",)
    map_keys = ("label",)
    groups_images = False
    few_shapes = True
    pixel_maps = ("label", "confidence")
    scores_classes = True
    picture_kinds = KINDS
    requested_kinds = REQUESTED

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: AugmentationOptions = AugmentationOptions(),
        loss: LossOptions = LossOptions(),
        inference: InferenceOptions = InferenceOptions(),
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
        self._multiple = 1
        self._canvases: tuple[Canvas, ...] = ()

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, int]:
        """Options of `create_model` that the data set determines."""
        return {"num_classes": info.num_classes}

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """Scales, crops and flips one sample to the crop size."""
        return self._augment(_pixels(sample), rng)

    @functools.cached_property
    def _framing(self) -> Framing:
        # Not with the task, which draws without a network as well.
        aligned = self._upsample == "align_corners"
        return Framing(self._inference, aligned, self._multiple)

    @staticmethod
    def seen_once(inference: InferenceOptions) -> InferenceOptions:
        """Options with which an image is seen once, whole and as it is."""
        return InferenceOptions(absent_classes=inference.absent_classes)

    def for_sizes(self, sizes: np.ndarray) -> "SegmentationTask":
        """The task with canvases for images of these sizes, int [N, 2]."""
        task = copy.copy(self)
        _, task._canvases = self._framing.canvases(sizes)
        return task

    def to_multiples(self, multiple: int) -> "SegmentationTask":
        """The task that pads single images to multiples of this many pixels."""
        task = copy.copy(self)
        task._multiple = multiple
        task.__dict__.pop("_framing", None)
        return task

    def eval_groups(self, sizes: np.ndarray) -> np.ndarray:
        """Canvas of each image, of sizes int [N, 2]."""
        numbers = {canvas: number for number, canvas in enumerate(self._canvases)}
        return np.array([numbers[self._canvas((h, w))] for h, w in sizes])

    def _canvas(self, size: tuple[int, int]) -> Canvas:
        """The smallest canvas that holds an image, or one for it alone."""
        own = self._framing.own_canvas(size)
        fit = [canvas for canvas in self._canvases if canvas.holds(own)]
        return min(fit, key=_cost) if fit else self._framing.rounded_canvas(size)

    def eval_transform(self, sample: dict) -> dict:
        """Brings one sample to its canvas.

        The image is padded at the bottom and right, black, its label with the label
        that is ignored; `size` int32 [2] holds the height and width of the label.
        What `Framing.taps` says comes as well.
        """
        sample = _pixels(sample)
        size = sample["image"].shape[:2]
        canvas, label = self._canvas(size), {}
        if "label" in sample:
            ignored = self._info.ignore_label
            padded = pad_bottom_right(sample["label"], canvas.label, ignored)
            label = {"label": padded}
        return {
            **sample,
            "image": self._on_canvas(sample["image"], canvas),
            **label,
            "size": np.array(size, np.int32),
            **self._framing.taps(size, canvas),
        }

    def _on_canvas(self, image: np.ndarray, canvas: Canvas) -> np.ndarray:
        mean = [255 * value for value in self._normalization.mean]
        if self._normalization.channel_order == "bgr":
            mean.reverse()
        image = self._framing.resized(image, mean)
        return pad_bottom_right(image, canvas.image, 0)

    def to_network(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        """The image on its canvas, uint8 [1, h, w, 3], and what `to_image` needs.

        Raises:
            DataError: if there are boxes.
        """
        refuse_boxes(boxes)
        size = image.shape[:2]
        canvas = self._canvas(size)
        return self._on_canvas(image, canvas)[None], (size, canvas)

    def network_batch(self, images: np.ndarray, crops: Any) -> dict[str, np.ndarray]:
        """The image, and where its pixels lie in what the network sees."""
        taps = self._framing.taps(*crops)
        return {"image": images} | {name: tap[None] for name, tap in taps.items()}

    def to_image(self, predictions: dict, crops: Any) -> dict[str, np.ndarray]:
        """The predictions without those of padding."""
        (height, width), _ = crops
        return {name: maps[0, :height, :width] for name, maps in predictions.items()}

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

    def in_strips(self, size: tuple[int, int]) -> bool:
        """Whether the scores of an image need more memory than is given to them."""
        options = self._inference
        scores = 4 * size[0] * size[1] * self._info.num_classes
        windows = bool(options.window.size) and options.sees_image_as_it_is
        return windows and scores > strips.MOST_SCORES

    def window_scores(self, variables: dict, images: jax.Array) -> jax.Array:
        """What is averaged of windows: float32 [B, h, w, K]."""
        logits = self._low_logits(variables, images)
        logits = resize(logits, size_of(images), self._upsample)
        average = self._inference.window.average
        return jax.nn.softmax(logits) if average == "probabilities" else logits

    def save_strips(
        self,
        folder: pathlib.Path,
        name: str,
        image: np.ndarray,
        score: Callable[[np.ndarray], np.ndarray],
        only: Collection[str] = (),
    ) -> dict:
        """Labels a large image window by window, and writes its maps as they come."""
        found = strips.labelled_strips(score, image, self._inference.window)
        kinds = only or self.picture_kinds
        size = image.shape[:2]
        return strips.save_strips(folder, name, size, found, self._info, kinds)

    def logits(
        self,
        variables: dict,
        images: jax.Array,
        frame: Mapping[str, jax.Array] | None = None,
    ) -> jax.Array:
        """Logits float32 [B, H, W, K] of uint8 images [B, H, W, 3].

        Args:
            variables: of the model.
            images: each at the top left of its canvas.
            frame: `Framing.taps` of each; if None, the images fill the canvas.
        """
        if frame is None:
            height, width = images.shape[1:3]
            taps = self._framing.taps(
                (height, width), self._framing.own_canvas((height, width))
            )
            frame = {
                name: jnp.broadcast_to(tap, (len(images), *tap.shape))
                for name, tap in taps.items()
                if not self._inference.sees_image_as_it_is
            }
        score = functools.partial(self._low_logits, variables)
        return fused_logits(score, images, frame, self._inference, self._upsample)

    def _low_logits(self, variables: dict, images: jax.Array) -> jax.Array:
        """Logits of views or windows that the network sees whole, at its stride."""
        inputs = normalize_images(images, self._normalization)
        logits = self._logits_of(variables, inputs)
        if self._inference.flip:
            mirrored = self._logits_of(variables, inputs[:, :, ::-1])[:, :, ::-1]
            for left, right in self._info.flip_pairs:
                order = np.arange(mirrored.shape[-1])
                order[[left, right]] = right, left
                mirrored = mirrored[..., order]
            logits = (logits + mirrored) / 2
        return logits

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
        logits = self.logits(variables, batch["image"], batch)
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
        options = self._inference
        return SegmentationEvaluator(
            self._info.class_names,
            options.absent_classes,
            per_example,
            boundary=options.boundary,
        )

    def draw(self, image: np.ndarray, prediction: dict, target: dict | None = None):
        """Image, prediction, overlay and (where known) truth side by side.

        Padding of a target from a batch is left out.
        """
        label = None if target is None else target.get("label")
        if target is not None and "size" in target:
            height, width = (int(side) for side in target["size"])
            inner = self._framing.inner_size((height, width))
            image = image[: inner[0], : inner[1]]
            if inner != (height, width):
                image = cv2.resize(image, (width, height))
            predicted = prediction["label"][:height, :width]
            prediction = {**prediction, "label": predicted}
            label = None if label is None else label[:height, :width]
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
        """Writes label map, colour map, overlay and panels of one image, or others."""
        kinds = only or self.picture_kinds
        return save_prediction(folder, name, image, prediction, self._info, kinds)

    def save_together(
        self,
        folder: pathlib.Path,
        entries: Sequence[Mapping[str, Any]],
        only: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Writes polygons of all images, and files of results; see `outputs`."""
        return save_together(folder, entries, self._info, only)


def _pixels(sample: dict) -> dict:
    """Keys that labelling pixels needs; boxes and points belong to other tasks."""
    keys = ("image", "label", "image_id")  # Not all splits have labels.
    return {key: sample[key] for key in keys if key in sample}


def _cost(canvas: Canvas) -> tuple[int, ...]:
    """What canvases are chosen by: area, then what is unique."""
    return (canvas.area, *canvas.label, *canvas.image)
