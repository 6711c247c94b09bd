"""The cumulative error distribution as a picture."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pictures import save_figure
from hrnet_jax.keypoints.metrics import THRESHOLDS, auc, failure_rate

_COLOURS = ("#2f6fd0", "#d9822b", "#1f9e83", "#c8437b", "#6b5fc7", "#7a7a7a", "#a0522d")
_STYLES = ("-", "--", ":")


def cumulative_error(nme: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the step function: the share of faces with at most an error.

    Args:
        nme: float [N], fractions, in any order.

    Returns:
        float64 [N + 1] errors, ascending from 0, and float64 [N + 1] shares: from
        each error on, up to the next, the distribution has this value.
    """
    errors = np.sort(np.asarray(nme, np.float64))
    return np.concatenate([[0], errors]), np.arange(len(errors) + 1) / len(errors)


def _draw_curve(
    axes: Any, index: int, values: np.ndarray, limit: float, label: str
) -> None:
    """One curve in the colour and style of its index."""
    errors, shares = cumulative_error(values)
    # Up to the edge of the plot, also where no face has a larger error.
    errors, shares = np.append(errors, np.inf), np.append(shares, shares[-1])
    axes.step(
        100 * np.minimum(errors, 2 * limit),
        100 * shares,
        where="post",
        color=_COLOURS[index % len(_COLOURS)],
        linestyle=_STYLES[index // len(_COLOURS) % len(_STYLES)],
        label=label,
    )


def draw_ced(
    curves: Mapping[str, np.ndarray],
    out: str | os.PathLike,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    normalizer: str,
) -> None:
    """Plots the share of faces against the error that they stay below.

    The legend gives, for each curve, the mean error and at each threshold the
    failure rate (FR) and the area under the curve (AUC, see `metrics.auc`).

    Args:
        curves: name -> errors of its faces, float [N], fractions.
        out: picture file to write; its suffix is the format.
        thresholds: fractions; the axis ends at the largest.
        normalizer: name on the axis; underscores read as hyphens.

    Raises:
        ValueError: for no curve, a curve without faces, or a threshold that is not
            positive.
        DataError: for errors that are not finite, and where the file cannot be
            written.
    """
    if not curves or not thresholds:
        raise ValueError("expected at least one curve and one threshold")
    labels = {name: _label(name, values, thresholds) for name, values in curves.items()}
    limit = max(thresholds)
    # Not through pyplot, which has one state with the notebook that calls this.
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for index, (name, values) in enumerate(curves.items()):
        _draw_curve(axes, index, values, limit, labels[name])
    for threshold in thresholds:
        axes.axvline(100 * threshold, color="#9a9da3", linewidth=0.8, dashes=(4, 3))
    axes.set_title("cumulative error distribution", loc="left", fontsize=10)
    axes.set_xlabel(f"error normalised by {normalizer.replace('_', '-')}, %")
    axes.set_ylabel("faces with at most this error, %")
    axes.set_xlim(0, 100 * limit)
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    try:
        save_figure(figure, out, dpi=110)
    except (OSError, ValueError) as error:  # also for an unknown format
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{out}: cannot be written ({reason})") from None


def _label(name: str, nme: np.ndarray, thresholds: Sequence[float]) -> str:
    """Legend entry of one curve, in percent."""
    rates = [
        f"at {threshold:.2f}: FR {100 * failure_rate(nme, threshold):.2f} %, "
        f"AUC {100 * auc(nme, threshold):.2f} %"
        for threshold in thresholds
    ]
    count = len(np.asarray(nme))
    faces = "1 face" if count == 1 else f"{count} faces"
    head = f"{name}, {faces}: NME {100 * np.mean(nme):.2f} %"
    return "\n".join([head, *rates])
