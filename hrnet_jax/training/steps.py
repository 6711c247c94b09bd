"""Numbers of steps: of a run, and between its evaluations and saves."""

import dataclasses

import numpy as np

from hrnet_jax.data.stream.grouping import steps_per_epoch
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.experiment.sections import UNSET, USUAL_STEPS


def epoch_steps(
    batch_size: int, examples: int, groups: np.ndarray | None = None
) -> int:
    """Updates in an epoch: whole batches, as the official code counts.

    Args:
        batch_size: of the run.
        examples: in the training split.
        groups: of each example, where batches do not mix them; then the last batch of
            each group, which is filled up, counts as well (`data.stream.grouping`).
    """
    if groups is not None:
        return steps_per_epoch(groups, batch_size)
    return max(1, examples // batch_size)


def total_steps(
    config: TrainConfig, examples: int, groups: np.ndarray | None = None
) -> int:
    """Number of updates of a run.

    `num_steps` where positive; otherwise `num_epochs` epochs.

    Args:
        config: of the run.
        examples: in the training split.
        groups: see `epoch_steps`.

    Raises:
        ConfigError: if both are zero, or the set is smaller than a batch.
    """
    if config.num_steps > 0:
        return config.num_steps
    if config.num_epochs < 1:
        raise ConfigError("one of 'num_steps' and 'num_epochs' must be positive")
    if examples < config.batch_size:
        raise ConfigError(
            f"config key 'batch_size' is {config.batch_size}, but the training split "
            f"has only {examples} examples; set num_steps or a smaller batch"
        )
    return config.num_epochs * epoch_steps(config.batch_size, examples, groups)


def extra_steps(
    config: TrainConfig, examples: int, groups: np.ndarray | None = None
) -> int:
    """Number of updates of a run's second phase, 0 without one.

    Args:
        config: of the run.
        examples: in the split of that phase.
        groups: see `epoch_steps`.

    Raises:
        ConfigError: if the split is smaller than a batch.
    """
    if not config.extra.split:
        return 0
    phase = dataclasses.replace(
        config, num_epochs=config.extra.num_epochs, num_steps=config.extra.num_steps
    )
    return total_steps(phase, examples, groups)


def evaluation_interval(config: TrainConfig, num_steps: int, epoch: int) -> int:
    """Steps between two evaluations of a run; 0 evaluates only at its end.

    Args:
        config: of the run.
        num_steps: of the run.
        epoch: steps of an epoch.
    """
    options = config.eval
    if options.every_epochs:
        return options.every_epochs * epoch
    if options.every_steps != UNSET:
        return options.every_steps
    longest = max(1, num_steps // options.least) if options.least else num_steps
    return min(USUAL_STEPS, longest)


def save_interval(config: TrainConfig) -> int:
    """Steps between two saves of a run; 0 where minutes are counted instead."""
    options = config.checkpoint
    if options.every_minutes:
        return 0
    return USUAL_STEPS if options.every_steps == UNSET else options.every_steps
