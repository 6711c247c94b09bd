"""Devices: the mesh, shardings, and how wide their data paths are."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hrnet_jax.errors import ConfigError

# Values that a TPU moves and computes with together; narrower maps are padded.
_TPU_LANES = 128

# Channels that a GPU's matrix units take together in bfloat16. Convolutions of other
# numbers are three kernels instead of one, two of which pad and copy.
_GPU_CHANNELS = 8
# Packing multiplies by zeros as well. Measured to pay only up to 72 channels.
_MOST_GPU_CHANNELS = 72


def lanes(channels: int, dtype: Any, mesh: Mesh | None = None) -> int:
    """Channels to which neighbouring pixels are packed, 0 where any number will do.

    Args:
        channels: of the highest branch.
        dtype: compute type.
        mesh: of the devices, which may be elsewhere; those here if None.

    Returns:
        What models take as `lanes`, see `models.packing`.
    """
    platform = device_of(mesh).platform
    if platform == "tpu":
        return _TPU_LANES
    if platform != "gpu" or dtype != jnp.bfloat16 or not channels % _GPU_CHANNELS:
        return 0
    packed = channels
    while packed % _GPU_CHANNELS:
        packed *= 2
    return packed if packed <= _MOST_GPU_CHANNELS else 0


def device_of(mesh: Mesh | None) -> jax.Device:
    """A device to ask; of several processes each has to ask one of its own."""
    if mesh is None:
        return jax.local_devices()[0]
    devices = list(mesh.devices.flat)
    own = (d for d in devices if d.process_index == jax.process_index())
    return next(own, devices[0])


def row_shards() -> int:
    """Over how many devices the program being traced divides the rows of images.

    Where it does, what reads far rows makes the compiler gather whole maps on every
    device, and what reads neighbours makes devices exchange a row or two.
    """
    return jax.sharding.get_abstract_mesh().shape.get("space", 1)


def on_own_images(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of images, of which every device of the program takes its own.

    For what goes through the parts of an image one by one. Left to the compiler, a loop
    over them ends for all devices at once, which they ask each other in every round, and
    what is read by its number is gathered from all of them first.

    Args:
        function: of arrays, or trees of arrays, [B, ...], to the same, each image by
            itself.

    Returns:
        The same function; outside a mesh, or for images that do not divide over it,
        nothing changes.
    """

    def call(*images: Any) -> Any:
        shape = jax.sharding.get_abstract_mesh().shape
        shards = shape.get("data", 1)
        if shards == 1 or len(jax.tree.leaves(images)[0]) % shards:
            return function(*images)
        # Every device has all rows of its images, so gradients are summed over `space`
        # where that is not named; a sum of one is an exchange all the same.
        own = PartitionSpec("data" if row_shards() > 1 else tuple(shape))
        mapped = jax.shard_map(function, in_specs=own, out_specs=own, check_vma=False)
        return mapped(*images)

    return call


def make_mesh(
    data: int = -1, space: int = 1, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """The one mesh of the project, with axes `data` and `space`.

    Args:
        data: devices along the batch; -1 takes all that `space` leaves.
        space: devices along the height of images (spatial partitioning).
        devices: to choose from; all that are here if None.

    Raises:
        ConfigError: if the devices do not divide so.
    """
    devices = jax.devices() if devices is None else devices
    if space < 1 or len(devices) % space:
        raise ConfigError(
            f"mesh.space={space} does not divide the {len(devices)} devices"
        )
    if data == -1:
        data = len(devices) // space
    if data < 1 or data * space > len(devices):
        raise ConfigError(
            f"mesh.data={data} times mesh.space={space} needs {data * space} devices, "
            f"there are {len(devices)}"
        )
    grid = np.asarray(devices[: data * space]).reshape(data, space)
    # Auto: with Explicit axes, sorts and counts over a sharded batch do not trace.
    return Mesh(grid, ("data", "space"), axis_types=(AxisType.Auto, AxisType.Auto))


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of values every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, ndim: int = 1) -> NamedSharding:
    """Sharding of batches: examples over `data`, image rows over `space`.

    Args:
        mesh: from `make_mesh`.
        ndim: rank of maps [B, H, W, ...], whose rows are divided too; leave it
            out for everything else (boxes have three axes as well).
    """
    rows = ("space",) if ndim >= 3 and mesh.shape["space"] > 1 else ()
    return NamedSharding(mesh, PartitionSpec("data", *rows))
