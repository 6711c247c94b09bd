"""Draws the curves of runs from their `metrics.jsonl`."""

import os
import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure

from hrnet_jax.errors import CheckpointError
from hrnet_jax.training.reporting import METRICS_FILE, read_metrics

CURVES_FILE = "curves.png"

_COLOURS = ("#2f6fd0", "#d9822b", "#1f9e83", "#c8437b", "#6b5fc7", "#7a7a7a")


def draw_curves(
    workdirs: Sequence[str | os.PathLike], metric: str, out: str | os.PathLike
) -> None:
    """Plots training loss, an evaluation metric and the learning rate by step.

    Args:
        workdirs: one line each; named by their last folder.
        metric: evaluation metric without `eval/`, for example `mean_iou`.
        out: picture file to write.

    Raises:
        CheckpointError: if a directory has no metrics yet.
    """
    # Not through pyplot, which has one state with the notebook that calls this.
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    keys = ("train/loss", f"eval/{metric}", "train/learning_rate")
    titles = ("training loss", f"evaluation {metric}", "learning rate")
    for colour, workdir in zip(_cycle(len(workdirs)), workdirs, strict=True):
        lines = read_metrics(workdir)
        if not lines:
            raise CheckpointError(
                f"{pathlib.Path(workdir) / METRICS_FILE}: missing or empty; "
                "expected the work directory of a run"
            )
        label = pathlib.Path(workdir).name
        for axis, key in zip(axes, keys, strict=True):
            # Of text, which is what numbers are kept as that are not finite.
            points = [(line["step"], float(line[key])) for line in lines if key in line]
            marker = "o" if key.startswith("eval/") else None
            axis.plot(
                *zip(*points, strict=True) if points else ([], []),
                color=colour,
                marker=marker,
                label=label,
            )
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    if len(workdirs) > 1:
        axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(out, dpi=110)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]
