"""The peaks of this machine: the two lines of its roofline, measured.

Arithmetic is a large matrix product, with and without the project's compiler options;
bandwidth is a triad `a + 2 b` and a copy of arrays much larger than any cache. The best
of each counts, so the roof is not that of one program in particular.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax import runtime
from hrnet_jax.costs.roofline import Roofline

# Sides of the product and elements of the arrays; an accelerator needs more to
# get up to speed.
_SIDE = {"cpu": 2048}
_ACCELERATOR_SIDE = 8192
_ELEMENTS = 2**26
# Tries stop at the first limit: other work on the machine must not hide the roof.
_TRIES = 20
_TRY_S = 1.0


@dataclasses.dataclass(frozen=True)
class Probe:
    """Something that reaches a peak of the machine.

    Attributes:
        run: does it and waits until it is done.
        flops: operations of one run; 0 where they are not the point.
        bytes: read and written in one run; 0 where they are not the point.
    """

    run: Callable[[], object]
    flops: int = 0
    bytes: int = 0


# Side of the matrices, their type, elements of the float32 arrays -> probes by name.
MakeProbes = Callable[[int, str, int], Mapping[str, Probe]]


@dataclasses.dataclass(frozen=True)
class Machine:
    """Peaks of the machine.

    Attributes:
        flops: highest FLOP/s, by probe.
        bandwidth: highest bytes/s, by probe.
    """

    flops: dict[str, float]
    bandwidth: dict[str, float]

    @property
    def roofline(self) -> Roofline:
        """The highest of both."""
        return Roofline(max(self.flops.values()), max(self.bandwidth.values()))

    def as_dict(self) -> dict:
        """For JSON; FLOP/s, bytes/s and where the two lines meet."""
        roof = self.roofline
        return dataclasses.asdict(self) | {
            "peak_flops": roof.flops,
            "peak_bandwidth": roof.bandwidth,
            "ridge_flops_per_byte": roof.ridge,
        }


def measure_machine(
    dtype: str,
    side: int | None = None,
    elements: int | None = None,
    more: MakeProbes | None = None,
) -> Machine:
    """Measures the device that JAX finds.

    Args:
        dtype: of the matrix product.
        side: of its square matrices; None chooses by backend.
        elements: of the float32 arrays that are copied; None for many.
        more: makes further probes.
    """
    probes = make_probes(dtype, side, elements, more)
    seconds: dict[str, list[float]] = {}
    for name, probe in probes.items():
        # One after the other: a probe keeps its threads and caches.
        seconds |= seconds_in_turns({name: probe.run}, _TRIES, _TRY_S)
    return machine_of(probes, seconds)


def make_probes(
    dtype: str,
    side: int | None = None,
    elements: int | None = None,
    more: MakeProbes | None = None,
) -> dict[str, Probe]:
    """The probes of `measure_machine`, by name."""
    side = side or _SIDE.get(jax.default_backend(), _ACCELERATOR_SIDE)
    elements = elements or _ELEMENTS
    probes = {**_products(side, dtype), **_copies(elements)}
    return probes if more is None else {**probes, **more(side, dtype, elements)}


def machine_of(
    probes: Mapping[str, Probe], seconds: Mapping[str, Sequence[float]]
) -> Machine:
    """The peaks that probes reached in their fastest runs.

    Args:
        probes: by name.
        seconds: of the runs of each probe, by the same names.
    """
    best = {name: min(seconds[name]) for name in probes}
    return Machine(
        {name: one.flops / best[name] for name, one in probes.items() if one.flops},
        {name: one.bytes / best[name] for name, one in probes.items() if one.bytes},
    )


def seconds_in_turns(
    functions: Mapping[str, Callable[[], object]],
    tries: int,
    limit_s: float = math.inf,
) -> dict[str, list[float]]:
    """Seconds of the calls of several functions.

    They take turns, so that other work on the machine slows all of them down alike.

    Args:
        functions: by name, each returning when its work is done. A first call of each
            does not count.
        tries: most calls of one function that count.
        limit_s: seconds after which a function gets no more turns.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()  # warm
    for _ in range(tries):
        for name, function in functions.items():
            if sum(seconds[name]) < limit_s:
                start = time.perf_counter()
                function()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _products(side: int, dtype: str) -> dict[str, Probe]:
    a, b = jax.random.normal(jax.random.key(0), (2, side, side), dtype)
    compiled = {
        "jax": runtime.jit(jnp.matmul).lower(a, b).compile(),
        "jax without options": jax.jit(jnp.matmul).lower(a, b).compile(),
    }
    return {
        name: Probe(functools.partial(_wait, program, a, b), flops=2 * side**3)
        for name, program in compiled.items()
    }


def _copies(elements: int) -> dict[str, Probe]:
    a = jnp.zeros(elements, jnp.float32)
    b = jnp.ones(elements, jnp.float32)
    triad = runtime.jit(lambda a, b: a + 2 * b).lower(a, b).compile()
    run = functools.partial(_wait, triad, a, b)
    copies = {"jax triad": Probe(run, bytes=12 * elements)}
    if jax.default_backend() == "cpu":
        source, target = np.asarray(b), np.zeros(elements, np.float32)
        run = functools.partial(np.copyto, target, source)
        copies["numpy copy"] = Probe(run, bytes=8 * elements)
    return copies


def _wait(program: Callable, *arguments: jax.Array) -> None:
    jax.block_until_ready(program(*arguments))
