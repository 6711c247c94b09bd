"""Executed kernels and the time each of them held the machine, from a profile.

`jax.profiler` writes what ran as "planes" of "lines" of events. On a CPU kernels
are events of the threads of the host's plane; many only start work that other
threads finish, and an event `end: <name>` tells when. A GPU has a plane of its own
with a line per stream, a TPU one with a line `XLA Ops`; of several devices the
first is read. Kernels of a CUDA graph carry the graph's name instead of their own
instruction's; the name of the function is close to it, but equal kernels share one.
Planes of a GPU were seen on an H200; of a TPU never, and are tested on made-up ones.
"""

import dataclasses
import glob
import os
import re
from collections.abc import Iterable, Sequence

import jax
import numpy as np

# Around every call that counts, in the plane of the host.
CALL = "profiled call"

_DEVICE = re.compile(r"/device:(GPU|TPU):\d+")
_OP_LINE = "XLA Ops"
_HLO_NAME = re.compile(r"%?([\w.-]+)")
# What XLA calls a CUDA graph.
_GRAPH = re.compile(r"command_buffer[._\d]*")


@dataclasses.dataclass(frozen=True)
class Execution:
    """One kernel that ran once.

    Attributes:
        name: of its instruction in the compiled program.
        program: id of the program, None where the trace does not say.
        start: nanoseconds on the clock of the trace.
        end: when its work was finished, on whatever thread.
    """

    name: str
    program: int | None
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Trace:
    """What ran: kernels and the calls they belong to, as (start, end) in ns."""

    executions: list[Execution]
    calls: list[tuple[float, float]]


def read_trace(folder: str | os.PathLike) -> Trace:
    """Reads what `jax.profiler.trace(folder)` has written.

    Raises:
        FileNotFoundError: if there is no profile in the folder.
    """
    pattern = os.path.join(folder, "**", "*.xplane.pb")
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise FileNotFoundError(f"no profile (*.xplane.pb) in {os.fspath(folder)}")
    return read_planes(jax.profiler.ProfileData.from_file(files[-1]).planes)


def read_planes(planes: Iterable) -> Trace:
    """Picks kernels and calls out of the planes of a profile.

    Args:
        planes: with `name` and `lines`, which have `name` and `events`, which have
            `name`, `start_ns`, `duration_ns` and `stats`.
    """
    planes = list(planes)
    calls = []
    host: list[Execution] = []
    devices: dict[str, list[Execution]] = {}
    for plane in planes:
        lines = list(plane.lines)
        if _DEVICE.fullmatch(plane.name):
            devices[plane.name] = _on_device(lines)
        elif plane.name.startswith("/host:"):
            calls += _calls(lines)
            host += _on_host(lines)
    busy = [name for name in sorted(devices) if devices[name]]
    executions = devices[busy[0]] if busy else host
    return Trace(sorted(executions, key=lambda one: one.start), sorted(calls))


def _calls(lines: Sequence) -> list[tuple[float, float]]:
    return [
        (event.start_ns, event.start_ns + event.duration_ns)
        for line in lines
        for event in line.events
        if event.name == CALL
    ]


def _on_host(lines: Sequence) -> list[Execution]:
    """Kernels of a CPU; each ends where its work ends, not where its event does."""
    found, ends = [], {}
    for line in lines:
        for event in line.events:
            if event.name.startswith("end: "):
                ends[dict(event.stats).get("_c")] = event.start_ns
                continue
            stats = dict(event.stats)
            if "hlo_op" in stats:
                end = event.start_ns + event.duration_ns
                found.append((stats, event.start_ns, end))
    return [
        Execution(
            stats["hlo_op"],
            stats.get("program_id"),
            start,
            max(end, ends.get(stats.get("_p"), end)),
        )
        for stats, start, end in found
    ]


def _on_device(lines: Sequence) -> list[Execution]:
    """Kernels of an accelerator: those of the line of operations, or of streams."""
    named = [line for line in lines if line.name == _OP_LINE]
    executions = []
    for line in named or [line for line in lines if line.name.startswith("Stream")]:
        for event in line.events:
            stats = dict(event.stats)
            name = stats.get("hlo_op")
            if not name or _GRAPH.fullmatch(name):
                match = _HLO_NAME.match(event.name)
                name = match[1] if match else event.name
            end = event.start_ns + event.duration_ns
            executions.append(
                Execution(name, stats.get("program_id"), event.start_ns, end)
            )
    return executions


def shares(
    executions: Sequence[Execution], start: float, end: float
) -> tuple[np.ndarray, float]:
    """Divides a span of wall time among the kernels that ran in it.

    A moment at which several kernels run belongs to all of them in equal parts,
    one at which none runs is waiting. So shares and waiting add up to the span.

    Args:
        executions: cut off at the ends of the span.
        start: of the span, nanoseconds.
        end: of the span.

    Returns:
        Seconds per execution, and seconds of waiting.
    """
    starts = np.clip([one.start for one in executions], start, end)
    ends = np.clip([one.end for one in executions], start, end)
    times = np.unique(np.concatenate([starts, ends, [start, end]]))
    first, last = np.searchsorted(times, starts), np.searchsorted(times, ends)
    changes = np.zeros(len(times), int)
    np.add.at(changes, first, 1)
    np.add.at(changes, last, -1)
    running = np.cumsum(changes)[:-1]
    lengths = np.diff(times)
    # The integral of 1 / running, which each kernel collects from start to end.
    portions = np.where(running > 0, lengths / np.maximum(running, 1), 0)
    collected = np.concatenate([[0.0], np.cumsum(portions)])
    waiting = float(np.sum(lengths[running == 0]))
    return (collected[last] - collected[first]) / 1e9, waiting / 1e9
