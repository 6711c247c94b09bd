"""Average precision and recall as COCO defines them, of boxes, masks and key points.

The counting is that of `faster-coco-eval`; the definitions are those of cocoapi,
`cocoeval.py`: ten thresholds of IoU, or of object key point similarity, from .50 to .95,
101 recalls; of boxes and masks four ranges of area, at most 1, 10 and 100 detections of
an image; of key points three ranges, at most 20.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

KINDS = {"bbox": "", "segm": "mask_"}
# Ranges of area in pixels, in the library's order; ends of the names of metrics.
AREAS: tuple[str, ...] = ("", "s", "m", "l")
AREA_WORDS = {"s": "small (below 32x32)", "m": "medium", "l": "large (above 96x96)"}
_THRESHOLDS = {"50": 0, "75": 5}
_MOST: tuple[int, ...] = (1, 10, 100)
# Of key points, which persons too small for them do not have.
KEYPOINTS = "keypoints"
_POINT_AREAS: tuple[str, ...] = ("", "m", "l")
_POINT_MOST: tuple[int, ...] = (20,)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Precision and recall of K classes; -1 where there is no object.

    Attributes:
        precision: float64 [10, 101, K, A, M]: thresholds, recalls, classes, ranges of
            area, most detections of an image.
        recall: float64 [10, K, A, M].
        areas: ends of the names of the A ranges.
        most: the M numbers of detections.
    """

    precision: np.ndarray
    recall: np.ndarray
    areas: tuple[str, ...] = AREAS
    most: tuple[int, ...] = _MOST

    def named(self) -> dict[str, float]:
        """AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl.

        Of key points AR, AR50 and AR75 instead of AR1, AR10 and AR100, and no small
        ones. Of ranges of area that have an object.
        """
        found = {
            "AP": _mean(self.precision[:, :, :, 0, -1]),
            **{
                f"AP{name}": _mean(self.precision[index, :, :, 0, -1])
                for name, index in _THRESHOLDS.items()
            },
            **{
                f"AP{name}": _mean(self.precision[:, :, :, area, -1])
                for area, name in enumerate(self.areas)
                if name
            },
            **self._recalls(),
            **{
                f"AR{name}": _mean(self.recall[:, :, area, -1])
                for area, name in enumerate(self.areas)
                if name
            },
        }
        return {name: value for name, value in found.items() if value is not None}

    def _recalls(self) -> dict[str, float | None]:
        """Of all areas, by number of detections, or where it is one by threshold."""
        if len(self.most) > 1:
            return {
                f"AR{most}": _mean(self.recall[:, :, 0, index])
                for index, most in enumerate(self.most)
            }
        return {
            "AR": _mean(self.recall[:, :, 0, 0]),
            **{
                f"AR{name}": _mean(self.recall[index, :, 0, 0])
                for name, index in _THRESHOLDS.items()
            },
        }

    def of_class(self, label: int) -> dict[str, float]:
        """AP, AP50 and AR100 of one class; empty if it has no object."""
        found = {
            "AP": _mean(self.precision[:, :, label, 0, -1]),
            "AP50": _mean(self.precision[0, :, label, 0, -1]),
            "AR100": _mean(self.recall[:, label, 0, -1]),
        }
        return {name: value for name, value in found.items() if value is not None}


def score(
    images: Sequence[Mapping[str, Any]],
    objects: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
    num_classes: int,
    kind: str,
    sigmas: Sequence[float] = (),
) -> Scores:
    """Compares detections with what is annotated.

    Args:
        images: with `id`, `height` and `width`.
        objects: as annotations of COCO: `image_id`, `category_id` from 1, `bbox`, `area`,
            `iscrowd`, `segmentation`, or `keypoints` and `num_keypoints`. They are
            numbered here: with an id of 0, and with ids that are there twice, cocoapi
            counts wrongly.
        detections: as results of COCO: `image_id`, `category_id`, `score` and `bbox`,
            `segmentation` or `keypoints`. There may be none.
        num_classes: K.
        kind: `bbox`, `segm` or `keypoints`.
        sigmas: of each key point, how far annotators scatter.
    """
    # Only where something is evaluated.
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(
        {
            "info": {},
            "images": [dict(image) for image in images],
            "annotations": [
                {**one, "id": number} for number, one in enumerate(objects, start=1)
            ],
            "categories": [
                {"id": label + 1, "name": str(label)} for label in range(num_classes)
            ],
        },
        print_function=_say_nothing,
    )
    found = truth.loadRes([dict(one) for one in detections])
    counting = COCOeval_faster(
        truth,
        found,
        kind,
        print_function=_say_nothing,
        kpt_oks_sigmas=[*sigmas] or None,
    )
    counting.evaluate()
    counting.accumulate()
    points = kind == KEYPOINTS
    areas = _POINT_AREAS if points else AREAS
    most = _POINT_MOST if points else _MOST
    shape = (num_classes, len(areas), len(most))
    return Scores(
        np.asarray(counting.eval["precision"], np.float64).reshape(10, 101, *shape),
        np.asarray(counting.eval["recall"], np.float64).reshape(10, *shape),
        areas,
        most,
    )


def _mean(values: np.ndarray) -> float | None:
    """Over what there is; None if there is nothing."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _say_nothing(*words: object) -> None:
    """Takes what the library would log."""
