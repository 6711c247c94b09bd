"""Compiler options, compilation ahead of time and the compilation cache."""

import contextlib
import functools
import gc
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, SingleDeviceSharding

from hrnet_jax.runtime import layouts
from hrnet_jax.runtime.mesh import device_of
from hrnet_jax.runtime.pieces import PiecewiseProgram
from hrnet_jax.runtime.target import is_only_for, platform_of, target, tracing_for

_log = logging.getLogger(__name__)

_OPTIONS = {
    # Hands convolutions, matrix products and the elementwise work between them to
    # the CPU kernel library as whole units: an HRNet then compiles four times
    # faster and runs up to twice as fast. Experimental in XLA, so only used where
    # the installed jaxlib accepts it.
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


def compiler_options(mesh: Mesh | None = None) -> dict[str, str]:
    """Compiler options for `jax.jit`, for the devices of a mesh or else those here."""
    device = device_of(mesh)
    options = _OPTIONS.get(device.platform)
    return dict(options) if options and _accepted(device) else {}


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
        mesh: devices of its arguments; the default backend if None. Where it
            divides the rows of images, `row_shards` says so while the function is
            traced, where it is a CPU alone `is_traced_for_one_cpu`, and `target` its
            platform.
        **kwargs: for `jax.jit`.
    """
    if mesh is not None and not _is_default_device(mesh):
        function = _traced_on(mesh, function)
    return jax.jit(function, compiler_options=compiler_options(mesh), **kwargs)


def _is_default_device(mesh: Mesh) -> bool:
    return mesh.size == 1 and platform_of(mesh.devices.flat[0]) == target()


def _traced_on(mesh: Mesh, function: Callable) -> Callable:
    """The function, traced with `mesh` as JAX's current mesh, for its platform."""

    @functools.wraps(function)
    def traced(*args, **kwargs):
        # Part of the keys of JAX's own caches: a block traced for whole images is
        # not taken for divided ones.
        with (
            tracing_for(platform_of(device_of(mesh))),
            jax.sharding.use_abstract_mesh(mesh.abstract_mesh),
        ):
            return function(*args, **kwargs)

    return traced


def is_traced_for_one_cpu() -> bool:
    """Whether the program being traced will run on one CPU device.

    For choices that suit a CPU only. False where the mesh given to `jit` has several
    devices or others, whose partitioner and compiler know convolutions better.
    """
    return jax.sharding.get_abstract_mesh().empty and is_only_for("cpu")


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
        arguments = layouts.compile_shapes(arguments)
        traced = function.trace(*arguments)
        if whole or traced.jaxpr.effects or not _is_on_one_cpu(arguments):
            return traced, traced.lower().compile()
        return traced, PiecewiseProgram(traced, compiler_options())
    finally:
        if was_enabled:
            gc.enable()


def _is_on_one_cpu(arguments: tuple) -> bool:
    """Whether arrays are on one device, and this is a CPU."""
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
    """Keeps programs out of the compilation cache, for absent devices.

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
