"""Draws the scaling of an experiment over slices."""

import pathlib
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.pictures import save_figure
from hrnet_jax.planning.plan import Plan

_COLOURS = {"compute": "#4477aa", "HBM": "#ee6677", "interconnect": "#228833"}


def draw_scaling(plans: Sequence[Plan], title: str, path: pathlib.Path) -> None:
    """Draws images a second over chips, and where the time of a step goes.

    Above: images/s of all chips, at the roofline and as the compiler expects, and in
    grey the rate of the first plan's chips scaled without losses. Below: the
    parts of the roofline of each train step, stacked, and the compiler's expectation.

    Args:
        plans: of one experiment; those that do not fit are left out.
        title: of the picture.
        path: picture to write, `.png` or `.svg`.

    Raises:
        ConfigError: if nothing fits, or the file cannot be written.
    """
    fitting = sorted(
        (plan for plan in plans if plan.train.times), key=lambda plan: plan.slice.chips
    )
    if not fitting:
        raise ConfigError("nothing to draw: the train step fits on none of the slices")
    with matplotlib.rc_context({"font.size": 10}):
        # Not through pyplot: it would look for a screen.
        figure = Figure(figsize=(7, 7), layout="constrained")
        above, below = figure.subplots(2, 1)
        figure.suptitle(title)
        _draw_rate(above, fitting)
        _draw_parts(below, fitting)
        try:
            save_figure(figure, path, dpi=150)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: cannot be written: {error}") from error


def _draw_rate(axes: Axes, plans: Sequence[Plan]) -> None:
    for chip in dict.fromkeys(plan.slice.chip.name for plan in plans):
        own = [plan for plan in plans if plan.slice.chip.name == chip]
        for which, style in (("roofline", "o-"), ("expected", "s--")):
            rated = [
                (plan.slice.chips, rate)
                for plan in own
                if (rate := plan.images_per_second(which)) is not None
            ]
            chips, rates = [count for count, _ in rated], [rate for _, rate in rated]
            axes.plot(chips, rates, style, label=f"{chip}, {which}")
            ideal = [rates[0] / chips[0] * count for count in chips]
            axes.plot(chips, ideal, color="grey", linewidth=0.8, zorder=0)
            for (count, rate), best in zip(rated, ideal, strict=True):
                axes.annotate(
                    f"{rate:.3g}/s, {rate / best:.0%}",
                    (count, rate),
                    xytext=(0, 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    ticks = sorted({plan.slice.chips for plan in plans})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.15, y=0.15)
    axes.set_xlabel("chips")
    axes.set_ylabel("training images/s, all chips")
    axes.legend(fontsize=8)


def _draw_parts(axes: Axes, plans: Sequence[Plan]) -> None:
    names = [f"{plan.slice.name}\n{plan.train.batch_size} images" for plan in plans]
    times = [plan.train.times for plan in plans if plan.train.times is not None]
    places = np.arange(len(times))
    bottom = np.zeros(len(times))
    for part, colour in _COLOURS.items():
        heights = 1e3 * np.array([each.parts[part] for each in times])
        axes.bar(places, heights, 0.5, bottom=bottom, color=colour, label=part)
        bottom += heights
    expected = [1e3 * each.compiler for each in times]
    axes.plot(places, expected, "k_", markersize=30, label="compiler's expectation")
    axes.set_xticks(places, names)
    axes.set_ylabel("ms of a train step")
    axes.legend(fontsize=8)
