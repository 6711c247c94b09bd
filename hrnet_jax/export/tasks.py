"""Tasks of exported files: built of what a description says, without weights."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hrnet_jax.config.options import read_options
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.tasks.protocol import Predicts
from hrnet_jax.tasks.spec import TaskSpec


def build_task(
    spec: TaskSpec,
    model: Model,
    info: DatasetInfo,
    *,
    inference: Mapping[str, Any],
    augmentation: Mapping[str, Any],
    normalization: Normalization,
    size: tuple[int, int] | None,
) -> Predicts:
    """A task that prepares images and decodes predictions as a file needs it.

    Args:
        spec: of the task.
        model: its network.
        info: of the data set.
        inference: options of its predictions, `eval.inference`.
        augmentation: `dataset.augmentation`.
        normalization: of images.
        size: (height, width) that the file takes, if it takes but one.

    Raises:
        ConfigError: for options that the task does not know, or that do not go with
            the size.
    """
    task_class: Any = spec.task_class
    options = read_options(task_class.Inference, inference, "inference")
    if task_class.few_shapes:
        options = task_class.seen_once(options)
    return task_class(
        model,
        info,
        augmentation=_at_size(spec, augmentation, size),
        inference=options,
        normalization=normalization,
    )


def _at_size(
    spec: TaskSpec, augmentation: Mapping[str, Any], size: tuple[int, int] | None
) -> Any:
    """Options with which images, or what is cut out of them, come in a size."""
    task_class: Any = spec.task_class
    options: Any = read_options(task_class.Augmentation, augmentation, "augmentation")
    if not size:
        return options
    if spec.exports_predictions:
        return task_class.at_size(options, size)
    if task_class.takes_boxes and spec.size_option:
        options = dataclasses.replace(options, **{spec.size_option: tuple(size)})
    return options
