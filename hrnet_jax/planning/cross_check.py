"""The roofline model against a clock, on this machine."""

import dataclasses
import statistics
from collections.abc import Callable

import jax

from hrnet_jax import runtime
from hrnet_jax.costs.machine import machine_of, make_probes, seconds_in_turns
from hrnet_jax.costs.roofline import Roofline
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.planning import abstract
from hrnet_jax.planning.datasets import DatasetFacts
from hrnet_jax.planning.experiment import build_experiment
from hrnet_jax.training.state import create_state

_ROUNDS = 9
_STEP = "train step"


@dataclasses.dataclass(frozen=True)
class CrossCheck:
    """A train step as predicted and as measured, on one device.

    Attributes:
        device: its kind.
        precision: of the products that the peak was measured with.
        roofline: measured peaks.
        operations: of the step, as the compiler counts them.
        bytes_accessed: of the step, as the compiler counts them.
        measured: seconds of a step, the median of several.
    """

    device: str
    precision: str
    roofline: Roofline
    operations: float
    bytes_accessed: float
    measured: float

    @property
    def compute(self) -> float:
        """Seconds of the operations at the measured peak."""
        return self.roofline.compute(self.operations)

    @property
    def memory(self) -> float:
        """Seconds of the bytes at the measured bandwidth."""
        return self.roofline.memory(self.bytes_accessed)

    @property
    def predicted(self) -> float:
        """Seconds of a step by the roofline."""
        return self.roofline.seconds(self.operations, self.bytes_accessed)

    def text(self) -> str:
        """All figures, for people."""
        bound = "memory" if self.memory >= self.compute else "compute"
        ratio = self.predicted / self.measured
        return (
            f"device      {self.device}\n"
            f"peak        {self.roofline.flops / 1e9:.4g} GFLOP/s, {self.precision} "
            "product\n"
            f"bandwidth   {self.roofline.bandwidth / 1e9:.4g} GB/s, large arrays\n"
            f"train step  {self.operations / 1e9:.4g} GFLOP, "
            f"{self.bytes_accessed / 1e9:.4g} GB accessed\n"
            f"predicted   {1e3 * self.predicted:.4g} ms ({bound}; compute "
            f"{1e3 * self.compute:.4g}, memory {1e3 * self.memory:.4g})\n"
            f"measured    {1e3 * self.measured:.4g} ms\n"
            f"predicted / measured  {ratio:.3f}, error {100 * (ratio - 1):+.0f} %\n"
        )


def cross_check(config: TrainConfig, facts: DatasetFacts) -> CrossCheck:
    """Predicts the time of an experiment's train step on one device, and measures it.

    The model is that of `costs.roofline` with measured peaks in place of published
    ones. Compiled as one program, because pieces have no common cost analysis.

    Args:
        config: of the experiment; `batch_size` is that of the one device.
        facts: of its data set.
    """
    step, analysis = _train_step(config, facts)
    probes = make_probes(config.precision)
    runs = {name: probe.run for name, probe in probes.items()}
    seconds = seconds_in_turns({_STEP: step, **runs}, _ROUNDS)
    return CrossCheck(
        device=jax.devices()[0].device_kind,
        precision=config.precision,
        roofline=machine_of(probes, seconds).roofline,
        operations=analysis["flops"],
        bytes_accessed=analysis["bytes accessed"],
        measured=statistics.median(seconds[_STEP]),
    )


def _train_step(
    config: TrainConfig, facts: DatasetFacts
) -> tuple[Callable[[], None], dict[str, float]]:
    """A train step on one device, ready to run, and the compiler's count of its work."""
    mesh = runtime.make_mesh(data=1)
    experiment = build_experiment(config, facts, mesh)
    task = experiment.task
    state = create_state(
        initial_variables(task.model, config.seed),
        experiment.optimizer,
        ema=experiment.keeps_average,
    )
    state = jax.device_put(state, runtime.replicated(mesh))
    batch = abstract.train_values(task, config.batch_size, mesh)
    compiled = experiment.train_step.trace(state, batch).lower().compile()

    def step() -> None:
        # The step takes the memory of the state before it.
        nonlocal state
        state = jax.block_until_ready(compiled(state, batch)[0])

    return step, compiled.cost_analysis()
