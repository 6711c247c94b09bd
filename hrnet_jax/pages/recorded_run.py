"""What a work directory says of a run: configuration, metrics, environment, commands."""

import dataclasses
import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

from hrnet_jax.config.assignments import with_overrides
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.experiment.defaults import to_json, with_defaults
from hrnet_jax.experiment.schema import keys_of_run
from hrnet_jax.training.recorded import Recorded, read_recorded
from hrnet_jax.training.reporting import METRICS_FILE
from hrnet_jax.training.train import metrics_of
from hrnet_jax.workdir.files import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    RESULT_FILE,
    read_json,
)
from hrnet_jax.workdir.opening import open_checkpoints, read_run_config
from hrnet_jax.workdir.variables import read_info


@dataclasses.dataclass(frozen=True)
class RecordedRun:
    """A run as its work directory has it.

    Attributes:
        workdir: as it was given.
        config: with every key; as it was run.
        recorded: its curves, none of a converted one.
        result: what `result.json` holds; empty while it trains.
        environment: of the session that trained last; empty of earlier versions.
    """

    workdir: pathlib.Path
    config: dict[str, Any]
    recorded: Recorded
    result: dict[str, Any]
    environment: dict[str, Any]

    def metrics(self) -> dict[str, float]:
        """Of the best checkpoint where the run has ended, else the last evaluation."""
        if self.result:
            return metrics_of(self.workdir / RESULT_FILE)
        return {
            name.removeprefix("eval/"): float(values[-1])
            for name, (_, values) in self.recorded.curves.items()
            if name.startswith("eval/")
        }

    def step_and_info(self, step: int | str) -> tuple[int, DatasetInfo]:
        """Number of a checkpoint, and the data set that it was trained on.

        Raises:
            CheckpointError: if there is no such checkpoint.
        """
        checkpoints = open_checkpoints(self.workdir)
        number = checkpoints.resolve(step)
        info = read_info(checkpoints, number)
        checkpoints.close()
        return number, info


def read_run(workdir: pathlib.Path) -> RecordedRun:
    """Reads the files of a work directory; its run may still train.

    Raises:
        CheckpointError: if it is no work directory of a run, or a file is damaged.
        ConfigError: for a wrong key of its configuration.
    """
    if not workdir.exists():
        read_recorded(workdir)  # which says what has a similar name
    config = read_run_config(workdir)
    has_metrics = (workdir / METRICS_FILE).is_file()
    return RecordedRun(
        workdir,
        config,
        read_recorded(workdir) if has_metrics else Recorded(workdir, None, {}),
        _if_there(workdir / RESULT_FILE),
        _if_there(workdir / ENVIRONMENT_FILE),
    )


def _if_there(path: pathlib.Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def changed(config: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A configuration with `KEY=VALUE` changed.

    Raises:
        ConfigError: for a key that is not there, or a value of another type.
    """
    return to_json(with_overrides(config, list(changes)))


def config_rows(runs: Sequence[RecordedRun]) -> list[list[str]]:
    """Keys in which any of the runs differs from the default of its task.

    Returns:
        Cells: key, default, and the value in each run; of a key that a task does not
        have, nothing. Of tasks with different defaults, these are listed.
    """
    defaults = [with_defaults({"task": run.config["task"]}) for run in runs]
    keys = dict.fromkeys(
        key.dotted for run in runs for key in keys_of_run(run.config["task"])
    )
    rows = []
    for key in keys:
        default = [value_at(values, key) for values in defaults]
        values = [value_at(run.config, key) for run in runs]
        if values != default:
            usual = " or ".join(dict.fromkeys(filter(None, default)))
            rows.append([key, usual, *values])
    return rows


def value_at(config: dict[str, Any], dotted: str) -> str:
    """The value of a dotted key in words; empty where there is none."""
    value: Any = config
    for part in dotted.split("."):
        if not isinstance(value, dict) or part not in value:
            return ""
        value = value[part]
    return repr(value)


def environment_rows(runs: Sequence[RecordedRun]) -> list[list[str]]:
    """What is recorded of where the runs were trained: name, and each run's value."""
    columns = [_environment(run) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    return [[name, *(column.get(name, "") for column in columns)] for name in names]


def _environment(run: RecordedRun) -> dict[str, str]:
    recorded, result = run.environment, run.result
    facts = {
        "commit": recorded.get("commit"),
        "devices": recorded.get("devices", result.get("device")),
        "processes": recorded.get("processes", result.get("processes")),
        "system": recorded.get("system"),
        "seconds of the last session": result.get("seconds_of_last_session"),
        "steps": result.get("num_steps"),
    }
    versions = recorded.get("versions")
    if isinstance(versions, dict):
        facts |= versions
    return {name: str(value) for name, value in facts.items() if value is not None}


def commands(
    run: RecordedRun, step: int | str, splits: Sequence[str], changes: Sequence[str]
) -> list[str]:
    """What trains such a run again, in another folder, and what evaluates this one.

    Args:
        run: that the page is of.
        step: that was evaluated.
        splits: that were; the usual one if empty.
        changes: `KEY=VALUE`, of its configuration, for the evaluation.
    """
    workdir = run.workdir
    again = workdir.with_name(f"{workdir.absolute().name}_again")
    lines = []
    if run.recorded.curves:
        lines.append(
            ["train", f"--config={workdir / CONFIG_FILE}", f"--workdir={again}"]
        )
    evaluate = ["evaluate", f"--workdir={workdir}", f"--step={step}"]
    evaluate += [f"--split={','.join(splits)}"] if splits else []
    lines.append([*evaluate, *(f"--config.{change}" for change in changes)])
    return [
        shlex.join(["python", f"scripts/{script}.py", *arguments])
        for script, *arguments in lines
    ]
