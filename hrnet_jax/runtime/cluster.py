"""Whether this process is one of those of a TPU slice, as its surroundings say.

What JAX reads to find the other processes (`jax.distributed.initialize` without
arguments) is looked at here first, to know whether there are others at all:

| variable | who sets it | meaning |
|---|---|---|
| `TPU_WORKER_HOSTNAMES`, `TPU_PROCESS_ADDRESSES` | GKE | hosts of the slice |
| `TPU_WORKER_ID` | GKE | which of them this is |
| `MEGASCALE_COORDINATOR_ADDRESS` | Cloud TPU, JobSet | host 0 of several slices |
| `MEGASCALE_NUM_SLICES`, `MEGASCALE_SLICE_ID` | the same | how many, and which |
| `TPU_ML_PLATFORM` | JAX, where it finds TPUs | the metadata server may be asked |
| `TPU_SKIP_MDS_QUERY` | JAX, where it finds none | it may not |
| `JAX_PLATFORMS` | users | without `tpu`, nothing of this counts |

A Cloud TPU VM has none of the first five: there the metadata server names the hosts.
"""

import urllib.request
from collections.abc import Mapping

from hrnet_jax.errors import ConfigError

HOSTS = ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES")
WORKER = "TPU_WORKER_ID"
COORDINATOR = "MEGASCALE_COORDINATOR_ADDRESS"
SLICES = "MEGASCALE_NUM_SLICES"
SLICE = "MEGASCALE_SLICE_ID"
HAS_TPU = "TPU_ML_PLATFORM"
NO_METADATA = "TPU_SKIP_MDS_QUERY"

# Seconds for an answer of a server that is on the same machine.
_PATIENCE = 3
_ENDPOINTS = "computeMetadata/v1/instance/attributes/worker-network-endpoints"


def has_several_processes(environment: Mapping[str, str]) -> bool:
    """Whether others work on the same slice, or on slices that belong together.

    False on every machine without TPUs, unless these variables are set there.

    Raises:
        ConfigError: naming the variable, where only a part of them is set.
    """
    platforms = environment.get("JAX_PLATFORMS", "")
    if platforms and "tpu" not in platforms.split(","):
        return False
    slices = _slices(environment)
    hosts = _hosts(environment)
    if slices > 1 or len(hosts) > 1:
        return True
    if hosts or HAS_TPU not in environment or NO_METADATA in environment:
        return False
    return _hosts_of_tpu_vm(environment) > 1


def _slices(environment: Mapping[str, str]) -> int:
    """How many slices belong together; 1 where nothing is said."""
    named = [name for name in (COORDINATOR, SLICES, SLICE) if environment.get(name)]
    if not named:
        return 1
    for name in (SLICES, SLICE):
        if not environment.get(name, "").isdigit():
            raise ConfigError(
                f"{name}={environment.get(name, '')!r} beside {named[0]}; expected a "
                f"number: several slices need {COORDINATOR}, {SLICES} and {SLICE} "
                "(HRNET_JAX_PROCESSES=1: this process alone)"
            )
    count, index = int(environment[SLICES]), int(environment[SLICE])
    if index >= max(count, 1):
        raise ConfigError(f"{SLICE}={index}; expected a number below {SLICES}={count}")
    if count > 1 and not environment.get(COORDINATOR):
        raise ConfigError(
            f"{COORDINATOR} is missing beside {SLICES}={count}; expected the address "
            "of host 0 of slice 0 (HRNET_JAX_PROCESSES=1: this process alone)"
        )
    return max(count, 1)


def _hosts(environment: Mapping[str, str]) -> list[str]:
    """The hosts of this slice; empty where no variable names them."""
    name = next((name for name in HOSTS if environment.get(name)), None)
    worker = environment.get(WORKER, "")
    if name is None:
        if worker.isdigit() and int(worker):
            raise ConfigError(
                f"{HOSTS[1]} is missing beside {WORKER}={worker}; expected the hosts "
                "of the slice, which GKE sets for pods of a headless service "
                "(HRNET_JAX_PROCESSES=1: this process alone)"
            )
        return []
    hosts = environment[name].split(",")
    if len(hosts) > 1 and not (worker.isdigit() and int(worker) < len(hosts)):
        raise ConfigError(
            f"{WORKER}={worker!r} beside {len(hosts)} hosts in {name}; expected a "
            f"number below {len(hosts)} (HRNET_JAX_PROCESSES=1: this process alone)"
        )
    return hosts


def _hosts_of_tpu_vm(environment: Mapping[str, str]) -> int:
    """Hosts that the metadata server of a Cloud TPU VM names; 1 where it names none."""
    server = environment.get("GCE_METADATA_IP", "metadata.google.internal")
    request = urllib.request.Request(
        f"http://{server}/{_ENDPOINTS}", headers={"Metadata-Flavor": "Google"}
    )
    # It is not behind a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_PATIENCE) as answer:
            return len(answer.read().decode().split(","))
    except (OSError, ValueError):
        return 1
