"""Detection and instance segmentation as a task of the training loop."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.drawing import Drawn, draw_objects
from hrnet_jax.detection.exporting import (
    are_candidates,
    largest_difference,
    named_candidates,
    suppressed,
)
from hrnet_jax.detection.image_masks import ImageMasks
from hrnet_jax.detection.metrics import CocoEvaluator
from hrnet_jax.detection.options import (
    InferenceOptions,
    LossOptions,
    chosen_numbers,
)
from hrnet_jax.detection.outputs import listed_objects
from hrnet_jax.detection.placed_objects import Placement
from hrnet_jax.detection.postprocess import Detections
from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.detection.transforms import (
    AugmentationOptions,
    empty_record,
    eval_groups,
    make_eval_transform,
    make_train_transform,
    on_eval_canvas,
    train_groups,
)
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.pictures import side_by_side, write_picture
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.tasks.whole_image import WholeImage, refuse_boxes


class DetectionTask(WholeImage):
    """Finds objects: box, class and, with a mask head, the pixels of each.

    Args:
        model: a detector.
        info: classes of the data set.
        augmentation: training transforms, and the size that images are brought to.
        loss: what the losses see.
        inference: which detections are reported.
        normalization: of images, as the weights were trained.
    """

    Augmentation = AugmentationOptions
    Loss = LossOptions
    Inference = InferenceOptions
    recipe: ClassVar = {"model.norm": "frozen"}
    best_metric = ("AP", "max")
    totals = ()
    map_keys = ()
    groups_images = True
    finds_objects = True
    has_own_size = True

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: AugmentationOptions = AugmentationOptions(),
        loss: LossOptions = LossOptions(),
        inference: InferenceOptions = InferenceOptions(),
        normalization: Normalization = Normalization(),
    ):
        self.model: Any = model
        self.image_size = augmentation.train_canvases()[0]
        self._info = info
        self._augmentation = augmentation
        self._inference = inference
        self._normalization = normalization
        self._numbers = chosen_numbers(model.numbers, loss, inference)

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, int]:
        """Options of `create_model` that the data set determines."""
        return {"num_classes": len(info.box_class_names)}

    @property
    def object_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._info.box_class_names

    @property
    def least_score(self) -> float:
        """Objects of this score and below are not reported."""
        return self._inference.score

    def train_groups(self, sizes: np.ndarray) -> np.ndarray:
        """Canvas of each training image, of sizes int [N, 2]."""
        return train_groups(sizes, self._augmentation)

    def eval_groups(self, sizes: np.ndarray) -> np.ndarray:
        """Canvas of each evaluated image, of sizes int [N, 2]."""
        return eval_groups(sizes, self._augmentation)

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """Resizes, flips and pads one sample; see `make_train_transform`."""
        return self._augment(sample, rng)

    def eval_transform(self, sample: dict) -> dict:
        """Resizes and pads one sample; see `make_eval_transform`."""
        return self._prepare(sample)

    @functools.cached_property
    def _augment(self) -> Callable:
        return make_train_transform(
            self._augmentation, self._info, masks=self.model.has_masks
        )

    @functools.cached_property
    def _prepare(self) -> Callable:
        return make_eval_transform(self._augmentation, self._info)

    def empty_sample(self, size: tuple[int, int]) -> dict:
        """An image without objects; see `tasks.protocol.Trains`."""
        return empty_record(size)

    def loss(self, variables: dict, batch: dict, rngs: dict):
        """Sum of all losses of a batch; see `tasks.protocol.Trains`.

        Samples are drawn with the key `dropout` and the image's place in the batch, so
        that they do not depend on the number of devices.
        """
        (losses, measures), state = self.model.apply(
            variables,
            normalize_images(batch["image"], self._normalization),
            batch["image_size"],
            self._objects(batch),
            Draw(rngs["dropout"]),
            self._numbers,
            rngs=rngs,
            mutable=["batch_stats"],
            method="losses",
        )
        stats = state.get("batch_stats", variables["batch_stats"])
        return sum(losses.values()), (stats, losses | measures)

    @property
    def _plus_one(self) -> float:
        """From where a box ends for the network to its edge, in pixels."""
        return self._numbers.conventions.plus_one

    def _objects(self, batch: dict) -> Objects:
        """The objects of a batch as the network measures them.

        Boxes of batches and predictions end at an edge of pixels, those of `v1` at the
        last pixel: x2 = x1 + w - 1 in mmdetection 1 (`CocoDataset`, `xyxy2xywh`).
        """
        objects = Objects.of_batch(batch)
        if not self._plus_one:
            return objects
        boxes = objects.boxes - self._plus_one * np.array([0, 0, 1, 1], np.float32)
        # The stored masks fill the boxes as they were.
        return objects._replace(boxes=boxes, frames=objects.boxes)

    def _named(self, found: Detections) -> dict[str, jax.Array]:
        """Parts of detections by name, as far as there are, boxes to their edges."""
        if self._plus_one:
            edges = found.boxes + self._plus_one * np.array([0, 0, 1, 1], np.float32)
            # What pads detections stays empty.
            boxes = jnp.where(found.valid[..., None], edges, 0)
            found = found._replace(boxes=boxes)
        return {key: part for key, part in found._asdict().items() if part is not None}

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Finds the objects of images on their canvas.

        Args:
            variables: of the model.
            batch: `image` uint8 [B, H, W, 3] and `image_size` int [B, 2].

        Returns:
            `boxes` float32 [B, N, 4], (x1, y1, x2, y2) in pixels of the canvas,
            `scores` float32 [B, N], `classes` int32 [B, N], best first, `valid` bool
            [B, N], and with a mask head `masks` float32 [B, N, 28, 28], probabilities
            within each box.
        """
        images = normalize_images(batch["image"], self._normalization)
        return self.predict_normalized(variables, batch | {"image": images})

    def predict_normalized(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """`predict` for images that are normalised already."""
        return self._named(self._apply("detect", variables, batch))

    def candidates(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """What doubles are suppressed among; see `tasks.protocol.ExportsPredictions`.

        Returns:
            `candidate_boxes` float32 [B, N, 4], `candidate_scores` [B, N],
            `candidate_classes` int32 [B, N] and `candidate_valid` bool [B, N].

        Raises:
            ConfigError: of a detector with masks, which are those of the boxes that are
                left.
        """
        if self.model.has_masks:
            raise ConfigError(
                "masks are of the boxes that suppression leaves, so it cannot be left "
                f"to the caller (nms='caller') for {self.model.output_kind}; expected "
                "nms='operator'"
            )
        return named_candidates(self._apply("candidates", variables, batch))

    def _apply(self, method: str, variables: dict, batch: dict) -> Any:
        return self.model.apply(
            variables, batch["image"], batch["image_size"], self._numbers, method=method
        )

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """Detections as they are, or what suppression leaves of candidates."""
        if not are_candidates(outputs):
            return outputs
        classes, settings = self.model.num_classes, self._numbers.detections
        return self._named(suppressed(outputs, classes, settings, self._plus_one))

    @staticmethod
    def at_size(
        augmentation: AugmentationOptions, size: tuple[int, int]
    ) -> AugmentationOptions:
        """Options whose canvas of evaluation has this (height, width).

        Raises:
            ConfigError: if it is no multiple of 32, or too small for `test_scale`.
        """
        return dataclasses.replace(augmentation, test_canvases=((size[0], size[1]),))

    @staticmethod
    def unlimited(inference: InferenceOptions) -> InferenceOptions:
        """Options that report detections of any score."""
        return dataclasses.replace(inference, score=0.0)

    largest_difference = staticmethod(largest_difference)

    def to_network(  # type: ignore[override]
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, Placement]:
        """The image on its canvas, uint8 [1, h, w, 3], and how it got there.

        Raises:
            DataError: if there are boxes.
        """
        refuse_boxes(boxes)
        canvas, placement = on_eval_canvas(image, self._augmentation)
        return canvas[None], placement

    def network_batch(
        self, images: np.ndarray, crops: Placement
    ) -> dict[str, np.ndarray]:
        """The canvas and the size of the image in it."""
        return {"image": images, "image_size": np.array([crops.size], np.int32)}

    def to_image(
        self, predictions: dict[str, np.ndarray], crops: Placement
    ) -> dict[str, Any]:
        """Objects of the image.

        Returns:
            `boxes` float32 [N, 4], (x1, y1, x2, y2) in pixels of the image, `scores`
            float32 [N], `classes` int32 [N], best first, and with a mask head `masks`,
            an `ImageMasks` [N, H, W].
        """
        kept = predictions["valid"][0]
        height, width = crops.original
        boxes = crops.in_original(predictions["boxes"][0][kept])
        boxes = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
        found = {
            "boxes": boxes,
            "scores": predictions["scores"][0][kept],
            "classes": predictions["classes"][0][kept],
        }
        if "masks" in predictions:
            masks = predictions["masks"][0][kept]
            found["masks"] = ImageMasks(masks, boxes, (height, width))
        return found

    def evaluator(
        self, per_example: bool = False, expected: int | None = None
    ) -> CocoEvaluator:
        """Gathers detections over a data set of `expected` images."""
        return CocoEvaluator(self._info, masks=self.model.has_masks, expected=expected)

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None = None
    ) -> np.ndarray:
        """The image with what was found in it, beside what is annotated if known."""
        height, width = image.shape[:2]
        if target is not None and "image_size" in target:
            height, width = (int(side) for side in target["image_size"])
        image = image[:height, :width]
        drawn = self._found(prediction, (height, width))
        names = self._info.box_class_names
        picture = draw_objects(image, drawn, len(names))
        if target is None:
            return picture
        there = np.asarray(target["box_valid"], bool)
        classes = np.asarray(target["box_class"])[there]
        truth = Drawn(target["boxes"][there], classes, [names[k] for k in classes])
        return side_by_side(picture, draw_objects(image, truth, len(names)))

    def _found(self, prediction: dict, size: tuple[int, int]) -> Drawn:
        """What is drawn of a prediction for an image, or for a canvas."""
        kept = np.asarray(prediction["scores"]) > self._inference.draw_score
        kept &= np.asarray(prediction.get("valid", kept), bool)
        index = np.flatnonzero(kept)
        boxes = np.asarray(prediction["boxes"])[index]
        classes = np.asarray(prediction["classes"])[index]
        masks = prediction.get("masks")
        if isinstance(masks, ImageMasks):
            masks = masks.chosen(index)
        elif masks is not None:
            masks = ImageMasks(np.asarray(masks)[index], boxes, size)
        captions = [
            f"{self._info.box_class_names[label]} {score:.2f}"
            for label, score in zip(
                classes, np.asarray(prediction["scores"])[index], strict=True
            )
        ]
        return Drawn(boxes, classes, captions, masks)

    def save(
        self, folder: pathlib.Path, name: str, image: np.ndarray, prediction: dict
    ) -> dict:
        """Writes `<name>_objects.png`, and lists all objects: name, score, box, mask.

        Masks are COCO's run lengths.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_picture(folder / f"{name}_objects.png", self.draw(image, prediction))
        return {"found": listed_objects(prediction, self._info, image.shape[:2])}
