"""What Google Cloud calls a slice of TPUs, and the hosts it comes with."""

import dataclasses
import math

from hrnet_jax.costs.chips import PRICES
from hrnet_jax.costs.slices import Slice, parse_slice
from hrnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class _Family:
    """Names of one kind of chip.

    Attributes:
        prefix: of accelerator types.
        unit: what accelerator types count per chip: 2 where they count cores.
        runtime: operating system of its TPU VMs.
        gke: value of the node label `cloud.google.com/gke-tpu-accelerator`.
        machine: machine types without the number of chips.
    """

    prefix: str
    unit: int
    runtime: str
    gke: str
    machine: str


# cloud.google.com/tpu/docs: "TPU software versions" and the page of each chip;
# cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus: labels, machine types.
_FAMILIES = {
    "v4": _Family(
        "v4", 2, "tpu-ubuntu2204-base", "tpu-v4-podslice", "ct4p-hightpu-{}t"
    ),
    "v5e": _Family(
        "v5litepod",
        1,
        "v2-alpha-tpuv5-lite",
        "tpu-v5-lite-podslice",
        "ct5lp-hightpu-{}t",
    ),
    "v5p": _Family("v5p", 2, "v2-alpha-tpuv5", "tpu-v5p-slice", "ct5p-hightpu-{}t"),
    "v6e": _Family("v6e", 1, "v2-alpha-tpuv6e", "tpu-v6e-slice", "ct6e-standard-{}t"),
}

# The shape that comes with each accelerator type.
_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_DEEP = (
    *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4"),
    *("4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16"),
)
_SHAPES = {"v4": _DEEP, "v5e": _FLAT, "v5p": _DEEP, "v6e": _FLAT}
# Chips of a host in slices of several.
_CHIPS_PER_HOST = 4
# Slices of so many chips have one host.
_ONE_HOST = (1, 4, 8)
_NEAREST = 3


@dataclasses.dataclass(frozen=True)
class CloudSlice:
    """A slice that Google Cloud rents.

    Attributes:
        slice: chips and their shape.
        chips_per_host: of each of its hosts.
    """

    slice: Slice
    chips_per_host: int

    @property
    def _family(self) -> _Family:
        return _FAMILIES[self.slice.chip.name]

    @property
    def name(self) -> str:
        """For example `v5e:4x4`."""
        return self.slice.name

    @property
    def topology(self) -> str:
        """For example `4x4`."""
        return self.slice.topology

    @property
    def hosts(self) -> int:
        """Number of hosts; each runs one process."""
        return self.slice.chips // self.chips_per_host

    @property
    def accelerator_type(self) -> str:
        """Of TPU VMs, for example `v5litepod-16`."""
        return f"{self._family.prefix}-{self.slice.chips * self._family.unit}"

    @property
    def runtime(self) -> str:
        """Operating system of its TPU VMs."""
        return self._family.runtime

    @property
    def gke_accelerator(self) -> str:
        """Value of the node label `cloud.google.com/gke-tpu-accelerator`."""
        return self._family.gke

    @property
    def machine_type(self) -> str:
        """Of GKE's nodes, for example `ct5lp-hightpu-4t`."""
        return self._family.machine.format(self.chips_per_host)

    @property
    def dollars_per_hour(self) -> float:
        """List price of the whole slice; see `costs.chips.PRICES`."""
        return self.slice.chips * PRICES[self.slice.chip.name]

    def describe(self) -> str:
        """One line for people."""
        hosts = "1 host" if self.hosts == 1 else f"{self.hosts} hosts"
        return (
            f"{self.name} ({self.accelerator_type}, {self.machine_type}): "
            f"{self.slice.chips} chips on {hosts}, ${self.dollars_per_hour:.2f} an hour "
            "at the list price"
        )


def find_slice(text: str) -> CloudSlice:
    """The slice of a name, `v5e:4x4` or `v5litepod-16`.

    Raises:
        ConfigError: for a slice that is not rented, naming those nearest to it.
    """
    for rented in rented_slices():
        if text in (rented.name, rented.accelerator_type):
            return rented
    chosen = parse_slice(text)
    if chosen.chip.name not in _FAMILIES:
        raise ConfigError(
            f"topology {text!r}: no launcher for {chosen.chip.name}; expected one of "
            f"{', '.join(_FAMILIES)}"
        )
    near = sorted(
        (rented for rented in rented_slices() if rented.slice.chip is chosen.chip),
        key=lambda rented: abs(math.log(rented.slice.chips / chosen.chips)),
    )[:_NEAREST]
    raise ConfigError(
        f"topology {text!r}: Google Cloud rents no such slice; nearest to it are "
        + ", ".join(rented.name for rented in near)
    )


def rented_slices() -> list[CloudSlice]:
    """All slices that have an accelerator type, by chip and size."""
    found = []
    for chip, shapes in _SHAPES.items():
        for shape in shapes:
            chosen = parse_slice(f"{chip}:{shape}")
            alone = chip in ("v5e", "v6e") and chosen.chips in _ONE_HOST
            found.append(CloudSlice(chosen, chosen.chips if alone else _CHIPS_PER_HOST))
    return found
