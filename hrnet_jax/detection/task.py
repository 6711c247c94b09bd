"""Detection and instance segmentation as a task of the training loop."""

import pathlib
from typing import Any

import jax
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.canvas import resized
from hrnet_jax.detection.drawing import Drawn, draw_objects
from hrnet_jax.detection.image_masks import ImageMasks
from hrnet_jax.detection.metrics import CocoEvaluator
from hrnet_jax.detection.options import (
    InferenceOptions,
    LossOptions,
    chosen_numbers,
)
from hrnet_jax.detection.outputs import save_prediction
from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.detection.transforms import (
    AugmentationOptions,
    empty_record,
    eval_groups,
    make_eval_transform,
    make_train_transform,
    on_canvas,
    train_groups,
)
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.tasks.whole_image import WholeImage


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
    recipe = {"model.norm": "frozen"}
    best_metric = ("AP", "max")
    totals = ()
    map_keys = ()
    pads_images = False
    groups_images = True
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

    def train_groups(self, sizes: np.ndarray) -> np.ndarray:
        """Canvas of each training image, of sizes int [N, 2]."""
        return train_groups(sizes, self._augmentation)

    def eval_groups(self, sizes: np.ndarray) -> np.ndarray:
        """Canvas of each evaluated image, of sizes int [N, 2]."""
        return eval_groups(sizes, self._augmentation)

    @functools.cached_property
    def train_transform(self) -> Any:
        """Resizes, flips and pads one sample; see `make_train_transform`."""
        return make_train_transform(
            self._augmentation, self._info, masks=self.model.has_masks
        )

    def empty_sample(self, size: tuple[int, int]) -> dict:
        """An image without objects; see `tasks.protocol.Trains`."""
        return empty_record(size)
