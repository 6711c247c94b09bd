"""Image classification: what an image shows."""

from hrnet_jax.classification.model import ClassificationHRNet
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.tasks.spec import OutputNames, TaskSpec


def info_of_classes(name: str, outputs: OutputNames) -> DatasetInfo:
    """A data set whose images have these classes."""
    return DatasetInfo(name, 0, (), (), image_class_names=outputs.names)


SPEC = TaskSpec(
    name="classification",
    models={"": ClassificationHRNet},
    task="hrnet_jax.classification.task:ClassificationTask",
    trainable=True,
    data="classes",
    default_size=(224, 224),
    num_outputs="num_classes",
    size_option="crop_size",
    info_of_outputs=info_of_classes,
)
