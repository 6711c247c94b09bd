"""Objects: their boxes, classes and masks; the feature pyramids detectors read."""

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.detectors import (
    FCOS,
    CascadeMaskRCNN,
    CascadeRCNN,
    FasterRCNN,
    MaskRCNN,
)
from hrnet_jax.detection.model import PyramidHRNet
from hrnet_jax.tasks.spec import OutputNames, TaskSpec


def info_of_objects(name: str, outputs: OutputNames) -> DatasetInfo:
    """A data set of objects of these classes."""
    return DatasetInfo(
        name,
        0,
        (),
        (),
        box_class_names=outputs.names,
        category_ids=tuple(range(1, len(outputs.names) + 1)),
    )


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
    exports_predictions=True,
    default_size=(800, 1344),
    num_outputs="num_classes",
    info_of_outputs=info_of_objects,
)
