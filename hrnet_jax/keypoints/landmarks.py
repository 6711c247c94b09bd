"""Facial landmarks: points on faces, found and learnt."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.boxes import box_of_points, overlaps
from hrnet_jax.keypoints import encoding
from hrnet_jax.keypoints.face_finder import find_faces
from hrnet_jax.keypoints.losses import LossOptions, heatmap_loss
from hrnet_jax.keypoints.metrics import LandmarkEvaluator
from hrnet_jax.keypoints.official import targets as official_targets
from hrnet_jax.keypoints.task import HeatmapTask, InferenceOptions
from hrnet_jax.keypoints.transforms import (
    AugmentationOptions,
    make_eval_transform,
    make_train_transform,
)
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.tasks.forward import train_outputs

# The box of a face's points that overlaps the found box less is none.
_PLAUSIBLE = 0.3
# Longer side, in pixels, of the frames of a video that faces are looked for in.
_LONGEST_IN_VIDEO = 400


class LandmarkTask(HeatmapTask):
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
    finds_boxes = True
    in_boxes = ("face", "faces")
    best_metric = ("nme", "min")
    totals = ()
    map_keys = ()
    groups_images = False
    reads_encoded = False
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
        super().__init__(model, info, augmentation, inference, normalization)
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
        self.image_size = augmentation.crop_size
        self._loss = loss
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

    def loss(self, variables: dict, batch: dict, rngs: dict):
        """Mean heatmap loss of a batch; see `tasks.protocol.Trains`."""
        heatmaps, stats = train_outputs(
            self.model, variables, batch["image"], self._normalization, rngs
        )
        targets, weights = self.targets(batch, heatmaps.shape[1:3])
        value = heatmap_loss(heatmaps, targets, weights, self._loss)
        return value, (stats, {})

    def targets(
        self, batch: dict, size: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """Target heatmaps of a batch, and which of them count.

        Args:
            batch: `points` float32 [B, K, 2] in crop pixels, `visible` and `annotated`
                [B, K].
            size: (height, width) of the heatmaps.

        Returns:
            float32 [B, height, width, K] and weights float32 [B, K], 0 or 1.
        """
        visible = batch["visible"].astype(bool)
        weights = batch["annotated"].astype(jnp.float32)
        options = self._loss
        if self._is_official:
            cells = batch["points"] / 4
            heatmaps = official_targets.gaussian_heatmaps(
                cells, size, options.sigma, visible
            )
            return heatmaps, weights
        cells = encoding.crop_to_cells(batch["points"], self.image_size, size)
        heatmaps = encoding.gaussian_heatmaps(cells, size, options.sigma)
        for treatment, applies in (
            (options.hidden, ~visible),
            (options.outside, ~encoding.inside(cells, size)),
        ):
            if treatment == "zero":
                heatmaps *= ~applies[:, None, None, :]
            elif treatment == "mask":
                weights *= ~applies
        return heatmaps, weights

    def evaluator(self, per_example: bool = False) -> LandmarkEvaluator:
        """Errors over a data set, in the frame of its annotations."""
        origin = 0.0 if self._is_official else self._info.point_origin

        def to_annotation(points: Any, center: Any, scale: Any) -> np.ndarray:
            return self._points_in_image(points, center, scale) + origin

        chosen = self._inference.normalizer or self._info.default_normalizer
        return LandmarkEvaluator(
            self._info.normalizers, chosen, to_annotation, self._info.point_names
        )
