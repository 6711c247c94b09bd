"""Devices, compilation and processes: what every program here runs on."""

from hrnet_jax.runtime.accelerators import report_unused_accelerator
from hrnet_jax.runtime.compiler import (
    compile_ahead,
    compiler_options,
    enable_compilation_cache,
    is_traced_for_one_cpu,
    jit,
    nothing_cached,
)
from hrnet_jax.runtime.memory import keep_freed_memory
from hrnet_jax.runtime.mesh import (
    batch_sharding,
    lanes,
    make_mesh,
    on_own_images,
    replicated,
    row_shards,
)

__all__ = [
    "batch_sharding",
    "compile_ahead",
    "compiler_options",
    "enable_compilation_cache",
    "is_traced_for_one_cpu",
    "jit",
    "keep_freed_memory",
    "lanes",
    "make_mesh",
    "nothing_cached",
    "on_own_images",
    "replicated",
    "report_unused_accelerator",
    "row_shards",
]
