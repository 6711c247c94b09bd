"""The steps of an experiment, built for any mesh."""

import dataclasses
from typing import Any

import optax
from jax.sharding import Mesh

from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.planning.datasets import DatasetFacts
from hrnet_jax.registry import lanes_for
from hrnet_jax.tasks.protocol import Trains, groups_images
from hrnet_jax.tasks.teachers import NamesTeacher
from hrnet_jax.training.build import build_task
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.schedules import schedule_of_run
from hrnet_jax.training.step import StepFn, make_train_step
from hrnet_jax.training.steps import epoch_steps, extra_steps, total_steps


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The parts of a training run, without data and weights.

    Attributes:
        config: of the run.
        task: with its network.
        num_steps: updates of the whole schedule.
        epoch_steps: updates of an epoch.
        optimizer: of the train step.
        train_step: jitted for the mesh, not compiled.
    """

    config: TrainConfig
    task: Trains
    num_steps: int
    epoch_steps: int
    optimizer: optax.GradientTransformation
    train_step: StepFn

    @property
    def keeps_average(self) -> bool:
        """Whether the state holds a second copy of the weights."""
        return self.config.optimizer.ema_decay > 0


def build_experiment(
    config: TrainConfig, facts: DatasetFacts, mesh: Mesh
) -> Experiment:
    """Builds task, schedule, optimizer and train step as `training` does.

    A teacher (`loss.teacher`) is left out.

    Raises:
        ConfigError: for values that do not fit together.
    """
    if config.model.lanes is None:
        # As on the chips, not as on the machine that plans.
        lanes = lanes_for(config.model.name, config.precision, mesh)
        model = dataclasses.replace(config.model, lanes=lanes)
        config = dataclasses.replace(config, model=model)
    loss: Any = config.loss
    if isinstance(config.loss, NamesTeacher):
        # Its weights need not be here.
        loss = dataclasses.replace(loss, teacher="")
        config = dataclasses.replace(config, loss=loss)
    task = build_task(config, facts.info)
    examples = facts.counts.get(config.dataset.train_split, 0)
    groups = None
    if groups_images(task) and facts.train_sizes is not None:
        groups = task.train_groups(facts.train_sizes)
    steps = total_steps(config, examples, groups)
    epoch = epoch_steps(config.batch_size, examples, groups)
    extra = extra_steps(config, facts.counts.get(config.extra.split, 0))
    schedule = schedule_of_run(config, steps, extra)
    optimizer = make_optimizer(config.optimizer, schedule)
    train_step = make_train_step(
        task.loss,
        optimizer,
        schedule,
        mesh,
        seed=config.seed,
        accumulate=config.optimizer.accumulate,
        ema_decay=config.optimizer.ema_decay,
    )
    return Experiment(config, task, steps + extra, epoch, optimizer, train_step)
