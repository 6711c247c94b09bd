"""Spaces, sweeps and runs that tests make up, with a training that takes no time."""

import json
import pathlib

from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.sweeps.space import Space, read_space
from hrnet_jax.sweeps.study import Sweep, checked, open_study
from hrnet_jax.sweeps.worker import Worker
from hrnet_jax.training.interruption import EndedEarly
from hrnet_jax.training.loop import NonFiniteError
from hrnet_jax.workdir.files import write_json
from tests import tiny

RATES = """
def get_sweep(trial):
    return {"schedule.learning_rate": trial.suggest_float("rate", 0.01, 0.3, log=True)}
"""


def write_space(folder: pathlib.Path, text: str = RATES) -> Space:
    path = folder / "space.py"
    path.write_text(text)
    return read_space(path)


def make_sweep(folder: pathlib.Path, text: str = RATES, **options) -> Sweep:
    """A sweep over the tiny run, in `folder`/sweep or in `place`."""
    config = options.pop("config", None) or tiny._tiny_config()
    options = {"trials": 3, "pruner": "none"} | options
    space = write_space(folder, text)
    place = options.pop("place", folder / "sweep")
    return Sweep(place, config, space, **options)


def worker_of(sweep: Sweep) -> Worker:
    """A worker, as a command of its own would make it."""
    sweep, probed = checked(sweep)
    return Worker(sweep, probed, open_study(sweep, probed))


def made_up_training(value_of, calls: list | None = None):
    """What stands for `train`: two evaluations of what `value_of` says of a configuration.

    Where that is an exception, it fails with it.
    """

    def train(config, workdir, *, goes_on):
        if calls is not None:
            calls.append(workdir.name)
        write_json(workdir / "config.json", to_json(config))
        value = value_of(config)
        if isinstance(value, BaseException):
            raise value
        for step in (4, 8):
            report(workdir, step, value * step)
            if not goes_on(step, {"mean_iou": value * step}):
                raise EndedEarly(step)

    return train


def report(workdir: pathlib.Path, step: int, value: float, metric="mean_iou") -> None:
    """Adds an evaluation to the lines of a run."""
    path = workdir / "metrics.jsonl"
    before = path.read_text() if path.exists() else ""
    line = {"step": step, "train/loss": 1.0, "train/steps_per_second": 2.0}
    lines = [line, {"step": step, f"eval/{metric}": value}]
    # Whole, as nothing can be appended in a bucket.
    path.write_text(before + "".join(f"{json.dumps(line)}\n" for line in lines))


def make_run(
    workdir: pathlib.Path, values, *, task="segmentation", done=True, **config
) -> pathlib.Path:
    """A work directory with evaluations at steps 10, 20, ... of the metric of its task."""
    metric = {"segmentation": "mean_iou", "landmarks": "nme"}[task]
    workdir.mkdir(parents=True)
    content = {"task": task, "model": {"name": f"{task}/w18"}} | config
    write_json(workdir / "config.json", content)
    for number, value in enumerate(values, 1):
        report(workdir, 10 * number, value, metric)
    if done:
        write_json(
            workdir / "result.json", {"metrics": {metric: max(values, default=0.0)}}
        )
    return workdir


ERRORS = {
    "config": ConfigError("config key 'x' is wrong"),
    "data": DataError("data set 'shapes' is not prepared"),
    "nan": NonFiniteError("step 3: loss is nan; last good checkpoint: 2"),
}
