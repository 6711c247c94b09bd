"""The plan of an experiment: its real programs on slices of TPUs."""

import dataclasses
import pathlib
from collections.abc import Mapping

import jax
from jax.sharding import Mesh

from hrnet_jax.costs.chips import PRICES
from hrnet_jax.costs.compiled import ProgramCosts
from hrnet_jax.costs.roofline import Times, times
from hrnet_jax.costs.slices import Slice
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.planning import abstract
from hrnet_jax.planning.datasets import DatasetFacts
from hrnet_jax.planning.experiment import Experiment, build_experiment
from hrnet_jax.planning.programs import DoesNotFitError, compile_costs
from hrnet_jax.planning.topologies import describe, make_mesh
from hrnet_jax.tasks.teachers import NamesTeacher
from hrnet_jax.training.build import evaluated_splits
from hrnet_jax.training.evaluation import make_predict_step
from hrnet_jax.training.steps import evaluation_interval


@dataclasses.dataclass(frozen=True)
class PlanOptions:
    """Options of a plan.

    Attributes:
        mesh: lengths of `data` and `space`; what is left out comes from the
            configuration, and -1 there takes all devices.
        per_device_batch: images of a train step on each device, instead of
            `batch_size`; None keeps that.
        strict: a batch that does not divide is an error, not a note.
        cache: folder for the costs of programs; None keeps none.
    """

    mesh: Mapping[str, int] = dataclasses.field(default_factory=dict)
    per_device_batch: int | None = None
    strict: bool = False
    cache: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Program:
    """One compiled program on one slice.

    Attributes:
        batch_size: images of all devices.
        costs: of one device; None where it does not fit.
        times: of one run; None where it does not fit.
        too_large: why it does not fit; else empty.
    """

    batch_size: int
    costs: ProgramCosts | None
    times: Times | None
    too_large: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """An experiment on one slice.

    Attributes:
        slice: the chips.
        mesh: lengths of `data` and `space`.
        train: the train step.
        predict: the predict step, as evaluation runs it.
        steps: updates of the whole schedule with this batch.
        passes: evaluations of the whole schedule.
        eval_batches: of one pass over the evaluation split; None where its size is
            not known.
        notes: what differs from the configuration, one line each.
    """

    slice: Slice
    mesh: dict[str, int]
    train: Program
    predict: Program
    steps: int
    passes: int
    eval_batches: int | None
    notes: tuple[str, ...]

    def train_seconds(self, which: str) -> float | None:
        """Of all train steps, by `roofline` or `expected`; None if they do not fit."""
        if self.train.times is None:
            return None
        return self.steps * getattr(self.train.times, which)

    def pass_seconds(self, which: str) -> float | None:
        """Of one pass over the evaluation split, on the devices."""
        if self.predict.times is None or self.eval_batches is None:
            return None
        return self.eval_batches * getattr(self.predict.times, which)

    def images_per_second(self, which: str) -> float | None:
        """Training images of all chips together."""
        if self.train.times is None:
            return None
        return self.train.batch_size / getattr(self.train.times, which)

    def hours(self, which: str) -> float | None:
        """Of the schedule with its evaluations, as far as these are known."""
        training = self.train_seconds(which)
        if training is None:
            return None
        evaluation = self.pass_seconds(which) or 0.0
        return (training + self.passes * evaluation) / 3600

    def dollars(self, which: str) -> float | None:
        """Of these hours, at the list price; None where the chip has none."""
        hours, price = self.hours(which), PRICES.get(self.slice.chip.name)
        if hours is None or price is None:
            return None
        return hours * price * self.slice.chips


def make_plan(
    config: TrainConfig, facts: DatasetFacts, chosen: Slice, options: PlanOptions
) -> Plan:
    """Compiles the train and the predict step of an experiment for a slice.

    Args:
        config: of the experiment.
        facts: of its data set.
        chosen: the slice.
        options: how to plan.

    Raises:
        ConfigError: if something does not fit together.
    """
    mesh = _mesh(config, chosen, options)
    config, notes = _divided(config, mesh, options)
    if isinstance(config.loss, NamesTeacher) and config.loss.teacher:
        notes.append("loss.teacher: its weights and forward pass are not planned")
    experiment = build_experiment(config, facts, mesh)
    task = experiment.task
    state = abstract.train_state(
        task, experiment.optimizer, mesh, ema=experiment.keeps_average
    )
    size = _largest_image(config, facts)
    if size is None and task.few_shapes:
        notes.append("size of evaluation images unknown: planned with the crop size")
    batch = abstract.train_batch(task, config.batch_size, mesh)
    eval_size = config.eval.batch_size
    eval_batch = abstract.eval_batch(task, size, eval_size, mesh)
    count = facts.counts.get(config.dataset.eval_split)
    return Plan(
        slice=chosen,
        mesh=dict(mesh.shape),
        train=_program(
            "train step", experiment.train_step, state, batch, chosen, options
        ),
        predict=_program(
            "predict step",
            make_predict_step(task, mesh),
            state.eval_variables,
            eval_batch,
            chosen,
            options,
        ),
        steps=experiment.num_steps,
        passes=_passes(experiment),
        eval_batches=None if count is None else -(-count // eval_size),
        notes=tuple(notes),
    )


def _largest_image(config: TrainConfig, facts: DatasetFacts) -> tuple[int, int] | None:
    """(height, width) of images of an evaluated split, where they are known."""
    sizes = facts.info.max_size
    splits = evaluated_splits(config)
    return next((sizes[split] for split in splits if split in sizes), None)


def _mesh(config: TrainConfig, chosen: Slice, options: PlanOptions) -> Mesh:
    sides = {"data": config.mesh.data, "space": config.mesh.space}
    if options.mesh:
        # A flag that names one axis leaves all other devices to the other.
        sides = {"data": -1, "space": 1} | dict(options.mesh)
        if "space" not in options.mesh:
            sides["space"] = max(chosen.devices // sides["data"], 1)
    return make_mesh(chosen, describe(chosen), **sides)


def _divided(
    config: TrainConfig, mesh: Mesh, options: PlanOptions
) -> tuple[TrainConfig, list[str]]:
    """The configuration with batches that divide over the mesh, and what changed."""
    data, micro = mesh.shape["data"], config.optimizer.accumulate
    notes: list[str] = []
    batch_size = config.batch_size
    if options.per_device_batch is not None:
        batch_size = options.per_device_batch * mesh.size
        notes.append(f"batch_size {batch_size}, not {config.batch_size}, as asked for")
    shares = f"{data} chips" if data == mesh.size else f"data:{data} of the mesh"
    parts = f"{shares} times {micro} micro-batches" if micro > 1 else shares
    wanted = {
        "batch_size": (batch_size, data * micro, parts),
        "eval.batch_size": (config.eval.batch_size, data, shares),
    }
    sizes = {}
    for key, (size, unit, over) in wanted.items():
        sizes[key], text = nearest_multiple(size, unit, over)
        if text and options.strict:
            raise ConfigError(f"config key {key!r}: {text}")
        if text:
            notes.append(f"{key}: {text}; planned with {sizes[key]}")
    if sizes["batch_size"] != config.batch_size:
        notes.append(
            f"another batch wants another rate: schedule.learning_rate "
            f"{config.schedule.learning_rate:g} times "
            f"{sizes['batch_size'] / config.batch_size:.3g}"
        )
    eval_options = dataclasses.replace(config.eval, batch_size=sizes["eval.batch_size"])
    changed = dataclasses.replace(
        config, batch_size=sizes["batch_size"], eval=eval_options
    )
    return changed, notes


def nearest_multiple(size: int, unit: int, over: str) -> tuple[int, str]:
    """The multiple of `unit` nearest to `size`, the larger of two as near.

    Args:
        size: images.
        unit: what they should be a multiple of.
        over: the same in words.

    Returns:
        It, and one line for people where it is not `size` itself.
    """
    if size % unit == 0:
        return size, ""
    lower, upper = size // unit * unit, size // unit * unit + unit
    chosen = lower if lower and size - lower < upper - size else upper
    near = f"{lower}, {upper}" if lower else str(upper)
    return chosen, f"{size} images do not divide over {over}; nearest: {near}"


def _passes(experiment: Experiment) -> int:
    """Evaluations of the evaluation split in a run, as the loop makes them."""
    steps = experiment.num_steps
    every = evaluation_interval(experiment.config, steps, experiment.epoch_steps)
    return 1 + ((steps - 1) // every if every else 0)


def _program(
    name: str,
    function: jax.stages.Wrapped,
    state: object,
    batch: dict,
    chosen: Slice,
    options: PlanOptions,
) -> Program:
    size = batch["image"].shape[0]
    try:
        costs = compile_costs(
            f"{chosen.name} {name}", function, state, batch, cache=options.cache
        )
    except DoesNotFitError as error:
        return Program(size, None, None, str(error))
    return Program(size, costs, times(costs, chosen.chip, chosen.shape))
