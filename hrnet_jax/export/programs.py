"""The functions that are exported."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from hrnet_jax.export.source import ExportOptions, ExportSource, model_options
from hrnet_jax.export.tasks import build_task
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.representations import upsample_between
from hrnet_jax.models.resize import resize
from hrnet_jax.tasks.protocol import ExportsPredictions, Predicts
from hrnet_jax.tasks.spec import TaskSpec

# (variables, images, *more) -> outputs by name; see `more_inputs`.
Function = Callable[..., dict[str, jax.Array]]


def is_upsampled(source: ExportSource, options: ExportOptions) -> bool:
    """Whether logits have the size of the image."""
    wanted = True if options.upsample is None else options.upsample
    return wanted and source.spec.upsampled_on_export


def make_function(
    source: ExportSource, options: ExportOptions, model: Model
) -> Function:
    """The function to export: (variables, images, *more) -> named outputs.

    Args:
        source: that the model is of.
        options: what it takes and gives.
        model: of the source, or its folded form.
    """
    if source.spec.exports_predictions:
        return _predictions(source, options, model)

    def function(variables, images):
        inputs = images
        if options.input == "uint8":
            inputs = normalize_images(images, source.normalization)
        outputs = named_outputs(source.spec, model.apply(variables, inputs))
        if not options.auxiliary:
            for name in model.auxiliary_outputs:
                outputs.pop(name)
        if is_upsampled(source, options):
            method = upsample_between(model.upsample)
            size = images.shape[1:3]
            outputs = {key: resize(y, size, method) for key, y in outputs.items()}
        return outputs

    return function


def named_outputs(spec: TaskSpec, outputs: Any) -> dict[str, jax.Array]:
    """A model's outputs by name; levels of a pyramid are `level0`, `level1`, ..."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, tuple):
        return {f"level{index}": level for index, level in enumerate(outputs)}
    return {spec.output_name: outputs}


def task_of(
    source: ExportSource, options: ExportOptions, model: Model
) -> ExportsPredictions:
    """The task of a file that holds predictions."""
    spec = source.spec
    count = spec.count_outputs(model_options(model))
    task: Any = build_task(
        spec,
        model,
        source.info or spec.numbered_info(spec.name, count),
        inference=source.inference,
        augmentation=source.augmentation,
        normalization=source.normalization,
        size=options.size,
    )
    return task


def _predictions(
    source: ExportSource, options: ExportOptions, model: Model
) -> Function:
    """Predictions, or in their place what the reader of a file makes them of."""
    task = task_of(source, options, model)
    names = [*more_inputs(task, options.size)]
    predict = task.candidates if options.nms == "caller" else task.predict_normalized

    def function(variables, images, *more):
        inputs = images
        if options.input == "uint8":
            inputs = normalize_images(images, source.normalization)
        batch = {"image": inputs, **dict(zip(names, more, strict=True))}
        return predict(variables, batch)

    return function


def more_inputs(
    task: Predicts, size: tuple[int, int] | None
) -> dict[str, jax.ShapeDtypeStruct]:
    """What the function takes beside the images, for one image, by name.

    Args:
        task: of the file.
        size: (height, width) of the images.
    """
    if size is None:
        return {}
    return {
        name: jax.ShapeDtypeStruct(value.shape[1:], value.dtype)
        for name, value in prepared_noise(task, 1, size).items()
        if name != "image"
    }


def prepared_noise(
    task: Predicts, count: int, size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Images of noise as a task brings them to the network, with all it takes of them.

    Args:
        task: that prepares them.
        count: how many; every one is a little narrower or lower than the one before.
        size: (height, width) that they are brought to.
    """
    rng = np.random.default_rng(count)
    batches = []
    for number in range(count):
        short = max(1, min(size) * (8 - number % 4) // 8)
        shape = [short if side == min(size) else side for side in size]
        image = rng.integers(0, 256, (*shape, 3), np.uint8)
        batches.append(task.network_batch(*task.to_network(image)))
    return {key: np.concatenate([one[key] for one in batches]) for key in batches[0]}
