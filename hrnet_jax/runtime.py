"""Devices, mesh, compiler options and the compilation cache."""

import functools
import gc
import logging
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hrnet_jax.errors import ConfigError
from hrnet_jax.piecewise import PiecewiseProgram

_log = logging.getLogger(__name__)

# Hands convolutions, matrix products and the elementwise work between them to
# the CPU kernel library as whole units: an HRNet then compiles four times
# faster and runs up to twice as fast. Experimental in XLA, so only used where
# the jaxlib at hand accepts it.
_CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": ",".join(
        f"LIBRARY_FUSION_TYPE_{kind}"
        for kind in ("INDIVIDUAL_CONVOLUTION", "INDIVIDUAL_DOT", "ELTWISE", "REDUCE")
    )
}


# Values that a TPU moves and computes with together; narrower maps are padded.
_TPU_LANES = 128


def platform(mesh: Mesh | None = None) -> str:
    """`cpu`, `gpu` or `tpu`: of a mesh, whose devices may be elsewhere, or else here."""
    return jax.default_backend() if mesh is None else mesh.devices.flat[0].platform


def lanes(mesh: Mesh | None = None) -> int:
    """Channels that fill a row of the devices' registers, 0 where any number does.

    See `models.packing`.
    """
    return _TPU_LANES if platform(mesh) == "tpu" else 0


def compiler_options(mesh: Mesh | None = None) -> dict[str, str]:
    """Compiler options for `jax.jit`, for the devices of a mesh or else those here."""
    if platform(mesh) != "cpu" or not _accepted("cpu"):
        return {}
    return dict(_CPU_OPTIONS)


@functools.cache
def _accepted(backend: str) -> bool:
    """Whether this jaxlib knows our options for `backend` and computes right.

    The probe is what resizing does, a batched product with a repeated matrix,
    because wrong results of just that were reported of other releases.
    """

    def product(matrix, x):
        return jnp.einsum("mn,bnk->bmk", matrix, x) + jnp.einsum(
            "bmn,bnk->bmk", jnp.broadcast_to(matrix, (len(x), *matrix.shape)), x
        )

    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(16, 8)).astype(np.float32)
    x = rng.normal(size=(12, 8, 18)).astype(np.float32)
    try:
        got = jax.jit(product, compiler_options=_CPU_OPTIONS)(matrix, x)
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        _log.warning("compiler options for %s not accepted: %s", backend, error)
        return False
    right = np.allclose(got, 2 * np.einsum("mn,bnk->bmk", matrix, x), atol=1e-4)
    if not right:
        _log.warning("compiler options for %s give wrong results: not used", backend)
    return right


def jit(function, mesh: Mesh | None = None, **kwargs):
    """`jax.jit` with our compiler options.

    Args:
        function: what to compile.
        mesh: where its arguments will lie, else on the default backend. Where that divides the rows of images,
            `row_shards` says so while the function is traced.
        **kwargs: for `jax.jit`.
    """
    if mesh is not None and mesh.shape["space"] > 1:
        function = _traced_on(mesh, function)
    return jax.jit(function, compiler_options=compiler_options(mesh), **kwargs)


def _traced_on(mesh: Mesh, function: Callable) -> Callable:
    """The function, traced with JAX's current mesh set to `mesh`."""

    @functools.wraps(function)
    def traced(*args, **kwargs):
        # Part of the keys of JAX's own caches: a block traced for whole images is
        # not taken for divided ones.
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return function(*args, **kwargs)

    return traced


def row_shards() -> int:
    """Over how many devices the program being traced divides the rows of images.

    Where it does, what reads far rows makes the compiler gather whole maps on every
    device, and what reads neighbours makes devices exchange a row or two.
    """
    return jax.sharding.get_abstract_mesh().shape.get("space", 1)


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


def make_mesh(data: int = -1, space: int = 1) -> Mesh:
    """The one mesh of the project, with axes `data` and `space`.

    Args:
        data: devices along the batch; -1 takes all that `space` leaves.
        space: devices along the height of images (spatial partitioning).

    Raises:
        ConfigError: if the devices do not divide so.
    """
    devices = jax.devices()
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
