"""The roofline model against a clock, on the machine at hand."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hrnet_jax import runtime
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.planning import abstract
from hrnet_jax.planning.datasets import Facts
from hrnet_jax.planning.experiment import build_experiment
from hrnet_jax.training.config import TrainConfig
from hrnet_jax.training.state import create_state

# Sides of the measured product and sum. On a CPU the sum must not fit into caches.
_PRODUCT = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
_SUM = {"cpu": 2**26, "gpu": 2**28, "tpu": 2**28}
_ROUNDS = 9

# A function of one argument, and its first.
Carrying = tuple[Callable[[Any], Any], Any]


@dataclasses.dataclass(frozen=True)
class CrossCheck:
    """A train step as predicted and as measured, on one device.

    Attributes:
        device: its kind.
        precision: of the products that the peak was measured with.
        flops: measured operations a second of a large product.
        bandwidth: measured bytes a second of a large sum.
        operations: of the step, as the compiler counts them.
        bytes_accessed: of the step, as the compiler counts them.
        measured: seconds of a step, the median of several.
    """

    device: str
    precision: str
    flops: float
    bandwidth: float
    operations: float
    bytes_accessed: float
    measured: float

    @property
    def compute(self) -> float:
        """Seconds of the operations at the measured peak."""
        return self.operations / self.flops

    @property
    def memory(self) -> float:
        """Seconds of the bytes at the measured bandwidth."""
        return self.bytes_accessed / self.bandwidth

    @property
    def predicted(self) -> float:
        """Seconds of a step by the roofline."""
        return max(self.compute, self.memory)

    def text(self) -> str:
        """What was found, for people."""
        bound = "memory" if self.memory >= self.compute else "compute"
        ratio = self.predicted / self.measured
        return (
            f"device      {self.device}\n"
            f"peak        {self.flops / 1e9:.4g} GFLOP/s, {self.precision} product\n"
            f"bandwidth   {self.bandwidth / 1e9:.4g} GB/s, sum of two arrays\n"
            f"train step  {self.operations / 1e9:.4g} GFLOP, "
            f"{self.bytes_accessed / 1e9:.4g} GB accessed\n"
            f"predicted   {1e3 * self.predicted:.4g} ms ({bound}; compute "
            f"{1e3 * self.compute:.4g}, memory {1e3 * self.memory:.4g})\n"
            f"measured    {1e3 * self.measured:.4g} ms\n"
            f"predicted / measured  {ratio:.3f}, error {100 * (ratio - 1):+.0f} %\n"
        )


def cross_check(config: TrainConfig, facts: Facts) -> CrossCheck:
    """Predicts the time of an experiment's train step on one device, and measures it.

    The model is that of `roofline.times` with measured peaks in place of published
    ones. Compiled as one program, because pieces have no common cost analysis.

    Args:
        config: of the experiment; `batch_size` is that of the one device.
        facts: of its data set.
    """
    device = jax.devices()[0]
    mesh = runtime.make_mesh(data=1)
    experiment = build_experiment(config, facts, mesh)
    task = experiment.task
    state = create_state(
        initial_variables(task.model, config.seed),
        experiment.optimizer,
        ema=experiment.keeps_average,
    )
    state = jax.device_put(state, runtime.replicated(mesh))
    shapes = abstract.train_batch(task, config.batch_size, mesh)
    batch = jax.tree.map(
        lambda leaf: jax.device_put(jnp.zeros(leaf.shape, leaf.dtype), leaf.sharding),
        shapes,
    )
    compiled = experiment.train_step.trace(state, batch).lower().compile()
    analysis = compiled.cost_analysis()
    precision, side, length = (
        config.precision,
        _PRODUCT[device.platform],
        _SUM[device.platform],
    )
    seconds = medians(
        {
            "step": (lambda carried: compiled(carried, batch)[0], state),
            "product": large_product(side, precision),
            "sum": large_sum(length),
        }
    )
    return CrossCheck(
        device=device.device_kind,
        precision=precision,
        flops=2 * side**3 / seconds["product"],
        bandwidth=3 * 4 * length / seconds["sum"],
        operations=analysis["flops"],
        bytes_accessed=analysis["bytes accessed"],
        measured=seconds["step"],
    )


def large_product(side: int, precision: str) -> Carrying:
    """A product of square matrices: 2 * side**3 operations."""
    # Arguments, all of them: the compiler would look into constants.
    product = jax.jit(lambda x, y: x @ y)
    matrix = jnp.full((side, side), 1 / side, precision)
    return lambda x: product(x, matrix), matrix


def large_sum(length: int) -> Carrying:
    """A sum of two float32 arrays: two read, one written."""
    # In place: a fresh result would be mapped page by page while the clock runs.
    added = jax.jit(lambda x, y: x + y, donate_argnums=0)
    other = jnp.ones(length, jnp.float32)
    return lambda x: added(x, other), jnp.ones(length, jnp.float32)


def medians(functions: dict[str, Carrying]) -> dict[str, float]:
    """Median seconds of a call of each function.

    They take turns, so that other work on the machine slows all of them down alike.

    Args:
        functions: name -> function and first argument; the next calls take what the
            one before returned.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    carried = {
        name: jax.block_until_ready(function(first))  # warm
        for name, (function, first) in functions.items()
    }
    for _ in range(_ROUNDS):
        for name, (function, _) in functions.items():
            start = time.perf_counter()
            carried[name] = jax.block_until_ready(function(carried[name]))
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
