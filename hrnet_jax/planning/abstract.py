"""Batches and states without values, for the compiler."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import tensorflow_datasets as tfds
from jax.sharding import Mesh

from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.source import landmark_features
from hrnet_jax.data.stream.feeding import MAPS
from hrnet_jax.data.writing import segmentation_features
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.tasks.protocol import Task
from hrnet_jax.training.state import TrainState, create_state

# Faces are cut out, so that their images may have any size.
_FACE_IMAGE = (256, 256)


def train_batch(
    task: Task, info: DatasetInfo, batch_size: int, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch of the train step, made by the task's own transform of one sample.

    Raises:
        ConfigError: if batch or rows do not divide over the mesh.
    """
    sample = _sample(task, info, task.image_size)
    return _batch(
        task.train_transform(sample, np.random.default_rng(0)), batch_size, mesh
    )


def eval_batch(
    task: Task,
    info: DatasetInfo,
    size: tuple[int, int] | None,
    batch_size: int,
    mesh: Mesh,
) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch of the predict step; see `train_batch`.

    Args:
        task: what is evaluated.
        info: of the data set.
        size: (height, width) of the largest image; None where it is not known.
        batch_size: images of all devices.
        mesh: of the devices.
    """
    sample = _sample(task, info, size or task.image_size)
    return _batch(task.eval_transform(sample), batch_size, mesh)


def train_state(task: Task, optimizer: Any, mesh: Mesh, *, ema: bool) -> TrainState:
    """The state of a run, whole on every device."""
    state = jax.eval_shape(
        lambda variables: create_state(variables, optimizer, ema=ema),
        variable_shapes(task.model),
    )
    whole = runtime.replicated(mesh)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), state
    )


def device_bytes(tree: Any) -> int:
    """Bytes of one device's part of abstract arrays, padding left out."""
    return sum(
        int(np.prod(leaf.sharding.shard_shape(leaf.shape))) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _sample(task: Task, info: DatasetInfo, size: tuple[int, int]) -> dict[str, Any]:
    """A record of the data set with nothing to see on it.

    Raises:
        ConfigError: for a task whose records are not known here.
    """
    if "num_points" in task.model_options(info):
        features, size = landmark_features(len(info.point_names)), _FACE_IMAGE
    elif "num_classes" in task.model_options(info):
        features = segmentation_features()
    else:
        raise ConfigError(f"no plans yet for {type(task).__name__}")
    sample = {key: _empty(feature, size) for key, feature in features.items()}
    # Labels are one channel in files only.
    if "label" in sample:
        sample["label"] = sample["label"][..., 0]
    return sample


def _empty(feature: tfds.features.FeatureConnector, size: tuple[int, int]) -> Any:
    if isinstance(feature, tfds.features.Text):
        return "nothing"
    if isinstance(feature, tfds.features.Image):
        return np.zeros((*size, feature.shape[-1]), np.uint8)
    # Ones: a face box must have a size.
    return np.ones(feature.shape, feature.np_dtype)


def _batch(
    sample: Mapping[str, Any], batch_size: int, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """As `pipeline` stacks samples and `feeding` spreads them over the mesh."""
    data, space = mesh.shape["data"], mesh.shape["space"]
    if batch_size % data:
        raise ConfigError(f"{batch_size} images do not divide over data:{data}")
    arrays = {
        key: np.asarray(value)
        for key, value in sample.items()
        if not isinstance(value, str)
    }
    arrays["example_valid"] = np.True_
    batch = {}
    for key, array in arrays.items():
        shape = (batch_size, *np.shape(array))
        if key in MAPS and shape[1] % space:
            raise ConfigError(
                f"the height of {key!r}, {shape[1]} pixels, is not divisible by "
                f"space:{space}"
            )
        ndim = len(shape) if key in MAPS else 1
        batch[key] = jax.ShapeDtypeStruct(
            shape,
            jax.dtypes.canonicalize_dtype(array.dtype),
            sharding=runtime.batch_sharding(mesh, ndim),
        )
    return batch
