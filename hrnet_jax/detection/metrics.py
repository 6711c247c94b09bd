"""Average precision of boxes and masks over a data set."""

import dataclasses
import functools
import json
import pathlib
from typing import Any

import jax
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.outputs import Detections, encode_masks
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import overlaps
from hrnet_jax.runtime.processes import gather_dealt, gather_names, gather_rows
from hrnet_jax.tasks.coco_scores import AREA_WORDS, KINDS, Scores, score

# When pictures and tables say that something was found.
_CERTAIN, _SAME_OBJECT = 0.5, 0.5

_UNLABELLED = (
    "no object is annotated in this split; the files of results are for a server that "
    "has the annotations"
)

_ROWS = (
    *("example_valid", "object_boxes", "object_area", "box_class", "box_valid"),
    *("box_crowd", "scale", "original_size"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Annotated:
    """What is annotated in one image.

    Attributes:
        name: of the image.
        boxes: float [N, 4], (x1, y1, x2, y2) in its pixels.
        classes: int [N].
        crowd: bool [N].
        area: float [N].
        masks: run lengths of each; empty where the set has none.
    """

    name: str
    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    area: np.ndarray
    masks: list[str]


class CocoEvaluator:
    """Gathers the detections of a data set, and compares them as COCO does.

    Args:
        info: names and numbers of the classes.
        masks: whether predictions have masks.
        expected: number of images, if it is known.
    """

    def __init__(
        self, info: DatasetInfo, *, masks: bool = False, expected: int | None = None
    ):
        self._info = info
        self._masks = masks
        self._expected = expected
        self._annotated: list[Annotated] = []
        self._found: list[Detections] = []
        self._records: list[int] = []
        self._names: set[str] = set()

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes one batch; of several processes each learns of all images.

        Args:
            batch: of `make_eval_transform`, with `example_valid` bool [B], and where
                records come in another order, `record` int [B], their index.
            predictions: `boxes` float [B, N, 4] in pixels of the canvas, `scores` float
                [B, N], `classes` int [B, N], `valid` bool [B, N], false where there is
                no detection; with masks `masks` float [B, N, m, m], probabilities in
                the frame of each box.

        Raises:
            DataError: naming the image, for one that came before, or a prediction that
                is not finite.
        """
        keys = ["boxes", "scores", "classes", "valid"]
        keys += ["masks"] if self._masks else []
        rows, found = gather_rows(
            (
                {key: batch[key] for key in (*_ROWS, "record") if key in batch},
                {key: predictions[key] for key in keys},
            )
        )
        texts = {
            key: gather_names(batch[key], batch["example_valid"])
            for key in ("image_id", "image_number", "object_masks")
        }
        valid = np.flatnonzero(rows["example_valid"])
        seen = []
        for index in valid:
            row = {key: value[index] for key, value in rows.items()}
            row |= {key: value[index] for key, value in texts.items()}
            one = {key: value[index] for key, value in found.items()}
            self._add(row)
            seen.append((_detections(row, one), one))
        if self._masks:
            seen = _with_masks(seen)
        self._found += [one for one, _ in seen]
        self.__dict__.pop("_scores", None)

    def _add(self, row: dict[str, Any]) -> None:
        """Takes what is annotated in one image."""
        name = str(row["image_id"])
        if name in self._names:
            raise DataError(
                f"image {name} was evaluated twice; expected every one once"
            )
        self._names.add(name)
        self._records.append(int(row.get("record", len(self._records))))
        there = np.flatnonzero(row["box_valid"] | row["box_crowd"])
        texts = str(row["object_masks"])
        self._annotated.append(
            Annotated(
                name,
                np.asarray(row["object_boxes"], np.float64)[there],
                row["box_class"][there],
                row["box_crowd"][there],
                np.asarray(row["object_area"], np.float64)[there],
                texts.split(" ") if texts else [],
            )
        )

    def compute(self) -> dict[str, float]:
        """AP and AR of everything seen, from 0 to 1.

        Returns:
            `AP`, `AP50`, `AP75`, `APs`, `APm`, `APl`, `AR1`, `AR10`, `AR100`, `ARs`,
            `ARm`, `ARl`, and `AP/<class>`, of what there is an object of; the same
            beginning with `mask_`. Of a split without annotations `detections`, the
            number in an image.

        Raises:
            DataError: if an image is missing.
        """
        self._check_coverage()
        if not self._labelled:
            count = sum(len(one.boxes) for one in self._found)
            return {"detections": count / len(self._found)}
        metrics: dict[str, float] = {}
        for kind, scores in self._scores.items():
            prefix = KINDS[kind]
            metrics |= {f"{prefix}{k}": v for k, v in scores.named().items()}
            for label, name in enumerate(self._info.box_class_names):
                for key, value in scores.of_class(label).items():
                    if key == "AP":
                        metrics[f"{prefix}AP/{name}"] = value
        return metrics

    def remarks(self) -> list[str]:
        """No detections, classes and sizes without an object."""
        if not self._labelled:
            return [_UNLABELLED]
        remarks = []
        if not any(len(one.boxes) for one in self._found):
            remarks.append("no object was predicted in any image, so all metrics are 0")
        counts = self._counts()
        names = self._info.box_class_names
        if absent := [name for name, n in zip(names, counts, strict=True) if not n]:
            shown = ", ".join(absent[:6]) + (", ..." if len(absent) > 6 else "")
            remarks.append(
                f"no object is annotated as {shown} ({len(absent)} of {len(names)} "
                "classes); left out of the means"
            )
        known = self._scores["bbox"].named()
        for area, words in AREA_WORDS.items():
            if f"AP{area}" not in known:
                remarks.append(f"no object is {words}: there is no AP{area}")
        if self._masks and "segm" not in self._scores:
            remarks.append("objects have no masks in this split: boxes alone count")
        return remarks

    def report(self, folder: pathlib.Path) -> None:
        """Writes tables of classes and images and the files of results; see `report`."""
        # Not needed to train.
        from hrnet_jax.detection.report import write_report

        self._check_coverage()
        scores = self._scores if self._labelled else {}
        images = [
            (one.name, len(one.boxes), len(found.boxes), self._quality(k))
            for k, (one, found) in enumerate(
                zip(self._annotated, self._found, strict=True)
            )
        ]
        write_report(
            folder, self._info, scores, self._counts(), images, self._found, self._masks
        )

    def worst(self, count: int) -> list[int]:
        """Positions of the images that agree least with what is annotated, worst first."""
        quality = [self._quality(index) for index in range(len(self._found))]
        order = np.lexsort((self._records, quality))
        return [self._records[index] for index in order[:count]]

    @property
    def _labelled(self) -> bool:
        return any(not one.crowd.all() for one in self._annotated)

    @functools.cached_property
    def _scores(self) -> dict[str, Scores]:
        """Kind -> what the library counted."""
        kinds = ["bbox"]
        if self._masks and all(
            len(one.masks) == len(one.boxes) and all(one.masks)
            for one in self._annotated
        ):
            kinds.append("segm")
        images = [
            {"id": rank, "height": one.size[0], "width": one.size[1]}
            for rank, one in zip(self._ranks(), self._found, strict=True)
        ]
        return {
            kind: score(
                images,
                self._objects(),
                self._results(kind),
                len(self._info.box_class_names),
                kind,
            )
            for kind in kinds
        }

    def _objects(self) -> list[dict[str, Any]]:
        objects = []
        for rank, one, found in zip(
            self._ranks(), self._annotated, self._found, strict=True
        ):
            for index, box in enumerate(_sides(one.boxes)):
                entry = {
                    "image_id": rank,
                    "category_id": int(one.classes[index]) + 1,
                    "bbox": box,
                    "area": float(one.area[index]),
                    "iscrowd": int(one.crowd[index]),
                }
                if one.masks and one.masks[index]:
                    counts = one.masks[index]
                    entry["segmentation"] = {"size": [*found.size], "counts": counts}
                objects.append(entry)
        return objects

    def _results(self, kind: str) -> list[dict[str, Any]]:
        results = []
        for rank, one in zip(self._ranks(), self._found, strict=True):
            labels, certain = one.classes.tolist(), one.scores.tolist()
            for index, box in enumerate(_sides(one.boxes)):
                entry: dict[str, Any] = {
                    "image_id": rank,
                    "category_id": labels[index] + 1,
                    "score": certain[index],
                }
                if kind == "segm":
                    counts = one.masks[index]
                    entry["segmentation"] = {"size": [*one.size], "counts": counts}
                else:
                    entry["bbox"] = box
                results.append(entry)
        return results

    def _ranks(self) -> list[int]:
        """Place of each image by its number, from 1.

        Among detections of one score those of the first image come first, so numbers
        depend on neither batches nor processes, and are those of the file's own ids.
        """
        numbers = [one.number for one in self._found]
        keys = [
            (isinstance(number, str), number, record)
            for number, record in zip(numbers, self._records, strict=True)
        ]
        ranks = [0] * len(keys)
        for rank, index in enumerate(sorted(range(len(keys)), key=keys.__getitem__), 1):
            ranks[index] = rank
        return ranks

    def _counts(self) -> np.ndarray:
        """Objects of each class, crowds aside, int [K]."""
        counts = np.zeros(len(self._info.box_class_names), np.int64)
        for one in self._annotated:
            np.add.at(counts, one.classes[~one.crowd.astype(bool)], 1)
        return counts

    def _quality(self, index: int) -> float:
        """Agreement of one image: twice the pairs over objects and sure detections.

        From 0 to 1; 1 where there is neither. A pair is of one class, of IoU .5, and a
        detection of score .5; crowds take what is in them.
        """
        one, found = self._annotated[index], self._found[index]
        sure = np.flatnonzero(found.scores >= _CERTAIN)
        order = sure[np.argsort(-found.scores[sure], kind="stable")]
        crowd = one.crowd.astype(bool)
        common = overlaps(found.boxes, one.boxes)
        free, pairs, alone = ~crowd, 0, 0
        for k in order:
            same = one.classes == found.classes[k]
            fits = np.where(same & free, common[k], 0)
            if fits.max(initial=0) >= _SAME_OBJECT:
                free[int(fits.argmax())] = False
                pairs += 1
            elif not (same & crowd & (common[k] > 0)).any():
                alone += 1
        total = int((~crowd).sum()) + pairs + alone
        return 2 * pairs / total if total else 1.0

    def _check_coverage(self) -> None:
        seen = sorted(self._records)
        count = len(seen) if self._expected is None else self._expected
        if not count:
            raise DataError("no image was evaluated; expected at least one")
        if seen != list(range(count)):
            missing = sorted(set(range(count)) - set(seen))
            what = f"record {missing[0]} is missing" if missing else "some came twice"
            raise DataError(
                f"{len(seen)} of {count} images were evaluated ({what}); expected every "
                "one once"
            )


def _sides(boxes: np.ndarray) -> list[list[float]]:
    """[x, y, width, height] of boxes [N, 4]."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([low, high - low], 1).tolist()


def _detections(row: dict[str, Any], found: dict[str, np.ndarray]) -> Detections:
    """Detections of one image in its own pixels, without masks.

    Raises:
        DataError: naming the image, for one that is not finite.
    """
    kept = np.flatnonzero(found["valid"])
    boxes = np.asarray(found["boxes"], np.float64)[kept]
    scores = np.asarray(found["scores"], np.float64)[kept]
    bad = ~np.isfinite(boxes).all(1) | ~np.isfinite(scores)
    if bad.any():
        box = boxes[bad][0].tolist()
        raise DataError(
            f"image {row['image_id']}: a detection is {box} with score "
            f"{scores[bad][0]:g}; expected finite numbers"
        )
    factor_y, factor_x = np.asarray(row["scale"], np.float64)
    boxes = boxes / np.array([factor_x, factor_y, factor_x, factor_y])
    height, width = (int(side) for side in row["original_size"])
    boxes = np.clip(boxes, 0, np.array([width, height, width, height]))
    number = json.loads(str(row["image_number"]))
    return Detections(number, (height, width), boxes, scores, found["classes"][kept])


def _with_masks(
    seen: list[tuple[Detections, dict[str, np.ndarray]]],
) -> list[tuple[Detections, dict[str, np.ndarray]]]:
    """With the masks of all images, of which each process draws its share."""
    own = seen[jax.process_index() :: jax.process_count()]
    drawn = [
        " ".join(
            encode_masks(
                found["masks"][found["valid"].astype(bool)], one.boxes, one.size
            )
        )
        for one, found in own
    ]
    texts = gather_dealt(drawn, len(seen))
    return [
        (dataclasses.replace(one, masks=text.split(" ") if text else ()), found)
        for (one, found), text in zip(seen, texts, strict=True)
    ]
