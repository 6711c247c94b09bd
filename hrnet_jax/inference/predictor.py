"""Predicts for single images of any size."""

import copy
import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax import runtime
from hrnet_jax.errors import ConfigError
from hrnet_jax.inference.batching import equal_parts, join_parts
from hrnet_jax.inference.images import OneImage, Prediction, SeveralImages, for_each
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.models.folding import as_computed, fold_batch_norm
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.runtime import layouts
from hrnet_jax.tasks.few_shapes import few_shapes
from hrnet_jax.tasks.protocol import Predicts


def check_pad_multiple(pad_multiple: int) -> None:
    """Refuses what no side is a multiple of.

    Raises:
        ConfigError: if it is below 1.
    """
    if pad_multiple < 1:
        raise ConfigError(f"pad_multiple must be at least 1, got {pad_multiple}")


class Predictor:
    """A task with weights, applied to one image at a time.

    Each image size is compiled once; `pad_multiple` lets similar sizes share a
    program, at the price of slightly other values near the padded border. Norms are
    folded into the convolutions before them, which changes values by rounding.

    Args:
        task: from `load_run` or built by hand.
        variables: {"params", "batch_stats"}.
        pad_multiple: sides are padded with black to multiples of this.
    """

    def __init__(self, task: Predicts, variables: dict, pad_multiple: int = 1):
        check_pad_multiple(pad_multiple)
        self.task = task.to_multiples(pad_multiple) if few_shapes(task) else task
        self._multiple = pad_multiple
        folded = copy.copy(task)
        folded.model, weights = fold_batch_norm(task.model, variables)
        self._variables = layouts.put_for_inference(
            as_computed(weights, folded.model.dtype)
        )
        self._folded: Any = folded
        self._predict = runtime.jit(folded.predict)
        runtime.keep_freed_memory()

    def for_sizes(self, sizes: np.ndarray) -> "Predictor":
        """The same for images of these sizes, int [N, 2], through few programs.

        Those that it compiles serve this one too.
        """
        if not few_shapes(self.task):
            return self
        predictor = copy.copy(self)
        predictor.task = self.task.for_sizes(sizes)
        return predictor

    def save_large(
        self, folder: pathlib.Path, name: str, image: np.ndarray, **only: Any
    ) -> dict | None:
        """Predicts and writes an image part by part if it is too large to be whole.

        Args:
            folder: where to.
            name: start of the file names.
            image: uint8 RGB [H, W, 3], perhaps mapped from a file.
            **only: for the task's `save_strips`.

        Returns:
            The summary; None for an image that is not too large.
        """
        if not (few_shapes(self.task) and self.task.in_strips(image.shape[:2])):
            return None

        def score(windows: np.ndarray) -> np.ndarray:
            return jax.device_get(self._window_scores(self._variables, windows))

        return self.task.save_strips(folder, name, image, score, **only)

    @classmethod
    def open(cls, path: str | os.PathLike) -> OpenedModel:
        """Opens a `.stablehlo` or `.onnx` file of `scripts/export.py` to predict.

        Raises:
            ExportError: if it cannot be used.
        """
        import hrnet_jax

        return hrnet_jax.open_exported(path)

    @overload
    def predict(
        self, image: OneImage, boxes: Any = None, *, probabilities: bool = False
    ) -> Prediction: ...
    @overload
    def predict(
        self, image: SeveralImages, boxes: Any = None, *, probabilities: bool = False
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, image: np.ndarray, boxes: Any = None, *, probabilities: bool = False
    ) -> Any: ...
    def predict(
        self, image: Any, boxes: Any = None, *, probabilities: bool = False
    ) -> Any:
        """Predicts for one image, or for several one after the other.

        Args:
            image: path of a file, Pillow image (both are turned upright as their EXIF
                data say), or uint8 [H, W, 3] RGB. Several images are a list of any of
                these, or a stack uint8 [N, H, W, 3].
            boxes: [N, 4], (x1, y1, x2, y2) in pixels, of faces or persons, for tasks
                that predict in boxes; None takes the whole image as the one box. For
                several images a list with the boxes of each. Or what finds them, such
                as `LoadedRun.finder` of a detector: maps an image uint8 [H, W, 3] to
                boxes.
            probabilities: whether to add `probabilities`, of each class, for tasks
                that score classes: float32 [H, W, K] where they label pixels.

        Returns:
            The task's prediction; see its `predict` and `to_image`. Maps per pixel have
            the image's own size. For segmentation: `label` uint8 [H, W], `confidence`
            float32 [H, W]. For landmarks and pose: `points` float32 [N, K, 2] in
            pixels of the image, `scores` [N, K], `boxes` [N, 4]. For several images a
            list of predictions.

        Raises:
            DataError: if an image or the boxes have another type or shape.
            ConfigError: for probabilities of a task that scores no classes.
        """
        if not probabilities:
            return for_each(image, boxes, self._predict_one)
        self._check_scores_classes("probabilities")
        return for_each(image, boxes, self._predict_with_probabilities)

    @overload
    def logits(self, image: OneImage) -> np.ndarray: ...
    @overload
    def logits(self, image: SeveralImages) -> list[np.ndarray]: ...
    @overload
    def logits(self, image: np.ndarray) -> Any: ...
    def logits(self, image: Any) -> Any:
        """Scores of all classes before the softmax.

        Args:
            image: see `predict`.

        Returns:
            float32 [H, W, K] for segmentation, [K] for classification; for several
            images a list of these.

        Raises:
            DataError: if an image has another type or shape.
            ConfigError: for a task that scores no classes.
        """
        self._check_scores_classes("logits")
        return for_each(image, None, self._logits_of_one)

    @overload
    def features(
        self, image: OneImage, normalization: Normalization
    ) -> tuple[np.ndarray, ...]: ...
    @overload
    def features(
        self, image: SeveralImages, normalization: Normalization
    ) -> list[tuple[np.ndarray, ...]]: ...
    @overload
    def features(self, image: np.ndarray, normalization: Normalization) -> Any: ...
    def features(self, image: Any, normalization: Normalization) -> Any:
        """Maps of the network's branches at the end of stage 4, which its head reads.

        Args:
            image: see `predict`.
            normalization: of images, as the weights were trained.

        Returns:
            float32 [h, w, C] at strides 4, 8, 16 and 32 of what the network sees of the
            image (for classification its resized middle); the first alone for V1
            and V1h. For several images a list of such tuples.
        """

        features = functools.partial(self._features, normalization)

        def features_of_one(image: np.ndarray, boxes: None) -> tuple[np.ndarray, ...]:
            if few_shapes(self.task):
                batch = {"image": self._pad(image[None])}
                maps = jax.device_get(features(self._variables, batch))
                height, width = image.shape[:2]
            else:
                maps, _, (height, width) = self._apply(features, image, boxes)
            return tuple(
                array[0, : -(-height // stride), : -(-width // stride)]
                for stride, array in zip((4, 8, 16, 32), maps.values(), strict=False)
            )

        return for_each(image, None, features_of_one)

    def _predict_one(self, image: np.ndarray, boxes: Any) -> dict[str, np.ndarray]:
        return self._in_image(self._predict, self.task.pixel_maps, image, boxes)

    def _predict_with_probabilities(
        self, image: np.ndarray, boxes: Any
    ) -> dict[str, np.ndarray]:
        maps = self.task.pixel_maps
        maps = (*maps, "probabilities") if maps else ()
        return self._in_image(self._scored, maps, image, boxes)

    def _logits_of_one(self, image: np.ndarray, boxes: None) -> np.ndarray:
        maps = ("logits",) if self.task.pixel_maps else ()
        return self._in_image(self._logits, maps, image, boxes)["logits"]

    def _in_image(
        self, function: Callable, maps: Sequence[str], image: np.ndarray, boxes: Any
    ) -> dict[str, np.ndarray]:
        """What a function predicts, as a prediction for the image."""
        predictions, crops, (height, width) = self._apply(function, image, boxes)
        for name in () if few_shapes(self.task) else maps:
            predictions[name] = predictions[name][:, :height, :width]
        return self.task.to_image(predictions, crops)

    def _apply(
        self, function: Callable, image: np.ndarray, boxes: Any
    ) -> tuple[dict[str, np.ndarray], Any, tuple[int, int]]:
        """Outputs for the crops of an image, what is known of these, their size."""
        images, crops = self.task.to_network(image, boxes)
        size = images.shape[1:3]
        padded = images if few_shapes(self.task) else self._pad(images)
        batch = self.task.network_batch(padded, crops)
        outputs = join_parts(
            jax.device_get(function(self._variables, part))
            for part in equal_parts(batch)
        )
        outputs = {name: value[: len(images)] for name, value in outputs.items()}
        return outputs, crops, size

    @functools.cached_property
    def _logits(self) -> Callable:
        task = self._folded
        return runtime.jit(
            lambda variables, batch: {
                "logits": task.logits(variables, batch["image"], batch)
            }
        )

    @functools.cached_property
    def _window_scores(self) -> Callable:
        return runtime.jit(self._folded.window_scores)

    @functools.cached_property
    def _scored(self) -> Callable:
        """Like the task's `predict`, with `probabilities`."""
        task = self._folded

        def scored(variables: dict, batch: dict) -> dict[str, jax.Array]:
            logits = task.logits(variables, batch["image"], batch)
            of_pixels = logits.ndim == 4
            size = (logits if of_pixels else batch["image"]).shape[1:3]
            predictions = task.decode({"logits": logits}, size)
            # What a task calls so itself need not be a softmax.
            return {"probabilities": jax.nn.softmax(logits)} | predictions

        return runtime.jit(scored)

    @functools.cached_property
    def _features(self) -> Callable:
        model = self._folded.model

        def features(
            normalization: Normalization, variables: dict, batch: dict
        ) -> dict[str, jax.Array]:
            inputs = normalize_images(batch["image"], normalization)
            _, state = model.apply(variables, inputs, mutable=["intermediates"])
            (maps,) = state["intermediates"]["after_stage4"]
            return {
                f"branch{index}": array.astype(jnp.float32)
                for index, array in enumerate(maps)
            }

        return runtime.jit(features, static_argnums=0)

    def _check_scores_classes(self, wanted: str) -> None:
        if not self.task.scores_classes:
            raise ConfigError(
                f"{wanted} were asked for, but {type(self.task).__name__} scores no "
                "classes; expected a segmentation or classification model"
            )

    def _pad(self, images: np.ndarray) -> np.ndarray:
        bottom, right = (-side % self._multiple for side in images.shape[1:3])
        return np.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))
