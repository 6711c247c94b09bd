"""The picture of a confusion matrix."""

import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from hrnet_jax.imaging.pictures import save_figure

# With more classes the numbers in the cells would not be legible.
_MAX_NUMBERS = 24


def draw_confusion(
    confusion: np.ndarray,
    class_names: Sequence[str],
    out: pathlib.Path,
    *,
    of: str,
    totals: np.ndarray | None = None,
) -> None:
    """Draws a confusion matrix: of each true class, the share predicted as each.

    Args:
        confusion: int [K, K], rows are true classes.
        class_names: K names.
        out: picture file to write.
        of: what is counted, such as `pixels`.
        totals: int [K], counted of each true class, where it was predicted as others
            than these K as well.
    """
    count = len(class_names)
    totals = confusion.sum(1) if totals is None else totals
    shares = confusion / np.maximum(1, totals)[:, None]
    side = float(np.clip(2.5 + 0.45 * count, 4, 24))
    # Not through pyplot, which has one state with the notebook that calls this.
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = 9 if count <= _MAX_NUMBERS else 5
    axes.set_xticks(range(count), class_names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), class_names, fontsize=size)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"percent of the {of} of each true class", loc="left", fontsize=10)
    if count <= _MAX_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.5 else "black"
            text = f"{100 * share:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, size=8)
    save_figure(figure, out, dpi=110)
