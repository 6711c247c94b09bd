"""What runs have reported so far, by metric: to be drawn, listed, and looked up."""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from hrnet_jax.config.options import nearest
from hrnet_jax.config.tables import columns
from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.storage import paths
from hrnet_jax.training.reporting import METRICS_FILE, read_metrics
from hrnet_jax.workdir.ranking import ranking_metric

LOSS, RATE = "train/loss", "train/learning_rate"
# Kinds of metrics: the part before the first slash.
_KINDS = ("eval", "train")
_TITLES = {LOSS: "training loss", RATE: "learning rate"}
# Metrics that an error lists; all of them are there with --list.
_LISTED = 8


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The metrics of one run.

    Attributes:
        workdir: as it was given.
        ranking: whole name of the metric that ranks its checkpoints, `eval/mean_iou`;
            None if that is not known.
        curves: whole name -> (steps, int [N], values, float [N]); values may be NaN
            or infinite.
    """

    workdir: pathlib.Path
    ranking: str | None
    curves: dict[str, tuple[np.ndarray, np.ndarray]]


def read_recorded(workdir: str | os.PathLike) -> Recorded:
    """Reads the metrics of a run, which may still train.

    Raises:
        CheckpointError: if there is no such folder, or no metrics yet; names a folder
            of a similar name.
    """
    workdir = paths.as_path(workdir)
    if not workdir.is_dir():
        what = "is a file" if workdir.exists() else "no such folder"
        raise CheckpointError(
            f"{workdir}: {what}; expected the work directory of a run"
            + nearest(str(workdir), _folders_beside(workdir))
        )
    points: dict[str, list[tuple[int, float]]] = {}
    for line in read_metrics(workdir):
        for name, value in line.items():
            number = _number(value)
            if name != "step" and number is not None:
                points.setdefault(name, []).append((line["step"], number))
    if not points:
        raise CheckpointError(
            f"{workdir / METRICS_FILE}: missing or empty; expected the work directory "
            "of a run that has logged a step"
        )
    curves = {
        name: (
            np.array([step for step, _ in pairs]),
            np.array([value for _, value in pairs]),
        )
        for name, pairs in points.items()
    }
    ranking = ranking_metric(workdir)
    return Recorded(workdir, ranking and f"eval/{ranking}", curves)


def usual_metrics(runs: Sequence[Recorded]) -> list[str]:
    """Whole names of what is worth a look: loss, what ranks each run, learning rate."""
    rankings = [run.ranking for run in runs if run.ranking]
    return [LOSS, *dict.fromkeys(rankings), RATE]


def find_metric(runs: Sequence[Recorded], name: str) -> str:
    """The whole name of a metric of any of the runs.

    Args:
        runs: to look in.
        name: `eval/mean_iou`, or without its kind, `mean_iou`.

    Raises:
        ConfigError: if no run has it; names those that there are, the nearest first.
            Also if both kinds have it.
    """
    known = dict.fromkeys(name for run in runs for name in run.curves)
    # Where a run was not evaluated yet, its ranking metric is still a right name.
    known |= dict.fromkeys(run.ranking for run in runs if run.ranking)
    if name in known:
        return name
    found = [whole for kind in _KINDS if (whole := f"{kind}/{name}") in known]
    if len(found) > 1:
        raise ConfigError(f"metric {name!r} may be {' or '.join(found)}; name one")
    if found:
        return found[0]
    order = sorted(known, key=lambda whole: _likeness(whole, name), reverse=True)
    more = len(order) - _LISTED
    where = ", ".join(str(run.workdir) for run in runs)
    raise ConfigError(
        f"no metric {name!r} in {where}; there are {', '.join(order[:_LISTED])}"
        + (f" and {more} more, which --list shows" if more > 0 else "")
    )


def metric_title(name: str) -> str:
    """A whole name in words, `evaluation mean_iou`."""
    kind, _, short = name.partition("/")
    if name in _TITLES or not short:
        return _TITLES.get(name, name)
    return f"{'evaluation' if kind == 'eval' else 'training'} {short}"


def run_names(runs: Sequence[Recorded]) -> list[str]:
    """The last folders of runs, or their whole paths where these are alike."""
    names = [paths.absolute(run.workdir).name for run in runs]
    if len(set(names)) == len(names):
        return names
    return [str(run.workdir) for run in runs]


def list_metrics(runs: Sequence[Recorded]) -> str:
    """A table for each run: metric, number of values, last step and value."""
    blocks = []
    for run in runs:
        rows = [("metric", "values", "last step", "last value")]
        for name, (steps, values) in sorted(run.curves.items()):
            rows.append((name, str(len(steps)), str(steps[-1]), f"{values[-1]:.4g}"))
        head = f"{run.workdir}"
        if run.ranking:
            missing = "" if run.ranking in run.curves else ", not evaluated yet"
            head += f" (ranked by {run.ranking}{missing})"
        blocks.append("\n".join([head, *columns(rows, "lr")]))
    return "\n\n".join(blocks)


def _number(value: object) -> float | None:
    """A value as it was reported; those that are not finite are kept as text."""
    if not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _likeness(whole: str, name: str) -> float:
    short = whole.partition("/")[2]
    return max(
        difflib.SequenceMatcher(a=known, b=name).ratio() for known in (whole, short)
    )


def _folders_beside(path: pathlib.Path) -> list[str]:
    """Folders where a missing one was looked for, as they would be given."""
    try:
        return [str(other) for other in path.parent.iterdir() if other.is_dir()]
    except OSError:
        return []
