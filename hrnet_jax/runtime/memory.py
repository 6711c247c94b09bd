"""Memory of this process between programs."""

import ctypes
import functools
import os
import sys
from types import ModuleType

import jax

resource: ModuleType | None
try:
    import resource
except ImportError:  # another system
    resource = None

# Parameters of the C library's `mallopt`, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


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
    # No block from outside the heap, whatever its size (the threshold for these, a C
    # integer, ends at 2 GB), and a heap that never shrinks.
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


def most_memory() -> int:
    """The most bytes held so far: of this process's first device, or of the process.

    An accelerator has memory of its own; a CPU's is that of the process. 0 where the
    system does not tell.
    """
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    if resource is None:
        return 0
    # Kibibytes, except on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
