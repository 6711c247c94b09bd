"""Learning-rate schedules: step -> rate."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.experiment.sections import ScheduleOptions

Schedule = Callable[[jax.Array | int], jax.Array | float]


def make_schedule(
    options: ScheduleOptions, num_steps: int, batch_size: int = 0
) -> Schedule:
    """Rate of step i, counted from 0 for the first update, of `num_steps`.

    Args:
        options: of the schedule.
        num_steps: of the run.
        batch_size: of the run; matters where `reference_batch` is set.
    """
    factor = rate_factor(options, batch_size)
    rate, end = factor * options.learning_rate, factor * options.min_learning_rate
    warmup_steps = min(options.warmup_steps, int(options.warmup_limit * num_steps))
    after = max(1, num_steps - warmup_steps)
    if options.name == "poly":
        schedule = poly_schedule(
            rate, after, options.power, end, official_offset=options.official_offset
        )
    elif options.name == "cosine":
        schedule = optax.cosine_decay_schedule(rate, after, alpha=end / rate)
    elif options.name == "step":
        schedule = optax.piecewise_constant_schedule(
            rate,
            {
                round(fraction * num_steps) - warmup_steps: options.decay
                for fraction in options.boundaries
            },
        )
    else:
        schedule = optax.constant_schedule(rate)
    if not warmup_steps:
        return schedule
    start = rate * options.warmup_factor
    warmup = optax.linear_schedule(
        start, start if options.warmup == "constant" else rate, warmup_steps
    )
    return optax.join_schedules([warmup, schedule], [warmup_steps])


def schedule_of_run(config: TrainConfig, num_steps: int, extra: int) -> Schedule:
    """Rate of step i of a run, over both phases.

    The second begins anew from `extra.learning_rate`. With `official_offset` a rate is
    set after a step, and so the first step of the second phase has the rate that
    followed the last one of the first.

    Args:
        config: of the run.
        num_steps: of the first phase.
        extra: steps of the second, 0 for none.
    """
    first = make_schedule(config.schedule, num_steps, config.batch_size)
    if not extra:
        return first
    options = dataclasses.replace(
        config.schedule,
        learning_rate=config.extra.learning_rate,
        warmup_steps=0,
        official_offset=False,
    )
    second = make_schedule(options, extra, config.batch_size)
    lags = config.schedule.name == "poly" and config.schedule.official_offset
    return optax.join_schedules([first, second], [num_steps + lags])


def rate_factor(options: ScheduleOptions, batch_size: int) -> float:
    """What rates are multiplied by for the size of the batch.

    The linear scaling rule (Goyal et al. 2017, "Accurate, Large Minibatch SGD").
    """
    if not options.reference_batch or not batch_size:
        return 1.0
    return batch_size / options.reference_batch


def poly_schedule(
    rate: float,
    num_steps: int,
    power: float = 0.9,
    end: float = 0.0,
    *,
    official_offset: bool = False,
) -> Schedule:
    """rate * (1 - i / T) ** power, from `rate` down to `end`.

    The formula evaluated at the update's own index i = 0..T-1 never reaches
    zero. The official code (`adjust_learning_rate` in `lib/utils/utils.py`)
    sets the rate after each update from the index of that update, so updates 0
    and 1 both use the base rate and every later one lags by one step;
    `official_offset` reproduces that. Beyond T the rate stays at `end`.
    """

    def schedule(step):
        step = jnp.asarray(step)
        if official_offset:
            step = jnp.maximum(step - 1, 0)
        fraction = jnp.clip(1.0 - step / num_steps, 0.0, 1.0)
        return end + (rate - end) * fraction**power

    return schedule
