"""Draws the curves of runs from their `metrics.jsonl`."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hrnet_jax.config.picture_files import check_picture_file
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.pictures import save_figure
from hrnet_jax.storage import paths
from hrnet_jax.training.recorded import (
    LOSS,
    RATE,
    Recorded,
    find_metric,
    read_recorded,
    usual_metrics,
)

CURVES_FILE = "curves.png"

_COLOURS = ("#2f6fd0", "#d9822b", "#1f9e83", "#c8437b", "#6b5fc7", "#7a7a7a")
# Of further runs than there are colours.
_LINES = ("-", "--", ":", "-.")
_COLUMNS = 3
_TITLES = {LOSS: "training loss", RATE: "learning rate"}
# A rate is shown over so many powers of ten at most: schedules end at or near zero.
_DECADES = 4


def draw_curves(
    workdirs: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    metrics: Sequence[str] = (),
    *,
    smooth: float = 0.0,
) -> list[str]:
    """Plots metrics by step, one panel for each, with a line for each run.

    Args:
        workdirs: of runs, which may be of different tasks, and may still train.
        out: picture file to write, `.png`, `.svg` or `.pdf`.
        metrics: `mean_iou`, `loss`, `eval/iou/Car`, ...; by default the training loss,
            the metric that ranks the checkpoints of each run, and the learning rate.
        smooth: weight of the past in the average of training metrics, from 0 (none)
            to below 1; what it smooths stays visible behind it.

    Returns:
        What is not to be seen in the picture, and why.

    Raises:
        CheckpointError: if a folder is no run, or has no metrics yet.
        ConfigError: for a metric that no run has, and for a wrong name of a picture.
    """
    check_picture_file(out)
    if not 0 <= smooth < 1:
        raise ConfigError(f"smooth is {smooth:g}; expected 0 (none) to below 1")
    runs = [read_recorded(workdir) for workdir in workdirs]
    chosen = [find_metric(runs, name) for name in metrics] or usual_metrics(runs)
    chosen = list(dict.fromkeys(chosen))
    width = 2 if len(chosen) == 4 else min(len(chosen), _COLUMNS)
    height = -(-len(chosen) // width)
    # Not through pyplot, which has one state with the notebook that calls this.
    figure = Figure(figsize=(4 * width, 3.4 * height), layout="constrained")
    panels = [*figure.subplots(height, width, squeeze=False).flat]
    for panel, name in zip(panels, chosen, strict=False):
        _draw_panel(panel, name, runs, smooth)
    for panel in panels[len(chosen) :]:
        panel.remove()
    if len(runs) > 1:
        figure.axes[0].legend(frameon=False, fontsize=8)
    save_figure(figure, out, dpi=110)
    return _remarks(runs, chosen, asked=bool(metrics))


def _draw_panel(
    panel: Axes, name: str, runs: Sequence[Recorded], smooth: float
) -> None:
    labels = _labels(runs)
    for index, run in enumerate(runs):
        steps, values = run.curves.get(name, (np.array([]), np.array([])))
        style: dict[str, Any] = {
            "color": _COLOURS[index % len(_COLOURS)],
            "linestyle": _LINES[index // len(_COLOURS) % len(_LINES)],
            "marker": "o" if name.startswith("eval/") or len(steps) < 2 else None,
        }
        if smooth and name.startswith("train/") and name != RATE:
            panel.plot(steps, values, alpha=0.25, **style)
            values = smoothed(values, smooth)
        panel.plot(steps, values, label=labels[index], **style)
    panel.set_title(_title(name), loc="left", fontsize=10)
    panel.set_xlabel("step")
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    if not any(name in run.curves for run in runs):
        middle: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "transform": panel.transAxes,
        }
        panel.text(0.5, 0.5, "no value yet", color=_COLOURS[-1], **middle)
    if name == RATE:
        _show_decades(
            panel, [run.curves[name][1] for run in runs if name in run.curves]
        )


def _show_decades(panel: Axes, rates: Sequence[np.ndarray]) -> None:
    """Makes the axis logarithmic where rates differ by a power of ten or more."""
    positive = [rate for values in rates for rate in values if 0 < rate < np.inf]
    if not positive or max(positive) < 10 * min(positive):
        return
    top = max(positive)
    panel.set_yscale("log")
    panel.set_ylim(max(min(positive), top / 10**_DECADES) / 1.5, 1.5 * top)


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Averages of each value and those before it, each with `weight` of the next.

    Args:
        values: float [N]; those that are not finite are left out of the averages.
        weight: from 0 to below 1.

    Returns:
        float [N]; NaN before the first finite value.
    """
    result, total, count = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        total, count = weight * total, weight * count
        if np.isfinite(value):
            total, count = total + value, count + 1
        result[index] = total / count if count else np.nan
    return result


def _title(name: str) -> str:
    kind, _, short = name.partition("/")
    if name in _TITLES or not short:
        return _TITLES.get(name, name)
    return f"{'evaluation' if kind == 'eval' else 'training'} {short}"


def _labels(runs: Sequence[Recorded]) -> list[str]:
    """The last folders of runs, or their whole paths where these are alike."""
    names = [paths.absolute(run.workdir).name for run in runs]
    if len(set(names)) == len(names):
        return names
    return [str(run.workdir) for run in runs]


def _remarks(
    runs: Sequence[Recorded], chosen: Sequence[str], *, asked: bool
) -> list[str]:
    """Which run lacks which metric, of those asked for or its own."""
    found = []
    for run in runs:
        if not asked and run.ranking is None:
            found.append(
                f"{run.workdir}: nothing says which metric ranks its checkpoints; "
                "--metric names one, --list shows all"
            )
        own = chosen if asked else [run.ranking] if run.ranking else []
        found += [
            f"{run.workdir} has no {name} yet" for name in own if name not in run.curves
        ]
    return found
