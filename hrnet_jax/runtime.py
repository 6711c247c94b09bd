"""Devices, mesh, compiler options and the compilation cache."""

import contextlib
import ctypes
import functools
import gc
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import (
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    SingleDeviceSharding,
)

from hrnet_jax import layouts
from hrnet_jax.errors import ConfigError
from hrnet_jax.piecewise import PiecewiseProgram

_log = logging.getLogger(__name__)

_OPTIONS = {
    # Hands convolutions, matrix products and the elementwise work between them to
    # the CPU kernel library as whole units: an HRNet then compiles four times
    # faster and runs up to twice as fast. Experimental in XLA, so only used where
    # the jaxlib at hand accepts it.
    "cpu": {
        "xla_cpu_experimental_ynn_fusion_type": ",".join(
            f"LIBRARY_FUSION_TYPE_{kind}"
            for kind in (
                "INDIVIDUAL_CONVOLUTION",
                "INDIVIDUAL_DOT",
                "ELTWISE",
                "REDUCE",
            )
        )
    },
    # For small batches the TPU compiler cuts rows into pieces and puts them into the
    # batch, with copies around every convolution. Packed maps (`models.packing`) are
    # better left alone: figures in docs/performance.md.
    "tpu": {
        "xla_tpu_run_space_to_batch": "false",
        "xla_tpu_run_space_to_batch_on_new_platforms": "false",
    },
}

# Values that a TPU moves and computes with together; narrower maps are padded.
_TPU_LANES = 128

# Channels that a GPU's matrix units take together in bfloat16. Convolutions of other
# numbers are three kernels instead of one, two of which pad and copy.
_GPU_CHANNELS = 8
# Packing multiplies by zeros as well; of more channels nobody measured that it pays.
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
    platform = _device(mesh).platform
    if platform == "tpu":
        return _TPU_LANES
    if platform != "gpu" or dtype != jnp.bfloat16 or not channels % _GPU_CHANNELS:
        return 0
    packed = channels
    while packed % _GPU_CHANNELS:
        packed *= 2
    return packed if packed <= _MOST_GPU_CHANNELS else 0


def compiler_options(mesh: Mesh | None = None) -> dict[str, str]:
    """Compiler options for `jax.jit`, for the devices of a mesh or else those here."""
    device = _device(mesh)
    options = _OPTIONS.get(device.platform)
    return dict(options) if options and _accepted(device) else {}


def _device(mesh: Mesh | None) -> jax.Device:
    """A device to ask; of several processes each has to ask one of its own."""
    if mesh is None:
        return jax.local_devices()[0]
    devices = list(mesh.devices.flat)
    own = (d for d in devices if d.process_index == jax.process_index())
    return next(own, devices[0])


@functools.cache
def _accepted(device: jax.Device) -> bool:
    """Whether the compiler for a device knows our options, and on a CPU is right."""
    platform = device.platform
    options = _OPTIONS[platform]
    argument = jax.ShapeDtypeStruct(
        (8,), np.float32, sharding=SingleDeviceSharding(device)
    )
    try:
        traced = jax.jit(jnp.square).trace(argument)
        lowered = traced.lower(lowering_platforms=(platform,))
        with nothing_cached():
            lowered.compile(compiler_options=options)
        right = platform != "cpu" or _resizes_right(options)
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        _log.warning("compiler options for %s not accepted: %s", platform, error)
        return False
    if not right:
        _log.warning("compiler options for %s give wrong results: not used", platform)
    return right


def _resizes_right(options: dict[str, str]) -> bool:
    """Whether resizing, a batched product with a repeated matrix, comes out right.

    Wrong results of just that were reported of other releases.
    """

    def product(matrix, x):
        return jnp.einsum("mn,bnk->bmk", matrix, x) + jnp.einsum(
            "bmn,bnk->bmk", jnp.broadcast_to(matrix, (len(x), *matrix.shape)), x
        )

    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(16, 8)).astype(np.float32)
    x = rng.normal(size=(12, 8, 18)).astype(np.float32)
    got = jax.jit(product, compiler_options=options)(matrix, x)
    return np.allclose(got, 2 * np.einsum("mn,bnk->bmk", matrix, x), atol=1e-4)


def jit(function, mesh: Mesh | None = None, **kwargs):
    """`jax.jit` with our compiler options.

    Args:
        function: what to compile.
        mesh: where its arguments will lie; on the default backend if None. Where it
            divides the rows of images, `row_shards` says so while the function is
            traced, and where it is a CPU alone `is_traced_for_one_cpu`.
        **kwargs: for `jax.jit`.
    """
    if mesh is not None and not _is_default_device(mesh):
        function = _traced_on(mesh, function)
    return jax.jit(function, compiler_options=compiler_options(mesh), **kwargs)


def _is_default_device(mesh: Mesh) -> bool:
    return mesh.size == 1 and mesh.devices.flat[0].platform == jax.default_backend()


def _traced_on(mesh: Mesh, function: Callable) -> Callable:
    """The function, traced with JAX's current mesh set to `mesh`."""

    @functools.wraps(function)
    def traced(*args, **kwargs):
        # Part of the keys of JAX's own caches: a block traced for whole images is
        # not taken for divided ones.
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return function(*args, **kwargs)

    return traced


# Parameters of the C library's `mallopt`, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@functools.cache
def keep_freed_memory() -> bool:
    """Lets this process keep the memory of large freed arrays for the next ones.

    On a CPU a program gets its temporary memory as one block. The C library returns
    blocks of more than 32 MB to the system at once, so every call would get fresh
    pages, and their first touch takes up to a fifth of the time of a prediction or of
    a training step of many pixels (docs/performance.md). The process then holds as
    much memory as it ever needed; `HRNET_JAX_KEEP_MEMORY=0` leaves all as it is.

    Returns:
        Whether the C library does so from now on: glibc does, others need not, and
        accelerators have allocators of their own.
    """
    wanted = os.environ.get("HRNET_JAX_KEEP_MEMORY", "1") != "0"
    if not wanted or jax.default_backend() != "cpu":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another system
        return False
    largest = 2**30
    return bool(
        mallopt(_M_MMAP_THRESHOLD, largest) and mallopt(_M_TRIM_THRESHOLD, largest)
    )


def row_shards() -> int:
    """Over how many devices the program being traced divides the rows of images.

    Where it does, what reads far rows makes the compiler gather whole maps on every
    device, and what reads neighbours makes devices exchange a row or two.
    """
    return jax.sharding.get_abstract_mesh().shape.get("space", 1)


def is_traced_for_one_cpu() -> bool:
    """Whether the program being traced will run on one CPU device.

    What suits a CPU only can be chosen by that. False where `jit` was told of several
    devices or others, whose partitioner and compiler know convolutions better.
    """
    return jax.sharding.get_abstract_mesh().empty and jax.default_backend() == "cpu"


def compile_ahead(function, *arguments, whole: bool = False) -> tuple[Any, Any]:
    """Traces and compiles a jitted function for such arguments.

    On one CPU device the function becomes a `PiecewiseProgram`, everywhere else
    one program. Garbage collection pauses meanwhile: tracing makes millions of
    objects that all stay, and looking through them again and again takes a
    quarter of the time.

    Args:
        function: from `jit`, without static arguments.
        *arguments: arrays on the devices where it will run.
        whole: never cut the function.

    Returns:
        The traced function (with `.jaxpr`) and the compiled one, to be called.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        arguments = layouts.described(arguments)
        traced = function.trace(*arguments)
        if whole or traced.jaxpr.effects or not _is_on_one_cpu(arguments):
            return traced, traced.lower().compile()
        return traced, PiecewiseProgram(traced, compiler_options())
    finally:
        if was_enabled:
            gc.enable()


def _is_on_one_cpu(arguments: tuple) -> bool:
    """Whether arrays lie on one device, and this is a CPU."""
    devices = set[jax.Device]()
    for leaf in jax.tree.leaves(arguments):
        if isinstance(leaf, jax.Array):
            devices |= leaf.sharding.device_set
    return len(devices) == 1 and devices.pop().platform == "cpu"


def enable_compilation_cache(folder: str | os.PathLike | None = None) -> str:
    """Keeps compiled programs on disk between runs.

    Args:
        folder: where; by default `$HRNET_JAX_CACHE` or `~/.cache/hrnet_jax/xla`.

    Returns:
        The folder. Whoever can write there can run code in this process.
    """
    folder = folder or os.environ.get("HRNET_JAX_CACHE")
    folder = os.fspath(folder or os.path.expanduser("~/.cache/hrnet_jax/xla"))
    jax.config.update("jax_compilation_cache_dir", folder)
    # Low enough for the pieces of a train step, too high for single operations.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


@contextlib.contextmanager
def nothing_cached() -> Iterator[None]:
    """Keeps programs out of the compilation cache, for devices that are not here.

    JAX writes those, but cannot read them back (0.10.2: "must be constructed with a
    Client"). Whether there is a cache it decides once and for all, so the cache stays
    and nothing takes long enough for it.
    """
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    jax.config.update(name, float("inf"))
    try:
        yield
    finally:
        jax.config.update(name, before)


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
