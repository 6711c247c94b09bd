"""Tables of runs: for a terminal, in Markdown, CSV and HTML."""

import base64
import csv
import html
import io
import math
import pathlib
from collections.abc import Sequence
from typing import Any

from hrnet_jax.config.tables import markdown
from hrnet_jax.storage.paths import absolute, name_of
from hrnet_jax.sweeps.collecting import Collected, differing_keys

_MISSING = "-"
# Of the only columns whose text is long.
_LONGEST = 100

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: left; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
img {{ display: block; margin: 2em 0; max-width: 100%; }}
</style>
<h1>{title}</h1>
{table}
{remarks}
{pictures}
"""


def table_of(runs: Sequence[Collected]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what came out, then what differs, in the order of the runs."""
    keys = differing_keys(runs)
    names = list(dict.fromkeys(run.metric for run in runs if run.metric))
    fails = any(run.message for run in runs)
    header = ["run", names[0] if len(names) == 1 else "value"]
    header += ["metric"] if len(names) > 1 else []
    header += ["step", "time", "state", *keys, *(["message"] if fails else [])]
    labels = _labels(runs)
    rows = []
    for run, label in zip(runs, labels, strict=True):
        row = [label, _MISSING if run.value is None else f"{run.value:.4f}"]
        row += [run.metric or _MISSING] if len(names) > 1 else []
        row += [_text(run.step), _duration(run.seconds), run.state]
        row += [_text(run.config[k]) if k in run.config else _MISSING for k in keys]
        row += [run.message or _MISSING] if fails else []
        rows.append(row)
    return header, rows


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads in a terminal too; long texts are cut."""
    short = [[_escaped(_cut(cell)) for cell in row] for row in rows]
    return markdown([_escaped(name) for name in header], short, _alignment(header))


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as comma-separated values; a cell without a value is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(
        [["" if cell == _MISSING else cell for cell in row] for row in rows]
    )
    return text.getvalue()


def as_html(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    remarks: Sequence[str] = (),
    pictures: Sequence[pathlib.Path] = (),
) -> str:
    """A page that needs no other file.

    Args:
        title: of the page.
        header: of the table.
        rows: of the table.
        remarks: a line each.
        pictures: PNG files.
    """
    cells = [f"<tr>{''.join(f'<th>{html.escape(name)}</th>' for name in header)}</tr>"]
    for row in rows:
        shown = "".join(
            f"<td{' class=number' if side == 'r' else ''}>{html.escape(cell)}</td>"
            for cell, side in zip(row, _alignment(header), strict=True)
        )
        cells.append(f"<tr>{shown}</tr>")
    images = [
        f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,'
        f'{base64.b64encode(path.read_bytes()).decode()}">'
        for path in pictures
    ]
    return _PAGE.format(
        title=html.escape(title),
        table="<table>\n" + "\n".join(cells) + "\n</table>",
        remarks="\n".join(f"<p>{html.escape(remark)}</p>" for remark in remarks),
        pictures="\n".join(images),
    )


def _alignment(header: Sequence[str]) -> str:
    numbers = {1, header.index("step"), header.index("time")}
    return "".join("r" if place in numbers else "l" for place in range(len(header)))


def _labels(runs: Sequence[Collected]) -> list[str]:
    """The last folders of runs, or their whole paths where these are alike."""
    names = [name_of(absolute(run.workdir)) for run in runs]
    alike = len(set(names)) < len(names)
    return [str(run.workdir) for run in runs] if alike else names


def _text(value: Any) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return _MISSING
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _escaped(text: str) -> str:
    return text.replace("|", r"\|")
