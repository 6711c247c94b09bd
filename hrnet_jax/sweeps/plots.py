"""Pictures of a sweep: curves, importances, parallel coordinates."""

import json
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hrnet_jax.imaging.pictures import save_figure
from hrnet_jax.sweeps.collecting import Collected, differing_keys
from hrnet_jax.sweeps.study import DIRECTIONS
from hrnet_jax.training.curves import draw_curves
from hrnet_jax.training.recorded import LOSS
from hrnet_jax.training.reporting import read_metrics

CURVES, IMPORTANCES, PARALLEL = "curves.png", "importances.png", "parallel.png"

# Finished runs from which importances say anything, and lines a picture.
_LEAST_FOR_IMPORTANCES, _LEAST_FOR_LINES = 4, 2
# A number whose values span this factor is shown on a logarithmic axis.
_WIDE = 10.0


def draw_all(
    runs: Sequence[Collected], folder: pathlib.Path
) -> tuple[list[pathlib.Path], list[str]]:
    """Draws what there is enough of.

    Args:
        runs: in any order.
        folder: to write to, which is there.

    Returns:
        The pictures, and a line for each one that is missing.
    """
    pictures, remarks = [], []
    for draw, name in (
        (_draw_curves, CURVES),
        (_draw_importances, IMPORTANCES),
        (_draw_parallel, PARALLEL),
    ):
        path = folder / name
        path.unlink(missing_ok=True)  # of earlier, when there may have been more
        why = draw(runs, path)
        if why:
            remarks.append(why)
        else:
            pictures.append(path)
    return pictures, remarks


def _draw_curves(runs: Sequence[Collected], path: pathlib.Path) -> str:
    drawn = [run for run in runs if read_metrics(run.workdir)]
    if not drawn:
        return "no curves: no run has logged a step yet"
    metrics = [f"eval/{run.metric}" for run in drawn if run.value is not None]
    draw_curves([run.workdir for run in drawn], path, [LOSS, *dict.fromkeys(metrics)])
    return ""


def _draw_importances(runs: Sequence[Collected], path: pathlib.Path) -> str:
    runs, keys = _comparable(runs)
    if why := _too_little("importances", runs, keys, _LEAST_FOR_IMPORTANCES):
        return why
    study = _study_of(runs, keys)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            study,
            # Of Optuna's three the one that needs no further package. Half of the runs
            # are the good ones: the usual tenth of a small sweep is a single run.
            evaluator=optuna.importance.PedAnovaImportanceEvaluator(
                target_quantile=0.5
            ),
        )
    names = sorted(found, key=lambda name: found[name])
    figure = Figure(figsize=(7, 1.2 + 0.4 * len(names)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(names, [found[name] for name in names], color="#2f6fd0")
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlim(0, 1.1)
    axes.set_title(
        f"importance for {runs[0].metric}, of {len(runs)} runs", loc="left", fontsize=10
    )
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path, dpi=110)
    return ""


def _draw_parallel(runs: Sequence[Collected], path: pathlib.Path) -> str:
    runs, keys = _comparable(runs)
    if why := _too_little("parallel coordinates", runs, keys, _LEAST_FOR_LINES):
        return why
    values = np.array([run.value for run in runs], float)
    figure = Figure(figsize=(2.2 * (len(keys) + 1) + 2, 4.5), layout="constrained")
    axes = figure.subplots()
    columns = [_on_axis(axes, place, key, runs) for place, key in enumerate(keys)]
    name = runs[0].metric
    columns.append(_number_axis(axes, len(keys), name, [run.value for run in runs]))
    scale = Normalize(values.min(), values.max())
    colours = colormaps["viridis" if runs[0].direction == "max" else "viridis_r"]
    for index in np.argsort(values):
        heights = [column[index] for column in columns]
        axes.plot(
            range(len(columns)), heights, color=colours(scale(values[index])), alpha=0.8
        )
    axes.set_xlim(-0.1, len(keys) + 0.1)
    axes.set_xticks(range(len(columns)), [*keys, name], fontsize=8)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    figure.colorbar(ScalarMappable(scale, colours), ax=axes, label=name)
    save_figure(figure, path, dpi=110)
    return ""


def _comparable(runs: Sequence[Collected]) -> tuple[list[Collected], list[str]]:
    """Finished runs ranked by the most common metric, and the keys they differ in."""
    done = [run for run in runs if run.state == "complete" and run.value is not None]
    names = [run.metric for run in done]
    done = [run for run in done if run.metric == max(names, key=names.count)]
    return done, differing_keys(done)


def _too_little(
    what: str, runs: Sequence[Collected], keys: Sequence[str], least: int
) -> str:
    """Why there is no picture; empty if there is one."""
    if len(runs) < least:
        noun = "run" if len(runs) == 1 else "runs"
        return (
            f"no {what}: {len(runs)} finished {noun} with a value, {least} are needed at "
            "least"
        )
    return "" if keys else f"no {what}: the {len(runs)} finished runs differ in no key"


def _is_number(values: Sequence[Any]) -> bool:
    return all(type(value) in (int, float) for value in values)


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) >= _WIDE * min(values)


def _study_of(runs: Sequence[Collected], keys: Sequence[str]) -> optuna.Study:
    """A study in memory, of runs whose own study may be elsewhere, or none."""
    kinds: dict[str, optuna.distributions.BaseDistribution] = {}
    params: list[dict[str, Any]] = [{} for _ in runs]
    for key in keys:
        values = [run.config.get(key) for run in runs]
        if _is_number(values):
            numbers = [float(value) for value in values if value is not None]
            kinds[key] = optuna.distributions.FloatDistribution(
                min(numbers), max(numbers), log=_is_wide(numbers)
            )
            shown: list[Any] = numbers
        else:
            shown = [json.dumps(value) for value in values]
            kinds[key] = optuna.distributions.CategoricalDistribution(
                sorted(set(shown))
            )
        for param, value in zip(params, shown, strict=True):
            param[key] = value
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=DIRECTIONS[runs[0].direction])
    for run, param in zip(runs, params, strict=True):
        study.add_trial(
            optuna.create_trial(params=param, distributions=kinds, value=run.value)
        )
    return study


def _on_axis(
    axes: Axes, place: int, key: str, runs: Sequence[Collected]
) -> list[float]:
    values = [run.config.get(key) for run in runs]
    if _is_number(values):
        return _number_axis(axes, place, key, values)
    texts = ["-" if value is None else str(value) for value in values]
    order = sorted(set(texts))
    heights = {text: (k + 0.5) / len(order) for k, text in enumerate(order)}
    _mark(axes, place, {text: heights[text] for text in order})
    return [heights[text] for text in texts]


def _number_axis(
    axes: Axes, place: int, key: str, values: Sequence[Any]
) -> list[float]:
    """Heights of numbers between 0 and 1; the ends of the axis are labelled."""
    numbers = np.array(values, float)
    wide = _is_wide([*map(float, values)])
    shown = np.log(numbers) if wide else numbers
    low, high = shown.min(), shown.max()
    heights = (shown - low) / (high - low) if high > low else np.full(len(shown), 0.5)
    order = np.argsort(numbers)
    ends = {order[0], order[-1]}
    _mark(axes, place, {f"{numbers[k]:.4g}": float(heights[k]) for k in ends})
    return [*map(float, heights)]


def _mark(axes: Axes, place: int, labels: dict[str, float]) -> None:
    axes.plot([place, place], [0, 1], color="#7a7a7a", linewidth=1)
    for text, height in labels.items():
        axes.annotate(
            text,
            (place, height),
            textcoords="offset points",
            xytext=(4, 4),
            fontsize=8,
            bbox={
                "boxstyle": "square,pad=0.1",
                "facecolor": "white",
                "edgecolor": "none",
            },
        )
