"""Accelerators that are there and not used."""

import functools
import logging
import pathlib
import shutil

import jax

from hrnet_jax.errors import how_to_install

_log = logging.getLogger(__name__)

_DEVICES = pathlib.Path("/dev")


@functools.cache
def report_unused_accelerator() -> None:
    """Says so, once, if JAX computes on the CPU although an accelerator is there.

    Who chose the platform (`JAX_PLATFORMS=cpu`) is not told.
    """
    # Attributes of `jax.config` are set when JAX is imported; its type has none.
    chosen = jax.config.jax_platforms  # type: ignore[attr-defined]
    if chosen or jax.default_backend() != "cpu":
        return
    found = _accelerator()
    if found:
        name, extra = found
        _log.warning(
            "%s is there, but this JAX computes on the CPU: %s in the folder of "
            "hrnet_jax (JAX_PLATFORMS=cpu: as intended)",
            name,
            how_to_install("all", extra),
        )


def _accelerator() -> tuple[str, str] | None:
    """What is there, by the files of its driver, and the extra that makes JAX use it."""
    if any(_DEVICES.glob("nvidia[0-9]*")) or shutil.which("nvidia-smi"):
        return "an NVIDIA GPU", "cuda"
    if any(_DEVICES.glob("accel[0-9]*")):
        return "a TPU", "tpu"
    return None
