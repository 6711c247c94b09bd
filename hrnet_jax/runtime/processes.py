"""Several processes that work as one: joining, exchanging rows, agreeing.

Three environment variables say that a process is one of several; without the first
it works alone, except where a TPU slice has several hosts.

| variable | meaning |
|---|---|
| `HRNET_JAX_PROCESSES` | how many there are, or `auto`: JAX finds its cluster |
| `HRNET_JAX_PROCESS` | which of them this is, from 0 |
| `HRNET_JAX_COORDINATOR` | `host:port` where process 0 will listen |

`auto` needs no others: JAX reads them from Cloud TPU pods, GKE, Slurm and Open MPI. On
Cloud TPU and GKE it is the default (`runtime.cluster`), and `1` asks to work alone.
`scripts/launch/local.py` sets all of them. See docs/scaling.md.
"""

import contextlib
import hashlib
import ipaddress
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from hrnet_jax.errors import ConfigError
from hrnet_jax.runtime import cluster

PROCESSES = "HRNET_JAX_PROCESSES"
PROCESS = "HRNET_JAX_PROCESS"
COORDINATOR = "HRNET_JAX_COORDINATOR"
# Process id of the launcher; who has lost it ends.
LAUNCHER = "HRNET_JAX_LAUNCHER"


def join(*, saves_on_sigterm: bool = False) -> None:
    """Makes this process one of several, if its environment says so.

    To be called before anything else asks JAX for devices. Waits for the others.

    Args:
        saves_on_sigterm: SIGTERM is noticed by all processes, for
            `training.interruption`; otherwise it ends this one.

    Raises:
        ConfigError: for variables that do not fit, and where there is no cluster.
    """
    place = place_from(os.environ)
    if place is None:
        return
    _end_with_launcher()
    # Collectives between CPUs of several processes; other devices have their own.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(**place)
    except (ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{PROCESSES}={os.environ.get(PROCESSES) or 'auto'}: the processes cannot meet "
            f"({reason}); expected {COORDINATOR} that all of them reach, or a "
            "cluster that JAX knows"
        ) from error
    # Connects all of them now.
    with _silent_stdout():
        multihost_utils.sync_global_devices("joined")
    if jax.process_count() > 1 and not saves_on_sigterm:
        # JAX's preemption service took the signal over, and would wait to be asked
        # about it.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def place_from(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Arguments of `jax.distributed.initialize`; None for a process alone.

    Raises:
        ConfigError: naming the variable that is missing or wrong.
    """
    stated = environment.get(PROCESSES, "")
    if stated == "1":
        return None
    if not stated:
        return {} if cluster.has_several_processes(environment) else None
    if stated == "auto":
        return {}
    count = _number(PROCESSES, stated, "a positive number or auto")
    if not count:
        raise ConfigError(f"{PROCESSES}=0; expected a positive number or auto")
    expected = f"a number below {PROCESSES}={count}"
    index = _number(PROCESS, environment.get(PROCESS, ""), expected)
    if index >= count:
        raise ConfigError(f"{PROCESS}={index}; expected {expected}")
    address = environment.get(COORDINATOR, "")
    host, colon, port = address.rpartition(":")
    if not host or not colon or not port.isdigit():
        raise ConfigError(
            f"{COORDINATOR}={address!r}; expected host:port of process 0, the same "
            "for all processes"
        )
    place = {
        "coordinator_address": address,
        "num_processes": count,
        "process_id": index,
    }
    if _is_loopback(host):
        # JAX would listen to the whole network.
        place["coordinator_bind_address"] = address
    return place


def _number(name: str, text: str, expected: str) -> int:
    if not text.isdigit():
        raise ConfigError(f"{name}={text!r}; expected {expected}")
    return int(text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _end_with_launcher() -> None:
    """Ends this process when the launcher that started it is gone."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is None:
        return

    def watch() -> None:
        while os.getppid() == int(launcher):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="launcher", daemon=True).start()


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """Keeps standard output for results: Gloo prints there whom it connected."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def is_first() -> bool:
    """Whether this is the process that writes files and prints."""
    return jax.process_index() == 0


def gather_rows(arrays: Any) -> Any:
    """Whole arrays, on every process, of arrays whose rows are divided.

    Every process has to call it, with a tree of the same structure.

    Args:
        arrays: a tree of global arrays.

    Returns:
        The tree, of NumPy arrays.
    """
    if jax.process_count() > 1:
        arrays = multihost_utils.process_allgather(arrays, tiled=True)
    return jax.tree.map(np.asarray, arrays)


def gather_names(names: Sequence[str], rows: jax.Array) -> list[str]:
    """Names of all rows, on every process.

    Args:
        names: of the rows that this process brought.
        rows: a global array with these rows, made by `data.stream.feeding`.

    Returns:
        One name for each row of `rows`, in their order.
    """
    names = [str(name) for name in names]
    if jax.process_count() == 1:
        return names
    # Only arrays travel, and of one shape.
    encoded = [name.encode() for name in names]
    longest = np.max([len(name) for name in encoded], initial=1)
    width = int(np.max(multihost_utils.process_allgather(np.int32(longest))))
    table = np.zeros((len(names), width), np.uint8)
    for row, name in zip(table, encoded, strict=True):
        row[: len(name)] = np.frombuffer(name, np.uint8)
    # [processes, rows of each, width]
    tables = np.asarray(multihost_utils.process_allgather(table))
    # Any: jaxlib has no types.
    indices: Mapping[Any, Any] = rows.sharding.devices_indices_map(rows.shape)
    owners = {
        (index[0].start or 0): device.process_index for device, index in indices.items()
    }
    return [bytes(row).rstrip(b"\0").decode() for row in in_row_order(tables, owners)]


def gather_dealt(texts: Sequence[str], count: int) -> list[str]:
    """All of `count` texts, on every process, of which each made its share.

    Args:
        texts: of process p number p, p + P, p + 2 P, ... of P processes.
        count: of all.
    """
    processes = jax.process_count()
    if processes == 1:
        return [*texts]
    encoded = [text.encode() for text in texts]
    longest = np.max([len(text) for text in encoded], initial=1)
    width = int(np.max(multihost_utils.process_allgather(np.int32(longest))))
    table = np.zeros((-(-count // processes), width), np.uint8)
    for row, text in zip(table, encoded, strict=False):
        row[: len(text)] = np.frombuffer(text, np.uint8)
    # [processes, rows of each, width]
    tables = np.asarray(multihost_utils.process_allgather(table))
    rows = (tables[index % processes, index // processes] for index in range(count))
    return [bytes(row).rstrip(b"\0").decode() for row in rows]


def in_row_order(tables: np.ndarray, owners: Mapping[int, int]) -> np.ndarray:
    """Puts rows that were gathered process by process into their global order.

    On TPUs neighbours in a mesh need not belong to the same host.

    Args:
        tables: [P, N, ...], the rows of each of P processes, in their order.
        owners: first row of each equally large block -> the process that has it.

    Returns:
        [P * N, ...].
    """
    blocks = [owners[start] for start in sorted(owners)]
    height = tables.shape[0] * tables.shape[1] // len(blocks)
    taken = [0] * len(tables)
    ordered = []
    for owner in blocks:
        ordered.append(tables[owner, taken[owner] : taken[owner] + height])
        taken[owner] += height
    return np.concatenate(ordered)


def as_first_says(answer: bool) -> bool:
    """The answer of process 0, on every process; waits for them."""
    if jax.process_count() == 1:
        return answer
    return bool(multihost_utils.broadcast_one_to_all(np.bool_(answer)))


def check_equal(what: str, text: str) -> None:
    """Checks that all processes have the same; waits for them.

    Raises:
        ConfigError: on every process, naming one that differs from process 0.
    """
    if jax.process_count() == 1:
        return
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    digests = np.asarray(multihost_utils.process_allgather(digest))
    different = np.flatnonzero((digests != digests[0]).any(1))
    if different.size:
        raise ConfigError(
            f"process {different[0]} has another {what} than process 0; expected the "
            "same for all"
        )


def check_mesh(mesh: Mesh) -> None:
    """Checks that each process has its share of a mesh, in whole images.

    Raises:
        ConfigError: naming the axis and the process.
    """
    count = jax.process_count()
    owners = np.vectorize(lambda device: device.process_index)(mesh.devices)
    shares = np.bincount(owners.ravel(), minlength=count)
    data, space = mesh.shape["data"], mesh.shape["space"]
    if (shares != shares[0]).any():
        raise ConfigError(
            f"mesh.data={data} times mesh.space={space} takes {shares.min()} devices "
            f"of process {shares.argmin()} and {shares.max()} of process "
            f"{shares.argmax()}; expected as many of each of the {count} processes "
            "(mesh.data=-1 takes all)"
        )
    if (owners != owners[:, :1]).any():
        raise ConfigError(
            f"mesh.space={space} divides images among processes, which have "
            f"{shares[0]} devices each; expected a divisor of that"
        )
