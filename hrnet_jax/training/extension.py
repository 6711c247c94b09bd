"""Going on past the end of a run."""

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.training.build import Run
from hrnet_jax.training.schedules import Schedule, make_schedule
from hrnet_jax.training.steps import total_steps

# Keys that may differ from those of the run that is extended.
LENGTH_KEYS = ("num_epochs", "num_steps", "schedule.boundaries")


def check_extension(run: Run, previous: TrainConfig) -> None:
    """Checks that a run is the beginning of a longer one.

    It is where the learning rates of its steps are those of the longer one: with
    `constant`, with or without a warm-up, and with `step` where `schedule.boundaries`,
    fractions of the run, are given anew so that they are at the same steps. All else
    that a step depends on (order, augmentation, dropout) is counted in steps anyway.

    Args:
        run: the longer one.
        previous: configuration of the one that is to be extended.

    Raises:
        ConfigError: if it is no longer, or learns at other rates.
    """
    if run.config.extra.split:
        raise ConfigError(
            "a run with a second phase (extra.split) cannot be extended: that begins "
            "where the first ends. Another work directory with model.init_from goes on "
            "with the weights of this run"
        )
    before = total_steps(previous, len(run.train_records), run.train_groups)
    if run.num_steps <= before:
        raise ConfigError(
            f"a run of {before} steps is extended by num_steps or num_epochs that "
            f"make more, got {run.num_steps} steps"
        )
    old = _rates(make_schedule(previous.schedule, before, previous.batch_size), before)
    new = _rates(run.schedule, before)
    if (old != new).any():
        step = np.argmax(np.abs(old - new))
        raise ConfigError(
            f"schedule.name={run.config.schedule.name} cannot be extended from {before} "
            f"to {run.num_steps} steps: the rate of step {step} would have been "
            f"{new[step]:.4g}, and was {old[step]:.4g}; expected 'constant', or 'step' "
            "with schedule.boundaries at the same steps. Another work directory with "
            "model.init_from begins a new schedule with the weights of this run"
        )


def _rates(schedule: Schedule, steps: int) -> np.ndarray:
    """Learning rates of the first steps, float32 [steps]."""

    def rate(step: jax.Array) -> jax.Array:
        return jnp.asarray(schedule(step), jnp.float32)

    return np.asarray(jax.vmap(rate)(jnp.arange(steps)))
