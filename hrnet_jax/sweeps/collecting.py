"""What came out of runs, those of sweeps and others."""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from hrnet_jax.config.options import nearest
from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.registry import get_spec
from hrnet_jax.storage import paths
from hrnet_jax.sweeps.claims import CLAIM_FILE, TRIAL_FILE, TRIALS_FOLDER, read_trial
from hrnet_jax.sweeps.study import flat
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.workdir.files import CONFIG_FILE, RESULT_FILE
from hrnet_jax.workdir.lock import LOCK_FILE, is_locked
from hrnet_jax.workdir.opening import read_run_config
from hrnet_jax.workdir.ranking import ranking_metric

# States in the order of a table; of those that have a value the best is first.
STATES = ("complete", "pruned", "training", "stopped", "failed")

# Keys in which runs may differ without a reader's interest.
_PLACES = ("dataset.data_dir", "dataset.threads", "dataset.workers")
_REPORTING = ("logging", "checkpoint")


@dataclasses.dataclass(frozen=True)
class Collected:
    """One run.

    Attributes:
        workdir: its work directory.
        state: one of `STATES`.
        config: dotted key -> JSON value; of a trial that failed before it began, those
            alone that the sweep set.
        metric: name of what ranks its checkpoints; empty if that is not known.
        direction: `max` or `min`.
        value: the best so far on the evaluation split; None if there is none.
        step: at which that was.
        seconds: of training steps so far, without evaluations; None if not known.
        message: why it failed.
        whole: whether `config` has every key.
    """

    workdir: pathlib.Path
    state: str
    config: dict[str, Any]
    metric: str = ""
    direction: str = "max"
    value: float | None = None
    step: int | None = None
    seconds: float | None = None
    message: str = ""
    whole: bool = True


def collect(folders: Sequence[str | os.PathLike]) -> list[Collected]:
    """The runs in folders, the best first, those that failed at the end.

    Args:
        folders: of sweeps, of single runs, and of folders that hold runs.

    Raises:
        CheckpointError: for a folder in which there is no run; also if a run in it is
            damaged.
        ConfigError: for a configuration that cannot be read.
    """
    workdirs: dict[pathlib.Path, None] = {}
    for folder in folders:
        workdirs |= dict.fromkeys(_runs_in(paths.as_path(folder)))
    return sorted(paths.for_each(_read, list(workdirs)), key=_place)


def differing_keys(runs: Sequence[Collected]) -> list[str]:
    """Dotted keys of which the runs have more than one value, sorted.

    Where data is and how often runs report is left out.
    """
    keys = {key for run in runs for key in run.config}
    return [
        key
        for key in sorted(keys)
        if key not in _PLACES and key.partition(".")[0] not in _REPORTING
        if len(_values(runs, key)) > 1
    ]


def _values(runs: Sequence[Collected], key: str) -> set[str]:
    """Values of a key as text; a run that says nothing of it does not count."""
    return {
        json.dumps(run.config.get(key), sort_keys=True)
        for run in runs
        if run.whole or key in run.config
    }


def _runs_in(folder: pathlib.Path) -> list[pathlib.Path]:
    if _is_run(folder):
        return [folder]
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
        meant = nearest(str(folder), [str(other) for other in beside if other.is_dir()])
        raise CheckpointError(f"{folder}: {what}; expected a sweep or a run{meant}")
    place = folder / TRIALS_FOLDER
    inside = sorted((place if place.is_dir() else folder).iterdir())
    are_runs = paths.for_each(_is_run, inside)
    found = [path for path, is_run in zip(inside, are_runs, strict=True) if is_run]
    if not found:
        raise CheckpointError(
            f"{folder}: no run there; expected the folder of a sweep, of a run, or of runs"
        )
    return found


def _is_run(folder: pathlib.Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG_FILE, TRIAL_FILE))


def _read(workdir: pathlib.Path) -> Collected:
    trial = read_trial(workdir)
    values = trial.get("values")
    config = flat(to_json(values)) if isinstance(values, dict) else {}
    whole = (workdir / CONFIG_FILE).is_file()
    if whole:
        config = flat(read_run_config(workdir))
    metric, direction = _ranking(workdir, trial, config)
    lines = read_metrics(workdir)
    value, step = _best(lines, metric, direction)
    state = _state(workdir, trial)
    return Collected(
        workdir,
        state,
        config,
        metric,
        direction,
        value,
        step,
        _seconds(lines),
        str(trial.get("message", "")) if state == "failed" else "",
        whole,
    )


def _ranking(
    workdir: pathlib.Path, trial: dict[str, Any], config: dict[str, Any]
) -> tuple[str, str]:
    """Name of the metric of a run, and its direction."""
    name = trial.get("metric") or ranking_metric(workdir) or ""
    if trial.get("direction") in ("max", "min"):
        return name, trial["direction"]
    try:
        ranking = get_spec(config.get("task", "segmentation")).best_metric
    except ConfigError:  # of a task that is not installed here
        ranking = None
    known, direction = ranking or ("", "max")
    return name or known, direction


def _best(
    lines: list[dict], metric: str, direction: str
) -> tuple[float | None, int | None]:
    """The best finite value of all evaluations, and its step."""
    found = [
        (float(line[f"eval/{metric}"]), line["step"])
        for line in lines
        if f"eval/{metric}" in line
    ]
    found = [pair for pair in found if math.isfinite(pair[0])]
    if not found:
        return None, None
    sign = 1 if direction == "max" else -1
    return max(found, key=lambda pair: sign * pair[0])


def _seconds(lines: list[dict]) -> float | None:
    """Duration of all steps, which lines tell by their speed."""
    total, last = 0.0, 0
    for line in lines:
        speed = line.get("train/steps_per_second")
        if isinstance(speed, int | float) and speed > 0:
            total += (line["step"] - last) / speed
            last = line["step"]
    return total or None


def _state(workdir: pathlib.Path, trial: dict[str, Any]) -> str:
    if trial.get("state") in ("complete", "pruned", "failed"):
        return trial["state"]
    if (workdir / RESULT_FILE).is_file():
        return "complete"
    at_work = any(is_locked(workdir / name) for name in (LOCK_FILE, CLAIM_FILE))
    return "training" if at_work else "stopped"


def _place(run: Collected) -> tuple:
    """Sorts failed runs and those without a value to the end, the best to the front."""
    if run.state == "failed":
        return (2, run.metric, 0.0, str(run.workdir))
    if run.value is None:
        return (1, run.metric, 0.0, str(run.workdir))
    sign = -1 if run.direction == "max" else 1
    return (0, run.metric, sign * run.value, str(run.workdir))
