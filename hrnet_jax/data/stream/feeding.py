"""From batches in host memory to global arrays on the devices of a mesh."""

import collections
import concurrent.futures
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hrnet_jax.errors import ConfigError


def feed(
    batches: Iterable[Mapping[str, Any]],
    mesh: Mesh,
    *,
    map_keys: Sequence[str] = (),
    depth: int = 2,
) -> Iterator[dict[str, Any]]:
    """Moves batches to the devices ahead of their use, in one thread.

    Axis 0 is sharded over the mesh axis `data`; where the axis `space` is
    longer than one, the rows of images and maps are sharded over it. Each
    process offers its own samples; together they form the global batch, process
    after process. Dtypes stay: uint8 images are a quarter of the traffic.

    An exception raised by `batches` reaches the caller at the batch it stopped.
    Closing the iterator waits for the thread and then closes `batches`.

    Args:
        batches: this process's share of every global batch.
        mesh: with the axes `data` and `space`.
        map_keys: keys, `image` aside, whose second axis is the image height.
        depth: batches to keep ready on the devices beyond the one in use.

    Yields:
        Dictionaries of global `jax.Array`. Values that are not arrays
        (`image_id`) stay as they are: this process's share, on the host.

    Raises:
        ConfigError: if a batch cannot be divided among the devices.
    """
    source = iter(batches)

    def load() -> dict[str, Any] | None:
        batch = next(source, None)
        return None if batch is None else to_global(batch, mesh, map_keys)

    pending: collections.deque[concurrent.futures.Future] = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="feed")
    try:
        pending.extend(pool.submit(load) for _ in range(depth))
        while (batch := pending.popleft().result()) is not None:
            pending.append(pool.submit(load))
            yield batch
    finally:
        # The thread may be inside `source`, which cannot be closed until then.
        pool.shutdown(wait=True, cancel_futures=True)
        if hasattr(source, "close"):
            source.close()


def to_global(
    batch: Mapping[str, Any], mesh: Mesh, map_keys: Sequence[str] = ()
) -> dict[str, Any]:
    """Makes one global `jax.Array` of every array in `batch`; see `feed`.

    Raises:
        ConfigError: if the batch size does not divide among the mesh's `data`
            axis, or the image height among its `space` axis.
    """
    return {
        key: (
            _to_global(key, value, mesh, is_map(key, map_keys))
            if isinstance(value, np.ndarray)
            else value
        )
        for key, value in batch.items()
    }


def is_map(key: str, map_keys: Sequence[str]) -> bool:
    """Whether the second axis of a batch's key is the image height."""
    return key == "image" or key in map_keys


def _to_global(key: str, value: np.ndarray, mesh: Mesh, has_rows: bool) -> jax.Array:
    data, space = mesh.shape["data"], mesh.shape["space"]
    processes = jax.process_count()
    if data % processes:
        raise ConfigError(
            f"mesh.data={data} must be a multiple of the {processes} processes: "
            "each brings its own samples"
        )
    batch_size = len(value) * processes
    if batch_size % data:
        raise ConfigError(
            f"batch_size {batch_size} is not divisible by the {data} devices along "
            "the mesh's data axis"
        )
    axes = ["data"]
    if has_rows and space > 1:
        if value.shape[1] % space:
            raise ConfigError(
                f"the height of {key!r}, {value.shape[1]} pixels, is not divisible "
                f"by mesh.space={space}"
            )
        axes.append("space")
    sharding = NamedSharding(mesh, PartitionSpec(*axes))
    shape = (batch_size, *value.shape[1:])
    return jax.make_array_from_process_local_data(sharding, value, shape)


def device_part(batch: dict) -> dict[str, jax.Array]:
    """The arrays of a batch, without names and the like."""
    return {key: value for key, value in batch.items() if isinstance(value, jax.Array)}
