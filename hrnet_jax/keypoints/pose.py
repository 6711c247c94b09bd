"""Human pose: the joints of persons."""

import dataclasses

from hrnet_jax.keypoints.task import HeatmapTask
from hrnet_jax.keypoints.transforms import AugmentationOptions


@dataclasses.dataclass(frozen=True)
class PoseCropOptions(AugmentationOptions):
    """Crops of persons; see `AugmentationOptions`."""

    crop_size: tuple[int, int] = (256, 192)


class PoseTask(HeatmapTask):
    """Finds the joints of persons; see `HeatmapTask`."""

    Augmentation = PoseCropOptions
    finds_boxes = False
    in_boxes = ("person", "persons")
