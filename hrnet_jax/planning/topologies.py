"""Slices of absent TPUs, as libtpu describes them."""

import importlib.util
import os
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from hrnet_jax import runtime
from hrnet_jax.costs.slices import Slice
from hrnet_jax.errors import ConfigError, how_to_install

# Lets libtpu describe chips on a machine that has none, and beside another process
# that does the same.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def parse_mesh(text: str) -> dict[str, int]:
    """Reads `data:8,space:2`, or only one of both.

    Raises:
        ConfigError: for another axis, one named twice, or a length that is no
            positive number.
    """
    sides: dict[str, int] = {}
    for part in text.split(","):
        axis, _, length = part.strip().partition(":")
        if axis not in ("data", "space") or axis in sides or not length.isdecimal():
            raise ConfigError(
                f"wrong --mesh {text!r}; expected lengths of the axes data and space, "
                "such as data:8,space:2 or space:2"
            )
        sides[axis] = int(length)
        if not sides[axis]:
            raise ConfigError(f"wrong --mesh {text!r}; {axis} must be positive")
    return sides


def require_libtpu() -> None:
    """Makes libtpu usable; call it before JAX loads a backend.

    Raises:
        ConfigError: where it is not installed.
    """
    found = importlib.util.find_spec("libtpu") or os.environ.get("TPU_LIBRARY_PATH")
    if not found:
        raise ConfigError(
            "plans need libtpu, which compiles for TPUs on any Linux machine: "
            + how_to_install("tpu")
        )
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def describe(chosen: Slice) -> list[jax.Device]:
    """The devices of a slice; programs can be compiled for them, not run.

    Raises:
        ConfigError: if there is no such slice.
    """
    options: dict[str, Any] = {}
    if chosen.chip.name == "v4":
        # Both cores of a chip as one device, as JAX shows them where chips are real.
        options["chip_config_name"] = "megacore"
    if chosen.chips == 1:
        options["chips_per_host_bounds"] = [1, 1, 1]
    try:
        found = topologies.get_topology_desc(chosen.name, "tpu", **options)
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"topology {chosen.name!r}: libtpu knows no such slice ({reason})"
        ) from error
    return list(found.devices)


def make_mesh(
    chosen: Slice, devices: list[jax.Device], data: int = -1, space: int = 1
) -> Mesh:
    """The project's mesh over all devices of a slice; see `runtime.make_mesh`.

    Raises:
        ConfigError: if data times space is not the number of devices.
    """
    count = len(devices)
    if data == -1:
        data = count // space
    if data * space != count:
        raise ConfigError(
            f"a mesh of data:{data},space:{space} has {data * space} devices, "
            f"{chosen.name} has {count}; give --mesh=data:N,space:M or one of both"
        )
    return runtime.make_mesh(data, space, devices)
