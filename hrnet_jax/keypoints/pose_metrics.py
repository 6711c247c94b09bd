"""Metrics of poses over a data set: average precision, or the share of correct points."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.truth import Truth
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.keypoints import oks, pck
from hrnet_jax.keypoints.gathering import gathered
from hrnet_jax.keypoints.metrics import ToImage, normalizer_from_points
from hrnet_jax.keypoints.pose_results import Poses, write_pose_report
from hrnet_jax.tasks.coco_scores import AREA_WORDS, KEYPOINTS, Scores, score

# The metric that ranks checkpoints, under this name for every set.
MAIN = "score"
# A longer side of the box divides errors where nothing else does.
BOX, HEAD, ROOT_AREA = "box", "head", "root_area"

_UNIT = 200.0
_UNLABELLED = (
    "nobody is annotated in this split; the file of results (--report) is for a server "
    "that has the annotations"
)
_TRUE_BOXES = (
    "persons are cut out of their annotated boxes; in those that a detector found "
    "(--detections), as in published figures, AP is lower: about two points on COCO"
)


class PoseEvaluator:
    """Gathers the poses of a data set, and compares them as its benchmark does.

    A set with `DatasetInfo.point_sigmas` has COCO's average precision, one with head sizes
    PCKh, any other the share of points correct to a part of the torso and of the box.

    Args:
        info: facts about the points.
        truth: all that is annotated in the split, and which boxes are looked at.
        to_image: maps points from crops to the frame of the annotations.
        crop_size: (height, width) of the crops, in pixels.
        same_person: object key point similarity above which two found persons are one.
        softly: whether those who are more alike come later instead (`softly_suppressed`).
        sure_point: points of this score and below do not count for that of a person.

    Raises:
        ConfigError: for boxes that were given of a set without sigmas.
    """

    def __init__(
        self,
        info: DatasetInfo,
        truth: Truth,
        to_image: ToImage,
        crop_size: tuple[int, int],
        *,
        same_person: float = oks.SAME_PERSON,
        softly: bool = False,
        sure_point: float = oks.SURE_POINT,
    ) -> None:
        given = bool((truth.person < 0).any())
        if given and not info.point_sigmas:
            raise ConfigError(
                f"boxes of a detector (--detections) are evaluated by average precision, "
                f"and data set {info.name!r} has no sigmas for it; expected a set with "
                "sigmas, or no boxes"
            )
        self._info, self._truth = info, truth
        self._to_image = to_image
        self._crop_size = crop_size
        self._same_person, self._sure_point = same_person, sure_point
        self._suppressed = oks.softly_suppressed if softly else oks.suppressed
        self._given = given
        self._number = {name: at for at, name in enumerate(truth.examples)}
        self._seen: list[int] = []
        self._points: list[np.ndarray] = []
        self._point_scores: list[np.ndarray] = []
        self._areas: list[np.ndarray] = []

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes one batch; of several processes each learns of all persons.

        Args:
            batch: `center` float [B, 2] and `scale` of the crops, their width / 200
                float [B], or width and height [B, 2]; `example_valid` bool [B];
                `image_id`, the names of this process's examples.
            predictions: `points` float [B, K, 2], in pixels of the crops, and `scores`
                float [B, K].

        Raises:
            DataError: naming a person that is none of the split, that came before, or
                whose prediction is not finite.
        """
        names, rows, found = gathered(
            batch, predictions, ("center", "scale"), ("points", "scores")
        )
        points, center, scale = (
            np.asarray(x, np.float64)
            for x in (found["points"], rows["center"], rows["scale"])
        )
        points = np.asarray(self._to_image(points, center, scale))
        scores = np.asarray(found["scores"], np.float64)
        fine = np.isfinite(points).all((1, 2)) & np.isfinite(scores).all(1)
        for name, good in zip(names, np.atleast_1d(fine), strict=True):
            if name not in self._number:
                raise DataError(f"{name} is no person of the split that is evaluated")
            if not good:
                raise DataError(
                    f"{name}: a predicted point or score is not finite; expected numbers"
                )
        self._seen += [self._number[name] for name in names]
        self._points.append(points)
        self._point_scores.append(scores)
        self._areas.append(crop_areas(scale, self._crop_size))
        for key in ("_poses", "_kept", "_scores", "_order"):
            self.__dict__.pop(key, None)

    def compute(self) -> dict[str, float]:
        """Metrics of everything seen.

        Returns:
            Of a set with sigmas `AP`, `AP50`, `AP75`, `APm`, `APl`, `AR`, `AR50`, `AR75`,
            `ARm` and `ARl`, from 0 to 1, of what there is somebody of. Of one with head
            sizes in percent `pckh@0.5`, `pckh@0.1`, `pckh@0.11` (which the published code
            prints as "Mean@0.1") and `pckh@0.5/<part>`; of others `pck@0.2/box`, ...,
            for each length that errors are divided by. The first of them is `score` as
            well. Of a split without annotations `persons`, the number in an image.

        Raises:
            DataError: if a person is missing or came twice.
        """
        self._check_coverage()
        if not self._labelled:
            return {"persons": len(self._kept) / len(self._truth.image_names)}
        if self._info.point_sigmas:
            metrics = self._scores.named()
        elif self._info.head_sizes:
            metrics = self._correct(HEAD, "pckh@{}", pck.HEAD_THRESHOLDS)
        else:
            metrics = {}
            for length in self._lengths:
                metrics |= self._correct(length, f"pck@{{}}/{length}", pck.THRESHOLDS)
        return {MAIN: next(iter(metrics.values())), **metrics}

    def remarks(self) -> list[str]:
        """Whose boxes were looked at, and sizes of persons that there are none of."""
        if not self._labelled:
            return [_UNLABELLED]
        if not self._info.point_sigmas:
            return []
        remarks = [] if self._given else [_TRUE_BOXES]
        known = self._scores.named()
        for area, words in AREA_WORDS.items():
            if area != "s" and f"AP{area}" not in known:
                remarks.append(f"no person is {words}: there is no AP{area}")
        return remarks

    def report(self, folder: pathlib.Path) -> None:
        """Writes tables of persons and points and the file of results."""
        self._check_coverage()
        length = ROOT_AREA if self._info.point_sigmas else self._main_length
        write_pose_report(
            folder,
            self._truth,
            self._poses,
            self._kept,
            category=self._info.point_category,
            quality=self._quality(),
            errors=None if self._given else self._errors(length),
            length=length,
            point_names=self._info.point_names,
        )

    def worst(self, count: int) -> list[int]:
        """Positions of the persons that agree least with their annotation."""
        self._check_coverage()
        _, values = self._quality()
        return [int(index) for index in np.argsort(values, kind="stable")[:count]]

    @functools.cached_property
    def _order(self) -> np.ndarray:
        """Where each example is among what came; the last, if it came twice."""
        return np.argsort(self._seen, kind="stable")

    @functools.cached_property
    def _poses(self) -> Poses:
        """What was found, in the order of the examples."""
        points = np.concatenate(self._points)[self._order]
        point_scores = np.concatenate(self._point_scores)[self._order]
        scores = oks.rescored(self._truth.box_score, point_scores, self._sure_point)
        return Poses(points, point_scores, scores)

    @functools.cached_property
    def _kept(self) -> list[int]:
        """Examples that are results: of two that are one person the better one."""
        if not self._info.point_sigmas:
            return [*range(len(self._truth.examples))]
        areas = np.concatenate(self._areas)[self._order]
        by_image = np.argsort(self._truth.image, kind="stable")
        starts = np.flatnonzero(np.diff(self._truth.image[by_image])) + 1
        kept = []
        for of_image in np.split(by_image, starts):
            left = self._suppressed(
                self._poses.points[of_image],
                self._poses.scores[of_image],
                areas[of_image],
                self._info.point_sigmas,
                self._same_person,
            )
            kept += of_image[left].tolist()
        return kept

    @functools.cached_property
    def _scores(self) -> Scores:
        """What the library counted."""
        # By their ids: of results of one score those of the first image come first.
        ranks = np.argsort(np.argsort(self._truth.image_numbers, kind="stable")) + 1
        persons = self._truth.persons
        objects = [
            {
                "image_id": int(ranks[persons.image[k]]),
                "category_id": 1,
                "bbox": persons.bbox[k].tolist(),
                "area": float(persons.area[k]),
                "iscrowd": int(persons.crowd[k]),
                "keypoints": _flat(persons.points[k], persons.annotated[k]),
                "num_keypoints": int(persons.annotated[k].sum()),
            }
            for k in range(len(persons.image))
        ]
        poses = self._poses
        results = [
            {
                "image_id": int(ranks[self._truth.image[k]]),
                "category_id": 1,
                "keypoints": _flat(poses.points[k], poses.point_scores[k]),
                "score": float(poses.scores[k]),
            }
            for k in self._kept
        ]
        images = [{"id": int(rank)} for rank in ranks]
        sigmas = self._info.point_sigmas
        return score(images, objects, results, 1, KEYPOINTS, sigmas)

    @property
    def _labelled(self) -> bool:
        return bool(self._truth.persons.counted.any())

    @property
    def _lengths(self) -> list[str]:
        """What errors are divided by, the default one first."""
        first = self._info.default_normalizer
        return [
            first,
            *(name for name in (BOX, *self._info.normalizers) if name != first),
        ]

    @property
    def _main_length(self) -> str:
        return HEAD if self._info.head_sizes else self._lengths[0]

    def _errors(self, length: str) -> np.ndarray:
        """Distances over a length of each person, [N, K]; NaN where not annotated.

        Raises:
            DataError: naming the person whose length is not known.
        """
        persons, at = self._truth.persons, self._truth.person
        points, annotated = persons.points[at], persons.annotated[at] > 0
        if length == HEAD:
            divisor = persons.head_size[at]
        elif length == BOX:
            divisor = persons.bbox[at, 2:].max(1)
        elif length == ROOT_AREA:
            divisor = np.sqrt(persons.area[at])
        else:
            groups = self._info.normalizers[length]
            # Who lacks one of the points has no such length.
            used = [*groups[0], *groups[1]]
            divisor = np.full(len(at), np.nan)
            known = np.flatnonzero(annotated[:, used].all(1))
            divisor[known] = _apart(points[known], groups)
        if length in (HEAD, BOX, ROOT_AREA) and not (divisor > 0).all():
            name = self._truth.examples[int(np.argmin(divisor > 0))]
            raise DataError(
                f"{name}: its {length} is {divisor.min():g} pixels, by which errors are "
                "divided; expected more than 0"
            )
        distances = np.linalg.norm(self._poses.points - points, axis=2)
        return np.where(annotated, distances / divisor[:, None], np.nan)

    def _correct(
        self, length: str, name: str, thresholds: Sequence[float]
    ) -> dict[str, float]:
        """Percent of correct points, the first threshold by part of the body as well."""
        errors = self._errors(length)
        left_out = self._info.uncounted_points
        found = {each: pck.correct_points(errors, each) for each in thresholds}
        metrics = {name.format(each): one.mean(left_out) for each, one in found.items()}
        first = name.format(thresholds[0])
        for part, indices in pck.parts(self._info).items():
            percent = pck.part_percent(found[thresholds[0]], indices)
            if percent is not None:
                metrics[f"{first}/{part}"] = percent
        return {key: value for key, value in metrics.items() if not np.isnan(value)}

    def _quality(self) -> tuple[str, np.ndarray]:
        """What tells how good each example is, and float [N]: the less the worse."""
        if not self._info.point_sigmas:
            errors = self._errors(self._main_length)
            known = np.isfinite(errors)
            total = np.where(known, errors, 0).sum(1)
            means = total / np.maximum(known.sum(1), 1)
            return f"minus_error/{self._main_length}", -means
        persons, sigmas = self._truth.persons, self._info.point_sigmas
        counted = np.flatnonzero(persons.counted)
        # A box where nobody is is as bad as can be.
        values = np.full(len(self._truth.examples), 0.0 if len(counted) else np.nan)
        for k, own in enumerate(self._truth.person):
            others = counted[persons.image[counted] == self._truth.image[k]]
            others = others if own < 0 else np.array([own])
            if len(others):
                alike = oks.similarity(
                    self._poses.points[k],
                    persons.points[others],
                    persons.area[others],
                    sigmas,
                    counted=persons.annotated[others] > 0,
                )
                values[k] = alike.max()
        return "oks", values

    def _check_coverage(self) -> None:
        count = len(self._truth.examples)
        times = np.bincount(np.array(self._seen, np.int64), minlength=count)
        if (times != 1).any():
            name = self._truth.examples[
                int(np.argmax(times if times.max() > 1 else times != 1))
            ]
            what = "evaluated twice" if times.max() > 1 else "missing"
            raise DataError(
                f"{len(self._seen)} of {count} persons were evaluated ({name} is {what}); "
                "expected every one once"
            )


def crop_areas(scale: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Areas of crops in their images, in pixels, float64 [N].

    Args:
        scale: float [N], width of each / 200, or [N, 2], width and height.
        size: (height, width) of the crops.
    """
    sides = _UNIT * np.asarray(scale, np.float64)
    if sides.ndim == 2:
        return sides.prod(1)
    return sides**2 * size[0] / size[1]


def _apart(points: np.ndarray, groups: tuple[Sequence[int], Sequence[int]]) -> Any:
    """Distance of the groups of points, [N]; NaN where they coincide."""
    lengths = np.full(len(points), np.nan)
    first, second = (points[:, list(group)].mean(1) for group in groups)
    differ = np.flatnonzero((first != second).any(1))
    lengths[differ] = normalizer_from_points(points[differ], groups)
    return lengths


def _flat(points: np.ndarray, last: np.ndarray) -> list[float]:
    """x, y and a third number of each point, one behind the other."""
    return np.concatenate([points, last[:, None]], 1).ravel().tolist()
