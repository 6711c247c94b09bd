"""What an evaluation of landmarks found, as tables and a picture."""

import csv
import io
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hrnet_jax.keypoints.ced import cumulative_error, draw_ced
from hrnet_jax.whole_files import write_whole


def write_report(
    folder: pathlib.Path,
    faces: Sequence[str],
    errors: Mapping[str, np.ndarray],
    default: str,
    of_points: np.ndarray,
    point_names: Sequence[str] = (),
) -> None:
    """Writes `faces.csv`, `points.csv`, `ced.csv` and `ced.png`; errors in percent.

    Args:
        folder: made if it is not there.
        faces: names of the N faces, in the order of the table.
        errors: normaliser -> float [N], fractions.
        default: the normaliser of the points and of the distribution.
        of_points: float [N, K], fractions under it; NaN where a point is not annotated.
        point_names: K names; the points are numbered without any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = [100 * errors[name] for name in errors]
    rows = [
        [face, *(f"{value:.4f}" for value in values)]
        for face, *values in zip(faces, *columns, strict=True)
    ]
    header = ["face", *(f"nme_percent/{name}" for name in errors)]
    write_table(folder / "faces.csv", [header, *rows])
    write_table(folder / "points.csv", point_rows(of_points, point_names, default))
    places, shares = cumulative_error(errors[default])
    corners = [
        [f"{100 * place:.4f}", f"{100 * share:.4f}"]
        for place, share in zip(places, shares, strict=True)
    ]
    write_table(
        folder / "ced.csv", [[f"nme_percent/{default}", "faces_percent"], *corners]
    )
    draw_ced({"all faces": errors[default]}, folder / "ced.png", normalizer=default)


def point_rows(
    of_points: np.ndarray,
    point_names: Sequence[str],
    normalizer: str,
    of: str = "faces",
) -> list[list[str]]:
    """A table of the points: a header, and a row for each.

    Args:
        of_points: float [N, K], fractions; NaN where a point is not annotated.
        point_names: K names; the points are numbered without any.
        normalizer: name of the divisor.
        of: what has the points.

    Returns:
        Cells: name, number of faces (`of`) that have the point, mean, median and largest
        error in percent; empty for a point that no face has.
    """
    names = point_names or [str(index) for index in range(of_points.shape[1])]
    header = ["point", of]
    header += [f"{what}_percent/{normalizer}" for what in ("mean", "median", "largest")]
    rows = [header]
    for name, values in zip(names, 100 * of_points.T, strict=True):
        known = values[np.isfinite(values)]
        found = (known.mean(), np.median(known), known.max()) if len(known) else ()
        cells = [f"{value:.4f}" for value in found] or [""] * 3
        rows.append([name, str(len(known)), *cells])
    return rows


def write_table(path: pathlib.Path, rows: Iterable[Sequence[str]]) -> None:
    """Writes rows as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_whole(path, text.getvalue())
