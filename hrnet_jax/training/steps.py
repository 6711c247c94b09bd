"""Number of steps of a run."""

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig


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
