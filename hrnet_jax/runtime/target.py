"""For which platform the program being traced is meant.

A program is often made elsewhere than it will run: plans for TPUs and exported files
come from laptops. Whatever one platform needs written differently therefore asks
`target()`, never where this process runs.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

# What JAX lowers for -> the name of the backend.
_BACKENDS = {"cpu": "cpu", "tpu": "tpu", "gpu": "gpu", "cuda": "gpu", "rocm": "gpu"}

# Part of the keys of JAX's own caches: a block traced for one platform is not taken
# for another.
_targets = jax.make_user_context(default_value=None)


def target() -> str:
    """`cpu`, `gpu` or `tpu`: what the program being traced will run on.

    Where JAX computes by default in this process, unless `tracing_for` says otherwise.

    Raises:
        RuntimeError: in a program for several platforms, outside of `per_target`.
    """
    platforms = _targets.value
    if platforms is None:
        return _default()
    if len(platforms) > 1:
        raise RuntimeError(
            f"traced for {', '.join(platforms)}, but its form depends on which of "
            "them; wrap it in `per_target`"
        )
    return _BACKENDS[platforms[0]]


def is_only_for(platform: str) -> bool:
    """Whether the program being traced will run on `cpu`, `gpu` or `tpu` alone."""
    platforms = _targets.value
    return (platforms is None or len(platforms) == 1) and target() == platform


def _default() -> str:
    # Attributes of `jax.config` are set when JAX is imported; its type has none.
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    if device is None:
        return jax.default_backend()
    return _BACKENDS[device if isinstance(device, str) else device.platform]


@contextlib.contextmanager
def tracing_for(*platforms: str) -> Iterator[None]:
    """Within this context programs are traced for a platform, or for several.

    Args:
        *platforms: `cpu`, `tpu`, `cuda`, `rocm`, as `jax.export` calls them; `gpu` too
            where it is the only one.
    """
    with _targets(platforms):
        yield


def traced_for(platform: str, function: Callable) -> Callable:
    """The function, which traces for a platform wherever it is traced."""

    @functools.wraps(function)
    def traced(*args, **kwargs):
        with tracing_for(platform):
            return function(*args, **kwargs)

    return traced


def per_target(function: Callable[..., Any], *arrays: jax.Array) -> Any:
    """Applies a function that asks for the `target`, in programs for several as well.

    These get each platform's own form, and lowering chooses; where all forms are
    alike there is nothing to choose.

    Args:
        function: of arrays alone.
        *arrays: its arguments.
    """
    platforms = _targets.value
    if platforms is None or len(platforms) == 1:
        return function(*arrays)
    forms = {name: traced_for(name, lambda *x: function(*x)) for name in platforms}
    first, *others = (jax.make_jaxpr(form)(*arrays) for form in forms.values())
    if all(_are_alike(first, other) for other in others):
        return forms[platforms[0]](*arrays)
    return jax.lax.platform_dependent(*arrays, **forms)


def _are_alike(one: Any, other: Any) -> bool:
    """Whether two traced functions compute the same; their text leaves arrays out."""
    return (
        str(one) == str(other)
        and len(one.consts) == len(other.consts)
        and all(map(np.array_equal, one.consts, other.consts))
    )


def platform_of(device: jax.Device) -> str:
    """`cpu`, `gpu` or `tpu`: the platform of a device, which may be elsewhere."""
    return device.platform
