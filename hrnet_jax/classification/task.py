"""Image classification as a task of the training loop: what an image shows."""

import copy
import functools
import json
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.classification.augmentation import AugmentationOptions
from hrnet_jax.classification.drawing import draw_activation, draw_classes
from hrnet_jax.classification.losses import cross_entropy, distillation, smoothed
from hrnet_jax.classification.metrics import ClassificationEvaluator, rank_of
from hrnet_jax.classification.mixing import mixed
from hrnet_jax.classification.options import InferenceOptions, LossOptions
from hrnet_jax.classification.transforms import (
    make_train_transform,
    prepare_evaluation,
    targets,
)
from hrnet_jax.classification.views import seen_part
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.pictures import write_picture
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.tasks.forward import train_outputs
from hrnet_jax.tasks.whole_image import WholeImage, refuse_boxes
from hrnet_jax.whole_files import write_whole

# What is written unless told otherwise, and what only by request.
KINDS = ("classes",)
REQUESTED = ("activation", "json")
_LISTED = 5


class ClassificationTask(WholeImage):
    """Tells what an image shows, and learns to.

    Args:
        model: a classification model.
        info: the classes, `image_class_names`, and whether images may have several.
        augmentation: training transforms.
        loss: what is minimised.
        inference: resizing and crop; those of the published figures by default.
        normalization: of images, as the weights were trained.
    """

    Augmentation = AugmentationOptions
    Loss = LossOptions
    Inference = InferenceOptions
    # HRNet-Image-Classification, `experiments/*.yaml`, at the batch of the paper.
    recipe: ClassVar = {
        "batch_size": 256,
        "num_epochs": 100,
        "optimizer.nesterov": True,
        "optimizer.weight_decay": 1e-4,
        "schedule.name": "step",
        "schedule.learning_rate": 0.1,
        "schedule.reference_batch": 256,
        "schedule.boundaries": (0.3, 0.6, 0.9),
        "eval.batch_size": 64,
    }
    best_metric = ("top1", "max")
    totals = ()
    map_keys = ()
    groups_images = False
    reads_encoded = True
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
        if loss.label_smoothing and info.multi_label:
            raise ConfigError(
                f"config key 'loss.label_smoothing' is {loss.label_smoothing}, but images "
                f"of {info.name} have several classes each; expected 0"
            )
        self.model: Any = model
        self.image_size = augmentation.crop_size
        self._info = info
        self._names = info.image_class_names
        self._augmentation = augmentation
        self._loss = loss
        self._inference = inference
        self._normalization = normalization
        self._teacher: tuple[Any, Normalization] | None = None

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, int]:
        """Options of `create_model` that the data set determines."""
        return {"num_classes": len(info.image_class_names)}

    def with_teacher(
        self, model: Model, normalization: Normalization
    ) -> "ClassificationTask":
        """The task that learns from a teacher; see `tasks.teachers`."""
        task = copy.copy(self)
        task._teacher = model, normalization
        return task

    @functools.cached_property
    def _augment(self) -> Callable:
        return make_train_transform(self._augmentation)

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """Cuts a part out of one image and varies it; see `make_train_transform`."""
        return self._augment(sample, rng)

    def eval_transform(self, sample: dict) -> dict:
        """The resized middle of one image, and its classes.

        Raises:
            ConfigError: if images keep their sizes.
        """
        if not (self._inference.short_side and self._inference.crop):
            raise ConfigError(
                "config keys 'eval.inference.short_side' and 'crop' are "
                f"{self._inference.short_side} and {self._inference.crop}; expected two "
                "sides in pixels, as images are evaluated in batches of one size"
            )
        name = sample["image_id"]
        image = prepare_evaluation(sample["image"], self._inference, name)
        return {"image": image} | targets(sample)

    def empty_sample(self, size: tuple[int, int]) -> dict:
        """A black image of the first class; see `tasks.protocol.Trains`."""
        sample = {"image": np.zeros((*size, 3), np.uint8), "image_id": ""}
        if self._info.multi_label:
            return {**sample, "classes": np.zeros(len(self._names), np.uint8)}
        return {**sample, "class": np.int64(0)}

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resizes the short side and cuts the middle out; see `prepare_evaluation`."""
        return prepare_evaluation(image, self._inference)

    def to_network(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        """The prepared image, uint8 [1, h, w, 3], and where it lies in the image.

        Raises:
            DataError: if there are boxes.
        """
        refuse_boxes(boxes)
        return self.prepare(image)[None], seen_part(image.shape[:2], self._inference)

    def to_image(self, predictions: dict, crops: np.ndarray) -> dict[str, np.ndarray]:
        """The predictions of the one image; `view` tells where `activation` lies."""
        prediction = super().to_image(predictions, crops)
        return (
            {**prediction, "view": crops} if "activation" in prediction else prediction
        )

    def loss(self, variables: dict, batch: dict, rngs: dict):
        """Mean loss of a batch; see `tasks.protocol.Trains`.

        Raises:
            ConfigError: for a teacher that nobody opened, and a batch that cannot be
                mixed.
        """
        options, several = self._loss, self._info.multi_label
        images, targets = batch["image"], self._targets(batch)
        if options.mixes:
            # Not the key that dropout takes.
            key = jax.random.fold_in(rngs["dropout"], 0)
            images, targets = mixed(images, targets, options, key)
        student = {key: variables[key] for key in ("params", "batch_stats")}
        logits, stats = train_outputs(
            self.model, student, images, self._normalization, rngs
        )
        targets = smoothed(targets, options.label_smoothing)
        value = cross_entropy(logits, targets, several=several)
        if not options.teacher:
            return value, (stats, {})
        soft = distillation(
            logits,
            self._teacher_logits(variables, images),
            options.temperature,
            several=several,
        )
        weight = options.teacher_weight
        total = (1 - weight) * value + weight * soft
        return total, (stats, {"label_loss": value, "teacher_loss": soft})

    def _targets(self, batch: dict) -> jax.Array:
        """Probabilities of the classes, float32 [B, K]."""
        if self._info.multi_label:
            return batch["classes"].astype(jnp.float32)
        return jax.nn.one_hot(batch["class"], len(self._names))

    def _teacher_logits(self, variables: dict, images: jax.Array) -> jax.Array:
        if self._teacher is None:
            raise ConfigError(
                f"config key 'loss.teacher' is {self._loss.teacher!r}, which was not "
                "opened; training does, see hrnet_jax.training.teacher"
            )
        model, normalization = self._teacher
        return model.apply(
            variables["teacher"], normalize_images(images, normalization)
        )

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Class probabilities of images.

        Returns:
            `probabilities` float32 [B, K] and the most probable `class` int32 [B]. For
            images to predict also `activation` float32 [B, ceil(H / 32), ceil(W / 32)],
            see `_activation`. For those with a `class` int [B] its `rank` int32 [B]
            among all, from 0, and its `truth` float32 [B], the probability.
        """
        inputs = normalize_images(batch["image"], self._normalization)
        logits, state = self.model.apply(variables, inputs, mutable=["intermediates"])
        predictions = self.decode({"logits": logits}, inputs.shape[1:3])
        if "example_valid" not in batch:  # not evaluated
            (features,) = state["intermediates"]["features"]
            predictions["activation"] = _activation(
                features, variables["params"]["classifier"], predictions["class"]
            )
        if "class" in batch:
            predictions["rank"] = rank_of(logits, batch["class"])
            truth = batch["class"][:, None]
            predictions["truth"] = jnp.take_along_axis(
                predictions["probabilities"], truth, 1
            )[:, 0]
        return predictions

    def logits(self, variables: dict, images: jax.Array, frame: Any = None) -> Any:
        """Scores of the classes, float32 [B, K], of uint8 images [B, H, W, 3]."""
        inputs = normalize_images(images, self._normalization)
        return self.model.apply(variables, inputs)

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """`probabilities` and `class` of `logits`; see `predict`."""
        logits = outputs["logits"]
        several = self._info.multi_label
        probabilities = jax.nn.sigmoid(logits) if several else jax.nn.softmax(logits)
        best = jnp.argmax(logits, -1).astype(jnp.int32)
        return {"probabilities": probabilities, "class": best}

    def evaluator(self, per_example: bool = False) -> ClassificationEvaluator:
        """Counts right classes over a data set, and keeps each image for a report."""
        return ClassificationEvaluator(
            self._names, several=self._info.multi_label, per_example=per_example
        )

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None = None
    ) -> np.ndarray:
        """The image with the most probable classes below it."""
        return draw_classes(image, self._best(prediction), self._names, target)

    def draw_frame(self, image: np.ndarray, prediction: dict) -> np.ndarray:
        """The same for a video: as wide as the image, whatever the names."""
        picture = self.draw(image, prediction)[:, : image.shape[1]]
        return np.ascontiguousarray(picture)

    def save(
        self,
        folder: pathlib.Path,
        name: str,
        image: np.ndarray,
        prediction: dict,
        only: Collection[str] = (),
    ) -> dict:
        """Writes the captioned image, or others; the summary lists the best classes.

        `<name>_classes.png` has the classes below the image. By request
        `_activation.png` shows where in the image the best class was seen, and
        `<name>.json` is the summary of this image.

        Raises:
            ConfigError: for `activation` of an exported file, which has no maps.
        """
        kinds = only or self.picture_kinds
        if "activation" in kinds and "activation" not in prediction:
            raise ConfigError(
                "only=activation: an exported file gives scores alone, and no maps to "
                "draw; expected a run or weights"
            )
        folder.mkdir(parents=True, exist_ok=True)
        best = self._best(prediction)
        if "classes" in kinds:
            picture = draw_classes(image, best, self._names)
            write_picture(folder / f"{name}_classes.png", picture)
        if "activation" in kinds:
            picture = draw_activation(image, prediction, best[0])
            write_picture(folder / f"{name}_activation.png", picture)
        summary = {"classes": best}
        if "json" in kinds:
            text = json.dumps(summary, indent=2)
            write_whole(folder / f"{name}.json", text + "\n")
        return summary

    def save_together(
        self,
        folder: pathlib.Path,
        entries: Sequence[Mapping[str, Any]],
        only: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Nothing is of all images at once."""
        return [dict(entry) for entry in entries]

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


def _activation(
    features: jax.Array, classifier: Mapping[str, jax.Array], classes: jax.Array
) -> jax.Array:
    """What each place adds to the score of a class, float32 [B, h, w]; its mean is that.

    Class activation maps (Zhou et al. 2016, "Learning Deep Features for Discriminative
    Localization", equation 2): the classifier before the mean over the places.

    Args:
        features: that the classifier reads the mean of, [B, h, w, C].
        classifier: `kernel` [C, K] and `bias` [K].
        classes: int [B].
    """
    kernel = jnp.take(classifier["kernel"], classes, 1).astype(jnp.float32)
    bias = jnp.take(classifier["bias"], classes).astype(jnp.float32)
    maps = jnp.einsum("bhwc,cb->bhw", features.astype(jnp.float32), kernel)
    return maps + bias[:, None, None]
