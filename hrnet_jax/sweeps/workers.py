"""Several workers on one host: processes that share its cores or its accelerators."""

import dataclasses
import glob
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

from hrnet_jax.config.children import Children, exit_code, show
from hrnet_jax.errors import ConfigError

# Exit code of a worker that was stopped with everything saved.
RUN_AGAIN = 75

# Tell a worker its number, its cores, and who started it.
_NUMBER = "HRNET_JAX_SWEEP_WORKER"
_CORES = "HRNET_JAX_SWEEP_CORES"
_PARENT = "HRNET_JAX_SWEEP_PARENT"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
# Who sets one of these has decided how processes share the memory of a GPU.
_SHARING = ("XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_MEM_FRACTION")
_INTERVAL = 0.1


@dataclasses.dataclass(frozen=True)
class Host:
    """What workers may share.

    Attributes:
        cores: numbers of processor cores; empty where the system does not tell.
        gpus: names for `CUDA_VISIBLE_DEVICES`.
        tpus: number of TPU chips.
    """

    cores: tuple[int, ...] = ()
    gpus: tuple[str, ...] = ()
    tpus: int = 0


def this_host() -> Host:
    """What this process may use, found without JAX, which would take it."""
    cores: tuple[int, ...] = ()
    if hasattr(os, "sched_getaffinity"):
        cores = tuple(sorted(os.sched_getaffinity(0)))
    if os.environ.get("JAX_PLATFORMS", "").startswith("cpu"):
        return Host(cores)
    count = len(glob.glob("/dev/nvidia[0-9]*"))
    gpus = tuple(map(str, range(count)))
    if count and _VISIBLE in os.environ:
        gpus = tuple(filter(None, os.environ[_VISIBLE].split(",")))
    tpus = len(glob.glob("/dev/accel[0-9]*"))
    if importlib.util.find_spec("libtpu"):
        # Newer hosts; elsewhere other devices have such names.
        tpus += len(glob.glob("/dev/vfio/[0-9]*"))
    return Host(cores, gpus, tpus)


def shares(
    count: int, host: Host, variables: Mapping[str, str]
) -> list[dict[str, str]]:
    """Environment variables of each worker.

    Args:
        count: number of workers.
        host: what they share.
        variables: of this process.

    Raises:
        ConfigError: if there is too little to share.
    """
    if count < 1:
        raise ConfigError(f"--workers is {count}, expected at least 1")
    if host.tpus and count > 1:
        raise ConfigError(
            f"--workers={count}, but a TPU belongs to one process; expected --workers=1, "
            "and the same command on every host (or JAX_PLATFORMS=cpu)"
        )
    told = any(name in variables for name in _SHARING)
    if host.gpus and count > len(host.gpus) and not told:
        raise ConfigError(
            f"--workers={count}, but {len(host.gpus)} GPU is there for them, whose "
            f"memory one process takes; expected --workers={len(host.gpus)} at most, or "
            "XLA_PYTHON_CLIENT_PREALLOCATE=false where they are to share it"
        )
    if host.cores and count > len(host.cores):
        raise ConfigError(
            f"--workers={count}, but this process may use {len(host.cores)} processor "
            f"cores; expected --workers={len(host.cores)} at most"
        )
    found = []
    for index in range(count):
        share = {_NUMBER: str(index), _PARENT: str(os.getpid())}
        if host.cores:
            share[_CORES] = ",".join(map(str, _part(host.cores, index, count)))
        if host.gpus:
            gpus = _part(host.gpus, index, count) or [host.gpus[index % len(host.gpus)]]
            share[_VISIBLE] = ",".join(gpus)
        found.append(share)
    return found


def _part(things: Sequence, index: int, count: int) -> list:
    """The part of one of `count`, as even as it goes."""
    first, last = (len(things) * k // count for k in (index, index + 1))
    return list(things[first:last])


def take_share() -> None:
    """What a process does first that is one of several workers; else nothing.

    Before JAX is imported, which has as many threads as the process has cores. A worker
    does not outlive the process that started it: it saves and ends as after SIGTERM.
    """
    cores = os.environ.get(_CORES)
    if cores:
        os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    parent = os.environ.get(_PARENT)
    if parent:
        threading.Thread(target=_follow, args=(int(parent),), daemon=True).start()


def is_one_of_several() -> bool:
    """Whether this process was started by `Workers`."""
    return _NUMBER in os.environ


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


class Workers:
    """Processes that run the same command, each with its share of the host.

    Args:
        command: of one worker.
        shares: environment variables of each.
    """

    def __init__(self, command: Sequence[str], shares: Sequence[Mapping[str, str]]):
        self._command = list(command)
        self._shares = shares
        self._children = Children()

    def run(self) -> int:
        """Runs all to their ends; hands on SIGTERM and Ctrl-C.

        One that fails or is killed does not end the others, which take up its trial.

        Returns:
            0 if a worker saw the sweep finished, 75 if all are to be run again, or the
            exit code of the first that failed.
        """
        self._children.hear_signals()
        readers = []
        try:
            for number, share in enumerate(self._shares):
                process = self._children.start(
                    self._command,
                    share,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
                if process is None:
                    break
                reader = threading.Thread(target=show, args=(number, process.stderr))
                reader.start()
                readers.append(reader)
            self._wait()
        finally:
            self._children.end()
        for reader in readers:
            reader.join()
        return self._code()

    def _wait(self) -> None:
        told: set[int] = set()
        while True:
            codes = [process.poll() for process in self._children.processes]
            for number, code in enumerate(codes):
                # Of others it has said itself why it ends.
                if code is None or code >= 0 or number in told:
                    continue
                told.add(number)
                goes_on = ", and its trial goes on in another" if None in codes else ""
                line = f"worker {number} was ended by signal {-code}{goes_on}\n"
                if self._children.signal is None:
                    sys.stderr.write(line)
            if None not in codes:
                return
            time.sleep(_INTERVAL)

    def _code(self) -> int:
        codes = [process.returncode for process in self._children.processes]
        if 0 in codes:
            return 0
        failed = [code for code in codes if code != RUN_AGAIN]
        if self._children.signal is not None or not failed:
            return RUN_AGAIN
        return exit_code(failed[0])
