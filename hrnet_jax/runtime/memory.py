"""Memory of this process between programs."""

import ctypes
import functools
import os

import jax

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
