"""Shared parts of the benchmarks: cases, clocks, environment."""

import dataclasses
import os
import platform
import re
import statistics
import time
from collections.abc import Callable

import jax
import jaxlib

MODES = ("infer", "train")

# Long enough for the other framework's threads to stop spinning and sleep.
_PAUSE_S = 0.02


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to time.

    Attributes:
        model: name for `create_model`.
        mode: `infer` (the forward pass) or `train` (one whole update).
        batch: images per call.
        height: of the images, in pixels.
        width: of the images, in pixels.
    """

    model: str
    mode: str
    batch: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.model}:{self.mode}:{self.batch}x{self.height}x{self.width}"

    @property
    def family(self) -> str:
        """`segmentation`, `classification`, `landmarks`, `pose` or `pyramid`."""
        return self.model.split("/")[0]


def parse_case(text: str) -> Case:
    """Reads `[family/]variant:mode:BxHxW`, for example `w18:infer:1x256x512`.

    The family is `segmentation` where none is given.

    Raises:
        ValueError: saying what was expected.
    """
    match = re.fullmatch(r"([\w/]+):(\w+):(\d+)x(\d+)x(\d+)", text)
    if match is None or match[2] not in MODES:
        raise ValueError(
            f"cannot read case {text!r}; expected [family/]variant:mode:BxHxW "
            f"with mode one of {', '.join(MODES)}, such as w18:infer:1x256x512"
        )
    model = match[1] if "/" in match[1] else f"segmentation/{match[1]}"
    return Case(model, match[2], *(int(number) for number in match.groups()[2:]))


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call; the function itself waits for its results."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def seconds_within(function: Callable[[], object], budget_s: float) -> list[float]:
    """Times calls until a budget is spent, at least two and at most ten.

    Returns:
        Seconds per call. The first call before them does not count.
    """
    function()
    times = [seconds(function), seconds(function)]
    while len(times) < 10 and sum(times) + statistics.median(times) < budget_s:
        times.append(seconds(function))
    return times


def alternate(
    runners: dict[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int,
    settle: bool = True,
) -> dict[str, list[float]]:
    """Times several functions in turns, so that drifting load hits all alike.

    Every turn starts with a pause and one call that does not count, which
    brings the function's threads, caches and memory back. The order turns
    around from round to round.

    Args:
        runners: functions by name, each returning when its work is done.
        rounds: turns per function.
        calls: calls per turn that count.
        settle: whether there is the call that does not count; calls of seconds can
            do without.

    Returns:
        By name one number per round: the median of its calls, in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in runners}
    for index in range(rounds):
        names = list(runners) if index % 2 == 0 else list(runners)[::-1]
        for name in names:
            time.sleep(_PAUSE_S)
            if settle:
                runners[name]()
            turn = [seconds(runners[name]) for _ in range(calls)]
            times[name].append(statistics.median(turn))
    return times


def summary(rounds: list[float]) -> dict[str, float]:
    """Median and minimum of the rounds, in seconds."""
    return {"median_s": statistics.median(rounds), "min_s": min(rounds)}


def speed_ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times as fast we are: the median over rounds of theirs / ours."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def environment() -> dict:
    """Versions and the machine a result belongs to."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "backend": device.platform,
        "device_kind": device.device_kind,
        "devices": jax.device_count(),
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "load_average_1min": os.getloadavg()[0],
    }


def _processor() -> str:
    """Name of the processor where the system tells it."""
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except FileNotFoundError:
        pass
    return platform.processor() or platform.machine()
