"""Semantic segmentation: a label for every pixel."""

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.segmentation.model import SegmentationHRNet, SegmentationOCR
from hrnet_jax.tasks.spec import OutputNames, TaskSpec


def info_of_classes(name: str, outputs: OutputNames) -> DatasetInfo:
    """A data set whose pixels have these classes."""
    from hrnet_jax.imaging.palette import default_palette

    count = len(outputs.names)
    return DatasetInfo(
        name,
        count,
        outputs.names,
        outputs.palette or tuple(default_palette(count)),
        flip_pairs=outputs.flip_pairs,
    )


SPEC = TaskSpec(
    name="segmentation",
    models={"": SegmentationHRNet, "_ocr": SegmentationOCR},
    task="hrnet_jax.segmentation.task:SegmentationTask",
    trainable=True,
    data="labels",
    default_size=(1024, 2048),
    num_outputs="num_classes",
    upsampled_on_export=True,
    size_option="crop_size",
    info_of_outputs=info_of_classes,
)
