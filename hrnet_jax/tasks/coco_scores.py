"""Average precision and recall as COCO defines them, of boxes and of masks.

The counting is that of `faster-coco-eval`; the definitions are those of cocoapi,
`cocoeval.py`: ten IoU thresholds from .50 to .95, 101 recalls, four ranges of area, at
most 1, 10 and 100 detections of an image.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

KINDS = {"bbox": "", "segm": "mask_"}
# Ranges of area in pixels, in the library's order; ends of the names of metrics.
AREAS = ("", "s", "m", "l")
AREA_WORDS = {"s": "small (below 32x32)", "m": "medium", "l": "large (above 96x96)"}
_THRESHOLDS = {"50": 0, "75": 5}
_MOST = (1, 10, 100)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Precision and recall of K classes; -1 where there is no object.

    Attributes:
        precision: float64 [10, 101, K, 4, 3]: IoU thresholds, recalls, classes, ranges of
            area, most detections of an image.
        recall: float64 [10, K, 4, 3].
    """

    precision: np.ndarray
    recall: np.ndarray

    def named(self) -> dict[str, float]:
        """AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl.

        Of ranges of area that have an object.
        """
        found = {
            "AP": _mean(self.precision[:, :, :, 0, -1]),
            **{
                f"AP{name}": _mean(self.precision[index, :, :, 0, -1])
                for name, index in _THRESHOLDS.items()
            },
            **{
                f"AP{name}": _mean(self.precision[:, :, :, area, -1])
                for area, name in enumerate(AREAS)
                if name
            },
            **{
                f"AR{most}": _mean(self.recall[:, :, 0, index])
                for index, most in enumerate(_MOST)
            },
            **{
                f"AR{name}": _mean(self.recall[:, :, area, -1])
                for area, name in enumerate(AREAS)
                if name
            },
        }
        return {name: value for name, value in found.items() if value is not None}

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
) -> Scores:
    """Compares detections with what is annotated.

    Args:
        images: with `id`, `height` and `width`.
        objects: as annotations of COCO: `image_id`, `category_id` from 1, `bbox`, `area`,
            `iscrowd`, `segmentation`. They are numbered here: with an id of 0, and with
            ids that are there twice, cocoapi counts wrongly.
        detections: as results of COCO: `image_id`, `category_id`, `score` and `bbox` or
            `segmentation`. There may be none.
        num_classes: K.
        kind: `bbox` or `segm`.
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
    counting = COCOeval_faster(truth, found, kind, print_function=_say_nothing)
    counting.evaluate()
    counting.accumulate()
    shape = (num_classes, len(AREAS), len(_MOST))
    return Scores(
        np.asarray(counting.eval["precision"], np.float64).reshape(10, 101, *shape),
        np.asarray(counting.eval["recall"], np.float64).reshape(10, *shape),
    )


def _mean(values: np.ndarray) -> float | None:
    """Over what there is; None if there is nothing."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _say_nothing(*words: object) -> None:
    """Takes what the library would log."""
