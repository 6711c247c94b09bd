"""Objects: their boxes, classes and masks; the feature pyramids detectors read."""

from hrnet_jax.detection.detectors import (
    FCOS,
    CascadeMaskRCNN,
    CascadeRCNN,
    FasterRCNN,
    MaskRCNN,
)
from hrnet_jax.detection.model import PyramidHRNet
from hrnet_jax.tasks.spec import TaskSpec

PYRAMID = TaskSpec(
    name="pyramid",
    models={"": PyramidHRNet},
    task="hrnet_jax.detection.pyramid:PyramidTask",
    default_size=(800, 1344),
)

SPEC = TaskSpec(
    name="detection",
    models={
        f"{cls.output_kind}_": cls
        for cls in (FasterRCNN, MaskRCNN, CascadeRCNN, CascadeMaskRCNN, FCOS)
    },
    task="hrnet_jax.detection.task:DetectionTask",
    trainable=True,
    data="objects",
    default_size=(800, 1344),
    num_outputs="num_classes",
)
