"""Human pose: the joints of persons, found and learnt."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.truth import Truth
from hrnet_jax.errors import ConfigError
from hrnet_jax.keypoints.decoding import decode
from hrnet_jax.keypoints.learning import LearnsHeatmaps
from hrnet_jax.keypoints.losses import PoseLossOptions
from hrnet_jax.keypoints.official import person_targets
from hrnet_jax.keypoints.official import persons as official_persons
from hrnet_jax.keypoints.official import targets as official_targets
from hrnet_jax.keypoints.oks import rescored
from hrnet_jax.keypoints.person_files import (
    RESULTS_FILE,
    listed_results,
    write_results,
)
from hrnet_jax.keypoints.persons import (
    PoseCropOptions,
    empty_person,
    make_eval_transform,
    make_train_transform,
)
from hrnet_jax.keypoints.pose_metrics import PoseEvaluator
from hrnet_jax.keypoints.skeletons import sides_of_points
from hrnet_jax.keypoints.task import DecodingOptions
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization


@dataclasses.dataclass(frozen=True)
class PoseInferenceOptions(DecodingOptions):
    """Options for turning heatmaps into joints, and for what is reported.

    Attributes:
        decoding: `dark`, `argmax` or `quarter` (published).
        flip_shift: of `flip`, whether heatmaps of the mirror image move one column to
            the right. Right for the published weights, which count a cell from its
            first pixel, and wrong for those trained here without `compat`.
        rescore_from: the score of a person is that of the box times the mean of the
            joints' scores above this.
        oks_nms: persons of an image that are as alike as this (object keypoint
            similarity) are one, the one of highest score; 0 for no suppression.
        oks_soft: whether twenty persons of an image are kept, those who are like a
            better one last (SOFT_NMS of the published code, which no configuration
            sets).
    """

    decoding: str = "dark"
    dark_sigma: float = 2.0
    flip_shift: bool = False
    rescore_from: float = 0.2
    oks_nms: float = 0.9
    oks_soft: bool = False

    def __post_init__(self):
        super().__post_init__()
        for key in ("rescore_from", "oks_nms"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(
                    f"config key 'eval.inference.{key}' must be between 0 and 1, "
                    f"got {getattr(self, key)}"
                )


class PoseTask(LearnsHeatmaps):
    """Finds the joints of persons, and learns to.

    Args:
        model: a pose model.
        info: names, lines and flip pairs of the joints.
        augmentation: how persons are cut out, and what training varies.
        loss: targets and loss.
        inference: how heatmaps become joints.
        normalization: of images, as the weights were trained.
    """

    Augmentation = PoseCropOptions
    Loss = PoseLossOptions
    Inference = PoseInferenceOptions
    finds_boxes = False
    in_boxes = ("person", "persons")
    picture_kinds = ("points", "coco")
    legend = "orange: left, blue: right, green: middle; pink: true"
    reads_truth = True
    best_metric = ("score", "max")
    reach = 3.0
    # deep-high-resolution-net.pytorch, `experiments/coco/hrnet/*.yaml`. The rate drops
    # after epochs 170 and 200 of 210; its weight decay does not reach Adam.
    recipe: ClassVar = {
        "batch_size": 128,
        "num_epochs": 210,
        "optimizer.name": "adam",
        "optimizer.weight_decay": 0.0,
        "schedule.name": "step",
        "schedule.learning_rate": 1e-3,
        "schedule.boundaries": (170 / 210, 200 / 210),
        "eval.batch_size": 128,
    }

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: PoseCropOptions = PoseCropOptions(),
        loss: PoseLossOptions = PoseLossOptions(),
        inference: PoseInferenceOptions = PoseInferenceOptions(),
        normalization: Normalization = Normalization(),
    ):
        super().__init__(model, info, augmentation, loss, inference, normalization)
        count = len(info.point_names)
        if loss.hardest > count:
            raise ConfigError(
                f"config key 'loss.hardest' is {loss.hardest}, but {info.name} has "
                f"{count} joints"
            )
        self._options = augmentation

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """A random crop of one person; see `persons.make_train_transform`."""
        return self._cut_for_training(sample, rng)

    def eval_transform(self, sample: dict) -> dict:
        """The crop of one person; see `persons.make_eval_transform`."""
        return self._cut_for_evaluation(sample)

    @functools.cached_property
    def _cut_for_training(self) -> Callable:
        return make_train_transform(self._options, self._info)

    @functools.cached_property
    def _cut_for_evaluation(self) -> Callable:
        return make_eval_transform(self._options, self._info)

    def empty_sample(self, size: tuple[int, int]) -> dict:
        """A person in an image with nothing to see; see `tasks.protocol.Trains`."""
        return empty_person(size, len(self._info.point_names))

    @property
    def _shifts_mirrored(self) -> bool:
        return self._inference.flip_shift

    def _cut(self, image: np.ndarray, center: np.ndarray, scale: float) -> np.ndarray:
        """The crop of one box, uint8 [h, w, 3]."""
        if not self._is_official:
            return super()._cut(image, center, scale)
        matrix = official_persons.affine_matrix(center, scale, self.image_size)
        return official_persons.warp(image, matrix, self.image_size)

    def _points_in_image(
        self, points: np.ndarray, center: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        """Crop pixels [N, K, 2] to pixels of the image."""
        if not self._is_official:
            return super()._points_in_image(points, center, scale)
        return official_persons.image_points(points, center, scale, self.image_size)

    def _decoded(
        self, heatmaps: jax.Array, size: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """Peaks [B, K, 2] in pixels of crops of this size, and their heights.

        With `official` a cell is where its first pixel is, in whichever way its peak is
        found: mmpose has weights of that geometry for `dark` as well.
        """
        if not self._is_official:
            return super()._decoded(heatmaps, size)
        options = self._inference
        if options.decoding == "quarter":
            cells, scores = person_targets.decode_cells(heatmaps)
        else:
            cells, scores = decode(heatmaps, options.decoding, options.dark_sigma)
        return official_persons.STRIDE * cells, scores

    def _official_targets(
        self, batch: dict, size: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """Targets around whole cells, of the joints whose patch meets the map."""
        cells, sigma = batch["points"] / official_persons.STRIDE, self._loss.sigma
        weights = batch["annotated"].astype(jnp.float32)
        weights *= person_targets.reaching(cells, size, sigma)
        heatmaps = official_targets.gaussian_heatmaps(cells, size, sigma, weights > 0)
        return heatmaps, weights

    def evaluator(
        self, per_example: bool = False, truth: Truth | None = None
    ) -> PoseEvaluator:
        """Metrics over a data set, in the frame of its annotations.

        Raises:
            ValueError: without what is annotated.
        """
        if truth is None:
            raise ValueError("poses are compared with all that is annotated in a split")
        origin, options = self._info.point_origin, self._inference

        def to_annotation(points: Any, center: Any, scale: Any) -> np.ndarray:
            return self._points_in_image(points, center, scale) + origin

        return PoseEvaluator(
            self._info,
            truth,
            to_annotation,
            self.image_size,
            # No two are more alike than 1.
            same_person=options.oks_nms or 1.0,
            softly=options.oks_soft,
            sure_point=options.rescore_from,
        )

    @functools.cached_property
    def _sides(self) -> np.ndarray:
        return sides_of_points(self._info.point_names, self._info.point_flip_pairs)

    def _scores(self, prediction: Mapping[str, Any]) -> np.ndarray:
        """The score of each person, float64 [N]; boxes that are given are sure."""
        of_joints = np.asarray(prediction["scores"])
        of_boxes = prediction.get("box_scores", np.ones(len(of_joints)))
        return rescored(of_boxes, of_joints, self._inference.rescore_from)

    def _captions(self, prediction: dict) -> tuple[str, ...]:
        return tuple(f"{score:.2f}" for score in self._scores(prediction))

    def save(
        self,
        folder: pathlib.Path,
        name: str,
        image: np.ndarray,
        prediction: dict,
        only: Collection[str] = (),
    ) -> dict:
        """Writes the captioned image with its skeletons; the summary lists the persons.

        Kinds are `points`, the picture, and `coco`, the results of all images in one
        file; see `save_together`.
        """
        kinds = only or self.picture_kinds
        if "points" in kinds:
            summary = super().save(folder, name, image, prediction)
        else:
            summary = self._summary(image, prediction)
        if "coco" in kinds:
            summary["results"] = listed_results(
                np.asarray(prediction["points"]) + self._info.point_origin,
                prediction["scores"],
                self._scores(prediction),
                self._info.point_category,
            )
        return summary

    def _summary(self, image: np.ndarray, prediction: dict) -> dict:
        """The persons of an image as JSON."""
        summary = super()._summary(image, prediction)
        scores = self._scores(prediction)
        for person, score in zip(summary["found"], scores, strict=True):
            person["score"] = round(float(score), 4)
        return summary

    def save_together(
        self,
        folder: pathlib.Path,
        entries: Sequence[Mapping[str, Any]],
        only: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Writes `keypoints.json`; returns the entries without what is in it."""
        if "coco" in (only or self.picture_kinds):
            write_results(folder / RESULTS_FILE, entries)
        return [
            {key: entry[key] for key in entry if key != "results"} for entry in entries
        ]
