"""Curves that can be zoomed in a browser; `charts.js` draws them."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_jax.pages import html
from hrnet_jax.training.recorded import (
    RATE,
    Recorded,
    metric_title,
    run_names,
    usual_metrics,
)

SCRIPT = pathlib.Path(__file__).with_name("charts.js")

# Of a longer curve the smallest and the largest value of so many parts are shown.
_PARTS = 1000


def chart_of_metric(name: str, runs: Sequence[Recorded]) -> dict[str, Any]:
    """One metric of all runs, over steps.

    Args:
        name: whole name, `eval/mean_iou`.
        runs: of which some may lack it; each has one colour in all charts.
    """
    series = []
    for colour, (label, run) in enumerate(zip(run_names(runs), runs, strict=True)):
        if name in run.curves:
            steps, values = thinned(*run.curves[name])
            points = name.startswith("eval/") or len(steps) < 2
            series.append(_series(label, colour, steps, values, points))
    rates = [value for one in series for value in one["y"] if value]
    log = name == RATE and len(rates) > 1 and max(rates) >= 10 * min(rates)
    return {"title": metric_title(name), "x": "step", "log": log, "series": series}


def chart_of_shares(
    title: str, across: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, Any]:
    """Step functions in percent, as cumulative distributions are.

    Args:
        title: of the chart.
        across: what is along it.
        curves: name -> (places, shares from 0 to 100), ascending.
    """
    series = [
        _series(name, colour, *curve, points=False)
        for colour, (name, curve) in enumerate(curves.items())
    ]
    last = max(float(places[-1]) for places, _ in curves.values())
    return {
        "title": title,
        "x": across,
        "log": False,
        "steps": True,
        "series": series,
        "xRange": [0, last or 1],
        "yRange": [0, 100],
    }


def _series(
    name: str, colour: int, x: np.ndarray, y: np.ndarray, points: bool
) -> dict[str, Any]:
    """One curve; JSON has no numbers that are not finite, and JavaScript no gaps."""
    return {
        "name": name,
        "colour": colour,
        "points": points,
        "x": [float(f"{value:.7g}") for value in x],
        "y": [float(f"{value:.7g}") if np.isfinite(value) else None for value in y],
    }


def thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve of no more points than can be told apart; its peaks stay.

    Args:
        steps: int [N].
        values: float [N]; those that are not finite stay as well.

    Returns:
        The same where N is small, else the first, the last, the smallest and the
        largest of each of a thousand parts, in their order.
    """
    if len(values) <= 2 * _PARTS:
        return steps, values
    kept = {0, len(values) - 1, *np.flatnonzero(~np.isfinite(values)).tolist()}
    edges = np.linspace(0, len(values), _PARTS + 1).astype(int)
    for first, last in itertools.pairwise(edges):
        part = values[first:last]
        if np.isfinite(part).any():
            kept |= {first + int(np.nanargmin(part)), first + int(np.nanargmax(part))}
    chosen = sorted(kept)
    return steps[chosen], values[chosen]


def charts_of_runs(runs: Sequence[Recorded]) -> html.Markup:
    """The usual metrics of runs, a chart each, and one with a menu of all others."""
    usual = usual_metrics(runs)
    names = dict.fromkeys(name for run in runs for name in sorted(run.curves))
    others = [name for name in names if name not in usual]
    parts = [
        place(f"curve-{number}", [chart_of_metric(name, runs)])
        for number, name in enumerate(usual)
    ]
    if others:
        parts.append(
            place("curve-other", [chart_of_metric(name, runs) for name in others])
        )
    return html.tag("div", parts, class_="charts")


def place(name: str, charts: Sequence[dict[str, Any]]) -> html.Markup:
    """Where charts are to be drawn, with what; a menu chooses among several.

    Args:
        name: unique in the page.
        charts: at least one.
    """
    # A metric by name: no script may be there to draw it.
    titles = ", ".join(chart["title"] for chart in charts[:3])
    return html.join(
        [
            html.data(name, charts),
            html.tag(
                "div",
                html.tag("noscript", f"{titles}: needs JavaScript"),
                class_="chart",
                data_charts=name,
            ),
        ]
    )
