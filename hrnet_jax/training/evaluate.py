"""`evaluate`: metrics of a checkpoint, as a plain function."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import CheckpointError, DataError
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.experiment.schema import TrainConfig, read_config
from hrnet_jax.imaging.pictures import save_pictures
from hrnet_jax.registry import get_task
from hrnet_jax.runtime import processes
from hrnet_jax.runtime.placement import replicate
from hrnet_jax.runtime.same_run import check_same_run
from hrnet_jax.storage import paths
from hrnet_jax.tasks.protocol import Evaluator
from hrnet_jax.training import evaluation
from hrnet_jax.training.build import (
    build_task,
    check_eval_batch,
    evaluated_splits,
    fit_batches,
    open_split,
)
from hrnet_jax.workdir.opening import open_checkpoints
from hrnet_jax.workdir.variables import Trained, read_info, read_sound_variables

# Examples that a report shows, unless told otherwise.
WORST = 8


def evaluate(
    config: Any,
    workdir: str | pathlib.Path,
    step: int | str = "best",
    split: str = "",
) -> dict[str, float]:
    """Evaluates a checkpoint of a run on a split of a configuration's data.

    Args:
        config: a ConfigDict; its data set and batch size may differ from the
            run's, its model must fit.
        workdir: of a run.
        step: `best`, `latest` or a number.
        split: of the data set; the test split (the evaluation split where there
            is none) if empty.

    Returns:
        Metrics of the task.
    """
    chosen = [split] if split else []
    (evaluator,) = evaluators_of_run(config, workdir, step, chosen).values()
    return evaluator.compute()


def evaluators_of_run(
    config: Any,
    workdir: str | pathlib.Path | Trained,
    step: int | str = "best",
    splits: Sequence[str] = (),
    report: str | os.PathLike | None = None,
    worst: int = WORST,
    detections: str | os.PathLike = "",
) -> dict[str, Evaluator]:
    """Shows whole splits to evaluators of the task; see `evaluate`.

    The metrics of a split do not depend on which others are named. Of several
    processes all have to call this, and each gets evaluators that saw everything.

    Args:
        config: as for `evaluate`.
        workdir: as for `evaluate`; or weights, which have no steps.
        step: as for `evaluate`.
        splits: of the data set; the one of `evaluate` if empty.
        report: folder for reports and pictures of the worst, one for each split.
        worst: number of these pictures; of a small split, all its examples.
        detections: file of boxes to look into, see `data.examples.as_examples`.

    Returns:
        Split -> evaluator, in the order of `splits` without repeats.

    Raises:
        CheckpointError: if the checkpoint has other classes or points than the data.
    """
    options = read_config(config, trainable=True)
    runtime.enable_compilation_cache()
    runtime.report_unused_accelerator()
    options = fit_batches(options)
    check_same_run(to_json(config), step, *splits, os.fspath(detections))
    mesh = runtime.make_mesh(options.mesh.data, options.mesh.space)
    check_eval_batch(options, mesh)
    splits = list(dict.fromkeys(splits)) or evaluated_splits(options)[-1:]
    # All at once, or a typo in the last would show after hours.
    records = {split: open_split(options, split, detections) for split in splits}
    info = records[splits[0]].info
    variables = replicate(_checked_variables(options, workdir, step, info), mesh)
    evaluators = {}
    for split in splits:
        task = build_task(options, records[split].info)
        predict = evaluation.make_predict_step(task, mesh)
        seen = (predict, task, variables, records[split], mesh)
        evaluators[split] = evaluation.evaluator_over(
            *seen,
            per_example=report is not None,
            **evaluation.reading_options(options, f"evaluate {split}"),
        )
        if report is not None:
            pictures = evaluation.draw_chosen(
                *seen,
                evaluators[split].worst(worst),
                **evaluation.reading_options(options, ""),
            )
            _write_report(paths.as_path(report) / split, evaluators[split], pictures)
    return evaluators


def _write_report(
    folder: pathlib.Path, evaluator: Evaluator, pictures: dict[str, np.ndarray]
) -> None:
    """Writes what an evaluator reports, and the pictures, the worst first.

    Of several processes the first does.

    Raises:
        DataError: if the folder cannot be written.
    """
    if not processes.is_first():
        return
    try:
        evaluator.report(folder)
        ranked = {
            f"{rank:02d}_{name}": picture
            for rank, (name, picture) in enumerate(pictures.items(), 1)
        }
        # Of an earlier report.
        paths.remove_tree(folder / "worst")
        save_pictures(folder / "worst", ranked)
    except OSError as error:
        place, reason = error.filename or folder, error.strerror or error
        raise DataError(f"{place}: cannot be written ({reason})") from None


def _checked_variables(
    options: TrainConfig,
    workdir: str | pathlib.Path | Trained,
    step: int | str,
    info: DatasetInfo,
) -> dict:
    """Variables of a network that has as many classes or points as the data set."""
    if isinstance(workdir, Trained):
        _check_outputs(options, workdir.name, workdir.info, info)
        return workdir.read()
    checkpoints = open_checkpoints(workdir)
    number = checkpoints.resolve(step)
    _check_outputs(options, str(workdir), read_info(checkpoints, number), info)
    variables = read_sound_variables(checkpoints, number)
    checkpoints.close()
    return variables


def _check_outputs(
    options: TrainConfig, name: str, trained: DatasetInfo, info: DatasetInfo
) -> None:
    model_options = get_task(options.task).model_options
    here, there = model_options(info), model_options(trained)
    if here != there:
        raise CheckpointError(
            f"{name} was trained on {trained.name!r} with {_listed(there)}, but the "
            f"data set {info.name!r} has {_listed(here)}"
        )


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())
