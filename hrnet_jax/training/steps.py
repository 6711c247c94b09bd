"""Numbers of steps: of a run, and between its evaluations and saves."""

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.experiment.sections import UNSET, USUAL_STEPS


def total_steps(config: TrainConfig, examples: int) -> int:
    """Number of updates of a run.

    `num_steps` where positive; otherwise `num_epochs` times the number of
    whole batches in an epoch, as the official code counts.

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
    return config.num_epochs * (examples // config.batch_size)


def evaluation_interval(config: TrainConfig, num_steps: int, examples: int) -> int:
    """Steps between two evaluations of a run; 0 evaluates only at its end.

    Args:
        config: of the run.
        num_steps: of the run.
        examples: in the training split.
    """
    options = config.eval
    if options.every_epochs:
        return options.every_epochs * max(1, examples // config.batch_size)
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
