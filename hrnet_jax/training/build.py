"""From a configuration to the parts of a run."""

import dataclasses
import logging
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import optax
from jax.sharding import Mesh

from hrnet_jax import runtime
from hrnet_jax.data.examples import Examples, as_examples
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.records import NotPreparedError, open_records
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.experiment.build import build_model, inference_options
from hrnet_jax.experiment.schema import TrainConfig, check_trainable
from hrnet_jax.registry import get_spec, get_task
from hrnet_jax.runtime import processes
from hrnet_jax.tasks.protocol import Trains, groups_images, trains
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.phases import Phase, draws
from hrnet_jax.training.schedules import rate_factor, schedule_of_run
from hrnet_jax.training.steps import epoch_steps, extra_steps, total_steps
from hrnet_jax.training.teacher import with_teacher

_log = logging.getLogger(__name__)

# Of the lowest-resolution branch.
_LOWEST_STRIDE = 32


@dataclasses.dataclass(frozen=True)
class Run:
    """The parts of one run, before any weights.

    Attributes:
        config: of the run.
        mesh: of devices.
        task: with its network.
        train_records: what is trained on.
        train_groups: int [N], which of them a batch may hold together; None if any.
        phases: what is trained on and how long, one or two.
        num_steps: of the whole run.
        epoch_steps: of an epoch.
        schedule: step -> learning rate.
        optimizer: with that schedule.
        teacher: variables of the network that the task learns from; empty for none.
    """

    config: TrainConfig
    mesh: Mesh
    task: Trains
    train_records: Examples
    train_groups: np.ndarray | None
    phases: tuple[Phase, ...]
    num_steps: int
    epoch_steps: int
    schedule: Callable
    optimizer: optax.GradientTransformation
    teacher: dict = dataclasses.field(default_factory=dict)


def build_run(config: TrainConfig) -> Run:
    """Opens the training data and builds task, schedule and optimizer.

    Raises:
        ConfigError: for values that do not fit together.
        DataError: if the data set is not prepared.
    """
    check_trainable(config)
    mesh = runtime.make_mesh(config.mesh.data, config.mesh.space)
    check_batch(config, mesh)
    records = open_split(config, config.dataset.train_split)
    for split in evaluated_splits(config):
        open_split(config, split)  # or a typo would show after hours of training
    task, teacher = with_teacher(build_task(config, records.info), config, records.info)
    _report_uneven_rows(task.image_size[0], mesh)
    groups = _groups(task, records)
    steps = total_steps(config, len(records), groups)
    phases = [Phase(records, groups, draws(config, records), 0, steps)]
    if config.extra.split:
        more = open_split(config, config.extra.split)
        more_groups = _groups(task, more)
        extra = extra_steps(config, len(more), more_groups)
        phases.append(Phase(more, more_groups, draws(config, more), steps, extra))
    schedule = schedule_of_run(config, steps, sum(phase.steps for phase in phases[1:]))
    factor = rate_factor(config.schedule, config.batch_size)
    if factor != 1:
        rate = config.schedule.learning_rate
        _log.info(
            "learning rate %g for batches of %d is %g for batches of %d",
            rate,
            config.schedule.reference_batch,
            factor * rate,
            config.batch_size,
        )
    return Run(
        config=config,
        mesh=mesh,
        task=task,
        train_records=records,
        train_groups=groups,
        phases=tuple(phases),
        num_steps=phases[-1].end,
        epoch_steps=epoch_steps(config.batch_size, len(records), groups),
        schedule=schedule,
        optimizer=make_optimizer(config.optimizer, schedule),
        teacher=teacher,
    )


def _groups(task: Trains, records: Examples) -> np.ndarray | None:
    """Which records a training batch may hold together; None if any."""
    if not groups_images(task):
        return None
    return task.train_groups(records.image_sizes())


def _report_uneven_rows(height: int, mesh: Mesh) -> None:
    """Says so where rows of images do not divide evenly in every branch."""
    space = mesh.shape["space"]
    step = _LOWEST_STRIDE * space
    if space > 1 and height % step:
        _log.warning(
            "images of %d rows on mesh.space=%d: rows of the lower branches do not "
            "divide evenly and are gathered; a multiple of %d rows is faster",
            height,
            space,
            step,
        )


def build_task(config: TrainConfig, info: DatasetInfo) -> Trains:
    """The task of a configuration, to be trained.

    Args:
        config: of the run.
        info: the data set's classes or points.

    Raises:
        ConfigError: if the task can only predict so far.
    """
    check_trainable(config)
    task_class: Any = get_task(config.task)
    options = inference_options(config)
    return task_class(build_model(config, info), info, loss=config.loss, **options)


def evaluated_splits(config: TrainConfig) -> list[str]:
    """Names of the splits that a run evaluates, without repeats."""
    splits = (config.dataset.eval_split, config.dataset.test_split)
    return list(dict.fromkeys(filter(None, splits)))


def open_split(
    config: TrainConfig, split: str, detections: str | os.PathLike = ""
) -> Examples:
    """Opens one split of the configured data set.

    Args:
        config: of a run.
        split: of the data set.
        detections: file of boxes to look at, see `as_examples`.

    Raises:
        ConfigError: if none is named.
        DataError: if it is not there, damaged, or has no labels.
    """
    if not config.dataset.name:
        raise ConfigError("config key 'dataset.name' is empty; name a data set")
    try:
        dataset = config.dataset
        records = open_records(dataset.name, dataset.data_dir, split, dataset.cache_dir)
    except NotPreparedError as error:
        raise DataError(
            f"{error}; if its folder was moved: --config.dataset.data_dir=FOLDER"
        ) from None
    if not records.labelled:
        without = set(records.info.unlabelled_splits)
        others = sorted(records.info.counts.keys() - without)
        raise DataError(
            f"split {split!r} of data set {records.name!r} has no labels (they are not "
            "published): it has no metrics, and cannot be trained on; its images can be "
            f"predicted. Splits with labels: {', '.join(others) or 'none'}"
        )
    if _reads_encoded(config):
        records = records.encoded()
    return as_examples(records, get_spec(config.task).examples, detections)


def _reads_encoded(config: TrainConfig) -> bool:
    task = get_task(config.task)
    return trains(task) and task.reads_encoded


def fit_batches(config: TrainConfig, begun: dict | None = None) -> TrainConfig:
    """Raises batches to multiples of the devices, if `mesh.round_up_batch` asks for it.

    Only here: experiments are read before it is known which devices there are.

    Args:
        config: of a run.
        begun: JSON of the configuration that the run was begun with, if it was. Its
            batches were raised for the devices of then, and stay as they are.

    Raises:
        ConfigError: if the devices do not divide as `mesh` says.
    """
    if not config.mesh.round_up_batch:
        return config
    devices = runtime.make_mesh(config.mesh.data, config.mesh.space).shape["data"]
    if begun and begun["mesh"]["round_up_batch"]:
        batch_size = max(config.batch_size, begun["batch_size"])
    else:
        batch_size = _next_multiple(
            "batch_size", config.batch_size, devices * config.optimizer.accumulate
        )
    return dataclasses.replace(
        config,
        batch_size=batch_size,
        eval=dataclasses.replace(
            config.eval,
            batch_size=_next_multiple(
                "eval.batch_size", config.eval.batch_size, devices
            ),
        ),
    )


def _next_multiple(key: str, size: int, count: int) -> int:
    multiple = max(1, math.ceil(size / count)) * count
    if multiple != size:
        _log.info(
            "%s is %d instead of %d: a multiple of %d, as mesh.round_up_batch asks",
            key,
            multiple,
            size,
            count,
        )
    return multiple


def check_batch(config: TrainConfig, mesh: Mesh) -> None:
    """Checks that training and evaluation batches divide over the devices.

    Raises:
        ConfigError: naming the key and the number of devices.
    """
    processes.check_mesh(mesh)
    micro = config.optimizer.accumulate
    what = " times micro-batches" if micro > 1 else ""
    _check_multiple("batch_size", config.batch_size, micro * mesh.shape["data"], what)
    images, groups = config.batch_size // micro, config.model.norm_groups
    if images % groups:
        raise ConfigError(
            f"config key 'model.norm_groups' is {groups}, which does not divide the "
            f"{images} images of a batch (or micro-batch)"
        )
    check_eval_batch(config, mesh)


def check_eval_batch(config: TrainConfig, mesh: Mesh) -> None:
    """Checks that evaluation batches divide over the devices and processes.

    Raises:
        ConfigError: naming the key and the number of devices.
    """
    processes.check_mesh(mesh)
    _check_multiple("eval.batch_size", config.eval.batch_size, mesh.shape["data"])


def _check_multiple(key: str, size: int, count: int, what: str = "") -> None:
    if size < 1 or size % count:
        raise ConfigError(
            f"config key {key!r} is {size}, which is not a multiple of {count} "
            f"(devices along mesh.data{what})"
        )
