"""The picture of several profiles: bars by kind, and where stages are below the roof."""

import os
import pathlib

import numpy as np

from benchmarks.profiling.attribution import BODY, KINDS
from hrnet_jax.errors import ConfigError

# Work of the network in distinct colours, everything around it in greys.
_COLORS = {
    "convolution": "#1f5f8b",
    "norm": "#f2a541",
    "elementwise": "#6aa84f",
    "exchange": "#5aa9e6",
    "upsampling": "#c94f4f",
    "head": "#8e6bbf",
    "proposals": "#b5651d",
    "matching": "#e0c341",
    "regions": "#3b7a57",
    "detections": "#a03070",
    "loss": "#d98cb3",
    "optimiser": "#8c6d46",
    "input": "#2a9d8f",
    "copies": "#4d4d4d",
    "unattributed": "#999999",
    "waiting": "#dddddd",
}
_SHOWN_STAGES = (*BODY, "head", "loss", "optimiser")
_MARKERS = {"infer": "o", "train": "s"}
# Names of stages keep this distance, in points.
_APART = (34, 8)


def check_format(path: str | os.PathLike) -> None:
    """Fails for a file that could not be drawn.

    Raises:
        ConfigError: naming the formats.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    known = FigureCanvasAgg.get_supported_filetypes()
    if pathlib.Path(path).suffix.removeprefix(".") not in known:
        raise ConfigError(
            f"cannot draw {os.fspath(path)}; expected a name that ends in one of "
            f".{', .'.join(sorted(known))}"
        )


def draw_profiles(results: list[dict], machine: dict, path: str | os.PathLike) -> None:
    """Writes the picture.

    Args:
        results: from `profile_case`.
        machine: from `Machine.as_dict`.
        path: of the file; its suffix chooses the format.
    """
    # Without a window, whatever the machine has; imported late, for it is slow.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = 0.34 * len(results)
    figure = Figure(figsize=(9.6, 4.6 + bars), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(
        2, 1, height_ratios=[bars + 1.0, 3.6], gridspec_kw={"hspace": 0.08}
    )
    _draw_bars(top, results)
    _draw_roofline(bottom, results, machine)
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.savefig(path)


def _draw_bars(axes, results: list[dict]) -> None:
    """Share of the time by kind; the time itself at the end of each bar."""
    used = [kind for kind in KINDS if any(kind in one["kinds"] for one in results)]
    left = np.zeros(len(results))
    rows = np.arange(len(results))
    for kind in used:
        shares = np.array(
            [
                100 * one["kinds"].get(kind, {"seconds": 0})["seconds"]
                / one["total"]["seconds"]
                for one in results
            ]
        )  # fmt: skip
        color = _COLORS[kind]
        axes.barh(rows, shares, left=left, height=0.72, color=color, label=kind)
        for row, (start, share) in enumerate(zip(left, shares, strict=True)):
            if share >= 5:
                axes.text(
                    *(start + share / 2, row, f"{share:.0f}"),
                    ha="center", va="center", fontsize=7, color=_ink(color),
                )  # fmt: skip
        left += shares
    for row, one in enumerate(results):
        axes.text(101, row, _time(one["median_s"]), va="center", fontsize=8)
    axes.set_yticks(rows, [_name(one) for one in results])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xlim(0, 108)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("share of the time, %", fontsize=8)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=6,
        fontsize=8,
        frameon=False,
    )


def _draw_roofline(axes, results: list[dict], machine: dict) -> None:
    """Stages of every case below the roof; the area of a mark is its time."""
    peak, bandwidth = machine["peak_flops"], machine["peak_bandwidth"]
    models = list(dict.fromkeys(map(_model, results)))
    points = []
    for one in results:
        color = f"C{models.index(_model(one)) % 10}"
        for stage in _SHOWN_STAGES:
            work = one["stages"].get(stage)
            if not work or not work["flops"] or not work["seconds"]:
                continue
            share = work["seconds"] / one["total"]["seconds"]
            point = work["flops_per_byte"], work["flops_per_s"] / 1e9
            marker = _MARKERS[_mode(one)]
            axes.scatter(
                *point, s=10 + 700 * share, color=color, marker=marker,
                alpha=0.5, linewidths=0.6, edgecolors="white",
            )  # fmt: skip
            points.append((share, stage, point))
    ends = [point[2][0] for point in points] + [peak / bandwidth]
    x = np.geomspace(min(ends) / 2, max(ends) * 3, 200)
    axes.plot(x, np.minimum(peak, x * bandwidth) / 1e9, color="black", linewidth=1.2)
    axes.set(xscale="log", yscale="log")
    if len(results) <= 2:  # More would cover each other.
        _name_stages(axes, points)
    _name_roof(axes, x, peak, bandwidth)
    axes.set_xlabel("FLOP per byte that kernels read and write", fontsize=8)
    axes.set_ylabel("GFLOP/s", fontsize=8)
    axes.grid(alpha=0.2)
    for index, model in enumerate(models):
        axes.scatter([], [], color=f"C{index % 10}", label=model)
    for mode in dict.fromkeys(map(_mode, results)):
        axes.scatter([], [], color="gray", marker=_MARKERS[mode], label=mode)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _name_stages(axes, points: list[tuple]) -> None:
    """Names the stages that take longest, where there is space."""
    to_points = 72 / axes.figure.dpi
    taken: list[np.ndarray] = []
    for share, stage, point in sorted(points, reverse=True):
        place = axes.transData.transform(point) * to_points
        free = all(np.any(np.abs(place - other) > _APART) for other in taken)
        if share >= 0.02 and free:
            taken.append(place)
            axes.annotate(
                stage, point, xytext=(6, -3), textcoords="offset points", fontsize=7
            )


def _name_roof(axes, x: np.ndarray, peak: float, bandwidth: float) -> None:
    for text, place, align in (
        (f"{peak / 1e9:.0f} GFLOP/s", (x[-1], peak / 1e9), "right"),
        (f"{bandwidth / 1e9:.0f} GB/s ", (x[20], x[20] * bandwidth / 1e9), "right"),
    ):
        axes.annotate(
            text, place, ha=align, va="bottom", xytext=(0, 2),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip


def _model(result: dict) -> str:
    """`segmentation/w18:train:1x512x1024` as `w18 segmentation`."""
    family, _, variant = result["case"].split(":")[0].partition("/")
    return f"{variant} {family}"


def _mode(result: dict) -> str:
    return result["case"].split(":")[1]


def _name(result: dict) -> str:
    return f"{_model(result)}, {_mode(result)} {result['case'].split(':')[2]}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.0f} ms"


def _ink(color: str) -> str:
    """White on dark colours, black on light ones."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 140 else "black"
