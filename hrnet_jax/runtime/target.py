"""For which platform the program being traced is meant.

A program is often made elsewhere than it will run: plans for TPUs and exported files
come from laptops. What one platform wants written differently therefore asks
`target()`, never where this process runs.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator

import jax

# What JAX lowers for -> the name of the backend.
_BACKENDS = {"cpu": "cpu", "tpu": "tpu", "gpu": "gpu", "cuda": "gpu", "rocm": "gpu"}

# Part of the keys of JAX's own caches: a block traced for one platform is not taken
# for another.
_target = jax.make_user_context(default_value=None)


def target() -> str:
    """`cpu`, `gpu` or `tpu`: what the program being traced will run on.

    Where JAX computes by default in this process, unless `tracing_for` says otherwise.
    """
    return _target.value or _default()


def _default() -> str:
    device = jax.config.jax_default_device
    if device is None:
        return jax.default_backend()
    return _BACKENDS[device if isinstance(device, str) else device.platform]


@contextlib.contextmanager
def tracing_for(platform: str) -> Iterator[None]:
    """Within this context programs are traced for a platform.

    Args:
        platform: `cpu`, `gpu`, `cuda`, `rocm` or `tpu`.
    """
    with _target(_BACKENDS[platform]):
        yield


def traced_for(platform: str, function: Callable) -> Callable:
    """The function, which traces for a platform wherever it is traced."""

    @functools.wraps(function)
    def traced(*args, **kwargs):
        with tracing_for(platform):
            return function(*args, **kwargs)

    return traced


def platform_of(device: jax.Device) -> str:
    """`cpu`, `gpu` or `tpu`: the platform of a device, which may be elsewhere."""
    return device.platform
