"""Label maps of the masks in COCO's JSON files of instances."""

import dataclasses
from typing import ClassVar

from hrnet_jax.data.objects.drawn import DrawnObjects, DrawnOptions
from hrnet_jax.data.sources.detection_coco import DetectionCOCO, DetectionCOCOOptions


@dataclasses.dataclass(frozen=True)
class SegmentationCOCOOptions(DrawnOptions, DetectionCOCOOptions):
    """Options of the preparation: those of files of boxes, and of drawn labels."""


class SegmentationCOCO(DrawnObjects, DetectionCOCO):
    """Own images with masks in COCO's JSON format, as label maps.

    The source folder is that of `detection_coco`. Where objects overlap, the smaller is
    seen, as COCO's files have no order.
    """

    Options: ClassVar[type] = SegmentationCOCOOptions
    overlap: ClassVar[str] = "smaller"
