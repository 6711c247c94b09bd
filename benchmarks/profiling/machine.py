"""What this machine can do at most: the two lines of a roofline.

Both are measured in the same run as the profile. Arithmetic is a large matrix
product, by JAX with and without the project's compiler options and, where it is
installed, by PyTorch; bandwidth is a triad `a + 2 b` and a copy of arrays much
larger than any cache. The best of each counts, so the roof is nobody's in
particular.
"""

import dataclasses
import functools
import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import seconds
from hrnet_jax import runtime

# Sides of the product and elements of the arrays; an accelerator needs more to
# get up to speed.
_SIDE = {"cpu": 2048}
_ACCELERATOR_SIDE = 8192
_ELEMENTS = 2**26
# Tries stop at the first limit: other work on the machine must not hide the roof.
_TRIES = 20
_TRY_S = 1.0


@dataclasses.dataclass(frozen=True)
class Machine:
    """Limits of the machine.

    Attributes:
        flops: highest FLOP/s, by who reached them.
        bandwidth: highest bytes/s, by who reached them.
    """

    flops: dict[str, float]
    bandwidth: dict[str, float]

    @property
    def peak_flops(self) -> float:
        """FLOP/s of the flat part of the roof."""
        return max(self.flops.values())

    @property
    def peak_bandwidth(self) -> float:
        """Bytes/s of the sloping part."""
        return max(self.bandwidth.values())

    def roofline_seconds(self, flops: float, bytes_accessed: float) -> float:
        """The least time for so much work: of arithmetic or of memory."""
        return max(flops / self.peak_flops, bytes_accessed / self.peak_bandwidth)

    def attainable(self, intensity: float) -> float:
        """FLOP/s under the roof at an intensity in FLOPs per byte."""
        return min(self.peak_flops, intensity * self.peak_bandwidth)

    def as_dict(self) -> dict:
        """For JSON; FLOP/s, bytes/s and where the two lines meet."""
        return dataclasses.asdict(self) | {
            "peak_flops": self.peak_flops,
            "peak_bandwidth": self.peak_bandwidth,
            "ridge_flops_per_byte": self.peak_flops / self.peak_bandwidth,
        }


def measure_machine(
    dtype: str, side: int | None = None, elements: int = _ELEMENTS
) -> Machine:
    """Measures the device that JAX finds.

    Args:
        dtype: of the matrix product.
        side: of its square matrices; None chooses by backend.
        elements: of the float32 arrays that are copied.
    """
    side = side or _SIDE.get(jax.default_backend(), _ACCELERATOR_SIDE)
    products = _jax_products(side, dtype)
    if jax.default_backend() == "cpu" and (torch := _torch()):
        products["torch"] = _torch_product(torch, side, dtype)
    copies = _copies(elements)
    return Machine(
        {name: 2 * side**3 / _best(run) for name, run in products.items()},
        {name: moved / _best(run) for name, (moved, run) in copies.items()},
    )


def _best(function: Callable[[], object]) -> float:
    function()
    times = [seconds(function)]
    while len(times) < _TRIES and sum(times) < _TRY_S:
        times.append(seconds(function))
    return min(times)


def _jax_products(side: int, dtype: str) -> dict[str, Callable]:
    a, b = jax.random.normal(jax.random.key(0), (2, side, side), dtype)
    compiled = {
        "jax": runtime.jit(jnp.matmul).lower(a, b).compile(),
        "jax without options": jax.jit(jnp.matmul).lower(a, b).compile(),
    }
    return {
        name: functools.partial(_wait, program, a, b)
        for name, program in compiled.items()
    }


def _torch_product(torch, side: int, dtype: str) -> Callable:
    a, b = torch.randn(2, side, side, dtype=getattr(torch, dtype))
    return functools.partial(torch.mm, a, b)


def _copies(elements: int) -> dict[str, tuple[int, Callable]]:
    """By name: bytes moved, and what moves them."""
    a = jnp.zeros(elements, jnp.float32)
    b = jnp.ones(elements, jnp.float32)
    triad = runtime.jit(lambda a, b: a + 2 * b).lower(a, b).compile()
    copies = {"jax triad": (12 * elements, functools.partial(_wait, triad, a, b))}
    if jax.default_backend() == "cpu":
        source, target = np.asarray(b), np.zeros(elements, np.float32)
        run = functools.partial(np.copyto, target, source)
        copies["numpy copy"] = (8 * elements, run)
        if torch := _torch():
            x, y, z = torch.zeros(3, elements)
            run = functools.partial(torch.add, x, y, alpha=2, out=z)
            copies["torch triad"] = (12 * elements, run)
    return copies


def _wait(program: Callable, *arguments: jax.Array) -> None:
    jax.block_until_ready(program(*arguments))


def _torch():
    """PyTorch where it is installed: here it is only a second opinion."""
    try:
        import torch
    except ImportError:
        return None
    return torch


def median_seconds(function: Callable[[], object], budget_s: float) -> list[float]:
    """Times calls until a budget is spent, at least two and at most ten.

    Returns:
        Seconds per call. The first call before them does not count.
    """
    function()
    times = [seconds(function), seconds(function)]
    while len(times) < 10 and sum(times) + statistics.median(times) < budget_s:
        times.append(seconds(function))
    return times
