"""Batches and states without values, for the compiler."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from hrnet_jax import runtime
from hrnet_jax.data.stream.feeding import is_map
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.tasks.protocol import Trains
from hrnet_jax.training.state import TrainState, create_state


def train_batch(
    task: Trains, batch_size: int, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch of the train step, made by the task's own transform of one sample.

    Raises:
        ConfigError: if batch or rows do not divide over the mesh.
    """
    return _batch(_train_sample(task), batch_size, mesh, task.map_keys)


def train_values(task: Trains, batch_size: int, mesh: Mesh) -> dict[str, jax.Array]:
    """`train_batch` with the values of that sample, on the devices of the mesh.

    Zeros would not do: a detector looks for nothing in an image without a size.
    """
    values = _arrays(_train_sample(task))
    return {
        key: jax.device_put(
            np.broadcast_to(values[key], leaf.shape).astype(leaf.dtype), leaf.sharding
        )
        for key, leaf in train_batch(task, batch_size, mesh).items()
    }


def _train_sample(task: Trains) -> dict[str, Any]:
    sample = task.empty_sample(task.image_size)
    return task.train_transform(sample, np.random.default_rng(0))


def eval_batch(
    task: Trains,
    size: tuple[int, int] | None,
    batch_size: int,
    mesh: Mesh,
) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch of the predict step; see `train_batch`.

    Args:
        task: what is evaluated.
        size: (height, width) of the largest image; None where it is not known.
        batch_size: images of all devices.
        mesh: of the devices.
    """
    sample = task.empty_sample(size or task.image_size)
    return _batch(task.eval_transform(sample), batch_size, mesh, task.map_keys)


def train_state(task: Trains, optimizer: Any, mesh: Mesh, *, ema: bool) -> TrainState:
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


def _batch(
    sample: Mapping[str, Any],
    batch_size: int,
    mesh: Mesh,
    map_keys: Sequence[str] = (),
) -> dict[str, jax.ShapeDtypeStruct]:
    """As `data.stream` stacks samples and spreads them over the mesh."""
    data, space = mesh.shape["data"], mesh.shape["space"]
    if batch_size % data:
        raise ConfigError(f"{batch_size} images do not divide over data:{data}")
    batch = {}
    for key, array in _arrays(sample).items():
        shape = (batch_size, *np.shape(array))
        if is_map(key, map_keys) and shape[1] % space:
            raise ConfigError(
                f"the height of {key!r}, {shape[1]} pixels, is not divisible by "
                f"space:{space}"
            )
        ndim = len(shape) if is_map(key, map_keys) else 1
        batch[key] = jax.ShapeDtypeStruct(
            shape,
            jax.dtypes.canonicalize_dtype(array.dtype),
            sharding=runtime.batch_sharding(mesh, ndim),
        )
    return batch


def _arrays(sample: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What of a sample is part of a batch."""
    arrays = {
        key: np.asarray(value)
        for key, value in sample.items()
        if not isinstance(value, str)
    }
    return arrays | {"example_valid": np.array(True)}
