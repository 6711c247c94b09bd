"""Facial landmarks: points on faces, found and learnt."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.boxes import box_of_points, overlaps
from hrnet_jax.keypoints.face_finder import find_faces
from hrnet_jax.keypoints.learning import LearnsHeatmaps
from hrnet_jax.keypoints.losses import LossOptions
from hrnet_jax.keypoints.metrics import LandmarkEvaluator
from hrnet_jax.keypoints.official import crop as official_crop
from hrnet_jax.keypoints.official import geometry as official_geometry
from hrnet_jax.keypoints.official import targets as official_targets
from hrnet_jax.keypoints.task import InferenceOptions
from hrnet_jax.keypoints.transforms import (
    AugmentationOptions,
    make_eval_transform,
    make_train_transform,
)
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization

# The box of a face's points that overlaps the found box less is none.
_PLAUSIBLE = 0.3
# Longer side, in pixels, of the frames of a video that faces are looked for in.
_LONGEST_IN_VIDEO = 400


class LandmarkTask(LearnsHeatmaps):
    """Finds the landmarks of faces, and learns to.

    Args:
        model: a landmark model.
        info: names, lines, flip pairs and normalisers of the points.
        augmentation: how faces are cut out, and what training varies.
        loss: targets and loss.
        inference: how heatmaps become points.
        normalization: of images, as the weights were trained.
    """

    Loss = LossOptions
    Inference = InferenceOptions
    finds_boxes = True
    in_boxes = ("face", "faces")
    best_metric = ("nme", "min")
    # HRNet-Facial-Landmark-Detection, `experiments/*/*.yaml` and `tools/train.py`.
    # The rate drops after epochs 30 and 50 of 60; the norms' new batch weighs 0.01.
    recipe: ClassVar = {
        "batch_size": 16,
        "num_epochs": 60,
        "model.norm_momentum": 0.01,
        "optimizer.name": "adam",
        "optimizer.weight_decay": 0.0,
        "schedule.name": "step",
        "schedule.learning_rate": 1e-4,
        "schedule.boundaries": (30 / 60, 50 / 60),
        "eval.batch_size": 16,
    }

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: AugmentationOptions = AugmentationOptions(),
        loss: LossOptions = LossOptions(),
        inference: InferenceOptions = InferenceOptions(),
        normalization: Normalization = Normalization(),
    ):
        super().__init__(model, info, augmentation, loss, inference, normalization)
        known = ("box", *info.normalizers)
        if inference.normalizer not in ("", *known):
            raise ConfigError(
                f"config key 'eval.inference.normalizer' is "
                f"{inference.normalizer!r}; {info.name} has {', '.join(known)}"
            )
        if self._is_official and (loss.hidden, loss.outside) != ("keep", "zero"):
            raise ConfigError(
                "config key 'dataset.augmentation.compat' is 'official', which has its "
                "own rule for empty targets; leave loss.hidden and loss.outside at "
                f"'keep' and 'zero', not {loss.hidden!r} and {loss.outside!r}"
            )
        if self._is_official and inference.decoding != "quarter":
            raise ConfigError(
                "config key 'dataset.augmentation.compat' is 'official', which decodes "
                "in one way; set eval.inference.decoding=quarter, not "
                f"{inference.decoding!r}"
            )
        self._cut_for_training = make_train_transform(augmentation, info)
        self._cut_for_evaluation = make_eval_transform(augmentation, info)

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """A random crop of one face; see `transforms.make_train_transform`."""
        return self._cut_for_training(sample, rng)

    def eval_transform(self, sample: dict) -> dict:
        """The crop of one face; see `transforms.make_eval_transform`."""
        return self._cut_for_evaluation(sample)

    def empty_sample(self, size: tuple[int, int]) -> dict:
        """A face in an image with nothing to see; see `tasks.protocol.Trains`."""
        count = len(self._info.point_names)
        return {
            "image": np.zeros((*size, 3), np.uint8),
            "image_id": "",
            "points": np.ones((count, 2)),
            "visible": np.ones(count, np.uint8),
            "annotated": np.ones(count, np.uint8),
            # A box must have a size.
            "center": np.ones(2),
            "scale": np.float64(1),
            "box_size": np.float64(1),
        }

    def find_boxes(self, image: np.ndarray) -> np.ndarray:
        """Boxes of the faces that are found; see `face_finder.find_faces`."""
        return find_faces(image)

    def find_boxes_in_frame(self, image: np.ndarray) -> np.ndarray:
        """The same in a smaller image: another frame follows soon."""
        return find_faces(image, longest=_LONGEST_IN_VIDEO)

    def better_boxes(self, found: np.ndarray, prediction: dict) -> np.ndarray | None:
        """The boxes of the points, where the data set's boxes are those.

        The detector's boxes scatter more than those of any data set. Where the points
        determine the box, a second prediction is made in the box of the first points;
        on 98 faces of 300W that took a model from an error of 5.3 % to 4.9 % (4.4 %
        in true boxes).
        """
        if not len(found) or not self._info.tight_boxes:
            return None
        tight = np.array([box_of_points(points) for points in prediction["points"]])
        plausible = np.diag(overlaps(tight, found)) > _PLAUSIBLE
        return np.where(plausible[:, None], tight, found)

    @property
    def _origin(self) -> float:
        """With `official` centres are in the frame of the annotations."""
        return self._info.point_origin if self._is_official else 0.0

    def _cut(self, image: np.ndarray, center: np.ndarray, scale: float) -> np.ndarray:
        """The crop of one box, uint8 [h, w, 3]."""
        if not self._is_official:
            return super()._cut(image, center, scale)
        side, as_float = self.image_size[0], self._is_read_as_float
        return official_crop.crop(image, center, scale, size=side, as_float=as_float)

    @property
    def _is_read_as_float(self) -> bool:
        return official_crop.is_read_as_float(len(self._info.point_names))

    def _points_in_image(
        self, points: np.ndarray, center: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        """Crop pixels [N, K, 2] to the frame of the centres.

        With `official` all numbers are whole there.
        """
        if not self._is_official:
            return super()._points_in_image(points, center, scale)
        # Back to cells counted from one, as `decode_cells` gave them.
        cells, side = np.asarray(points) / 4 + 1, self.image_size[0] // 4
        return official_geometry.image_points(cells, center, scale, side)

    def _decoded(
        self, heatmaps: jax.Array, size: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """Peaks [B, K, 2] in pixels of crops of this size, and their heights."""
        if not self._is_official:
            return super()._decoded(heatmaps, size)
        cells, scores = official_targets.decode_cells(heatmaps)
        return (cells - 1) * 4, scores

    def _official_targets(
        self, batch: dict, size: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """Targets of the published code: what it calls visible gets one."""
        heatmaps = official_targets.gaussian_heatmaps(
            batch["points"] / 4, size, self._loss.sigma, batch["visible"].astype(bool)
        )
        return heatmaps, batch["annotated"].astype(jnp.float32)

    def evaluator(self, per_example: bool = False) -> LandmarkEvaluator:
        """Errors over a data set, in the frame of its annotations."""
        origin = 0.0 if self._is_official else self._info.point_origin

        def to_annotation(points: Any, center: Any, scale: Any) -> np.ndarray:
            return self._points_in_image(points, center, scale) + origin

        chosen = self._inference.normalizer or self._info.default_normalizer
        return LandmarkEvaluator(
            self._info.normalizers, chosen, to_annotation, self._info.point_names
        )
