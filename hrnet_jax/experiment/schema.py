"""The configuration of a run, with types."""

import dataclasses
from typing import Any

from hrnet_jax.config.keys import Key, keys_of
from hrnet_jax.config.options import read_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.phases import ExtraOptions
from hrnet_jax.experiment.sections import (
    CheckpointOptions,
    DatasetOptions,
    EvalOptions,
    LoggingOptions,
    MeshOptions,
    ModelOptions,
    OptimizerOptions,
    ScheduleOptions,
)
from hrnet_jax.registry import get_spec, get_task, task_names

# Sections that are options of the task: dotted key -> attribute of the task's class.
TASK_SECTIONS = {
    "loss": "Loss",
    "dataset.augmentation": "Augmentation",
    "eval.inference": "Inference",
}


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A whole run, read from a ConfigDict by `read_config`.

    Attributes:
        seed: of initial weights, order, augmentation and dropout.
        task: `segmentation`, `landmarks`, `pose`, `detection` or `classification`;
            `pyramid` predicts alone.
        loss: options of the task's loss.
        batch_size: global, over all devices and micro-batches.
        num_epochs: passes over the training set, whole batches only. Of a task that
            groups images (detection) a pass shows each at least once: the last batch
            of each group is filled up.
        num_steps: updates; wins over `num_epochs` when positive.
        precision: compute type, `float32` or `bfloat16`.
    """

    seed: int = 0
    task: str = "segmentation"
    model: ModelOptions = ModelOptions()
    dataset: DatasetOptions = DatasetOptions()
    # Any, here and in sections of the data set and the evaluation: which class it
    # is depends on the task.
    loss: Any = dataclasses.field(default_factory=dict)
    optimizer: OptimizerOptions = OptimizerOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    batch_size: int = 8
    num_epochs: int = 0
    num_steps: int = 0
    extra: ExtraOptions = ExtraOptions()
    eval: EvalOptions = EvalOptions()
    checkpoint: CheckpointOptions = CheckpointOptions()
    mesh: MeshOptions = MeshOptions()
    precision: str = "float32"
    logging: LoggingOptions = LoggingOptions()

    def __post_init__(self):
        if self.precision not in ("float32", "bfloat16"):
            raise ConfigError(
                f"config key 'precision' must be float32 or bfloat16, "
                f"got {self.precision!r}"
            )
        if self.batch_size < 1 or self.batch_size % self.optimizer.accumulate:
            raise ConfigError(
                f"config key 'batch_size' must be a positive multiple of "
                f"optimizer.accumulate={self.optimizer.accumulate}, "
                f"got {self.batch_size}"
            )


def read_config(config: Any, *, trainable: bool = False) -> TrainConfig:
    """Checks a configuration, sections of the task included.

    Args:
        config: a ConfigDict or nested dict with keys of `TrainConfig`. One that was
            read before is returned as it is.
        trainable: whether the task has to be one that can be trained, which is then
            found before the sections of another task are.

    Raises:
        ConfigError: for an unknown key or a value of the wrong type.
    """
    was_read = isinstance(config, TrainConfig)
    everywhere = [] if was_read else _key_names(config)
    options = (
        config if was_read else read_options(TrainConfig, config, everywhere=everywhere)
    )
    if trainable:
        check_trainable(options)
    if was_read:
        return options
    task = get_task(options.task)
    loss, augmentation, inference = (
        read_options(getattr(task, attribute), section, dotted, everywhere)
        for (dotted, attribute), section in zip(
            TASK_SECTIONS.items(),
            (options.loss, options.dataset.augmentation, options.eval.inference),
            strict=True,
        )
    )
    return dataclasses.replace(
        options,
        loss=loss,
        dataset=dataclasses.replace(options.dataset, augmentation=augmentation),
        eval=dataclasses.replace(options.eval, inference=inference),
    )


def keys_of_run(task: str) -> list[Key]:
    """Every key of a configuration, with its type and meaning.

    Raises:
        ConfigError: for an unknown task.
    """
    cls = get_task(task)
    sections = {key: getattr(cls, name) for key, name in TASK_SECTIONS.items()}
    return list(keys_of(TrainConfig, sections))


def _key_names(config: Any) -> list[str]:
    """Dotted keys that may be in a configuration, to find those meant by wrong ones."""
    task = config.get("task", TrainConfig.task) if hasattr(config, "get") else ""
    known = task if task in task_names() else TrainConfig.task
    return [key.dotted for key in keys_of_run(known)]


def check_trainable(config: TrainConfig) -> None:
    """Checks that the task has a loss and metrics.

    Raises:
        ConfigError: if it can only predict so far.
    """
    if not get_spec(config.task).trainable:
        able = task_names(trainable=True)
        raise ConfigError(
            f"config key 'task' is {config.task!r}, which predicts but cannot be "
            f"trained or evaluated yet; expected one of {', '.join(able)}"
        )
