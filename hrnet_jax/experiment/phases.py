"""Options of a second phase of training."""

import dataclasses

from hrnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class ExtraOptions:
    """A second phase on other data, which continues the first.

    Weights, statistics and the optimizer's state are those that the first phase ends
    with; the schedule begins anew, without a warm-up. Source: `EXTRA_EPOCH` and
    `EXTRA_LR` of HRNet-Semantic-Segmentation.

    Attributes:
        split: split to train on, such as `trainval`; empty for no second phase. If the
            evaluation split is part of it, its metrics no longer rank checkpoints.
        learning_rate: base rate, as `schedule.learning_rate` is of the first phase.
        num_epochs: passes over the split.
        num_steps: updates; wins over `num_epochs` when positive.
    """

    split: str = ""
    learning_rate: float = 0.001
    num_epochs: int = 0
    num_steps: int = 0

    def __post_init__(self):
        if min(self.num_epochs, self.num_steps) < 0 or self.learning_rate <= 0:
            raise ConfigError(
                "config keys of 'extra' must be a positive learning_rate, and "
                "num_epochs and num_steps of at least 0; got "
                f"{self.learning_rate}, {self.num_epochs} and {self.num_steps}"
            )
        length = max(self.num_epochs, self.num_steps)
        if self.split and not length:
            raise ConfigError(
                f"config key 'extra.split' is {self.split!r}, so one of "
                "'extra.num_epochs' and 'extra.num_steps' must be positive"
            )
        if length and not self.split:
            raise ConfigError(
                "config keys 'extra.num_epochs' and 'extra.num_steps' are set, but "
                "'extra.split' is empty; name the split of the second phase"
            )
