"""Memory of the threads of a script that computes on a CPU."""

import ctypes
import importlib.util
import os

# Parameter of the C library's `mallopt`, from glibc's malloc.h.
_M_ARENA_MAX = -8
# Packages that give JAX an accelerator.
_ACCELERATORS = ("libtpu", "jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin")


def share_one_arena() -> bool:
    """Lets all threads to come ask for memory in one place, which keeps what is freed.

    glibc gives threads arenas of their own, which return every block of more than
    64 MB at once, whatever `runtime.keep_freed_memory` asks for. XLA's threads allocate
    the temporary memory of programs, so a training step of many pixels would spend up
    to a tenth of its processor time on fresh pages (docs/performance.md). An arena
    that exists stays: this belongs before whatever starts threads, NumPy included.
    `HRNET_JAX_KEEP_MEMORY=0` leaves all as it is.

    Returns:
        Whether it is so from now on: not where an accelerator is likely to compute,
        nor with other C libraries than glibc.
    """
    if os.environ.get("HRNET_JAX_KEEP_MEMORY", "1") == "0" or _has_accelerator():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another system
        return False
    return bool(mallopt(_M_ARENA_MAX, 1))


def _has_accelerator() -> bool:
    """Whether JAX will take an accelerator, as far as one can tell without it."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms.split(",")[0] != "cpu"
    return any(importlib.util.find_spec(name) for name in _ACCELERATORS)
