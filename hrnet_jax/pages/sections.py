"""Sections of a report: tables of metrics, confusion, distributions, pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_jax.pages import charts, html
from hrnet_jax.pages.findings import Findings, Picture, Rows

# More metrics than these are folded away, and of longer tables the first rows shown.
_METRICS, _ROWS = 12, 20
# With more classes the numbers in the cells would not be legible.
_MOST_CLASSES = 40
_TITLES = {
    "classes": "Classes",
    "confusion": "Which class is taken for which",
    "faces": "Faces, the worst first",
    "images": "Images, the worst first",
    "points": "Points",
}
_ALL_ROWS = "the first {shown} of {all}; scripts/evaluate.py --report writes all"


def faint(text: str) -> html.Markup:
    """A line that explains."""
    return html.tag("p", text, class_="faint")


def metrics(columns: Mapping[str, Mapping[str, float]]) -> list[html.Markup]:
    """Tables of metrics, a column for each run and split.

    Args:
        columns: name -> metric -> value; a metric may be in some alone.
    """
    names = [*dict.fromkeys(name for column in columns.values() for name in column)]
    if not names:
        return [faint("No evaluation is recorded yet.")]
    first = names if len(names) <= _METRICS else [n for n in names if "/" not in n]
    rest = [name for name in names if name not in first]

    def table(chosen: Sequence[str]) -> html.Markup:
        rows = [
            [name, *(_number(column.get(name)) for column in columns.values())]
            for name in chosen
        ]
        return html.table([["metric", *columns], *rows], class_="metrics")

    parts = [table(first)] if first else []
    if rest:
        summary = html.tag("summary", f"{len(rest)} more")
        parts.append(html.tag("details", summary, table(rest)))
    return parts


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def findings(mark: str, found: Findings) -> list[Any]:
    """Everything that an evaluation of one split found.

    Args:
        mark: begins the ids of what needs one.
        found: by the evaluation.
    """
    parts: list[Any] = [html.tag("ul", (html.tag("li", x) for x in found.remarks))]
    if not found.remarks:
        parts = []
    for name, rows in found.tables.items():
        if name == "confusion":
            parts.append(_confusion(rows, found.drawn.get(name)))
        elif name == "ced":
            parts.append(_distribution(f"{mark}-ced", rows))
        else:
            parts.append(_listed(name, rows))
    scores = {
        # As the pictures are called.
        row[0].replace("/", "_"): ", ".join(
            f"{key} {cell}" for key, cell in zip(rows[0][1:], row[1:], strict=True)
        )
        for name in ("images", "faces")
        for rows in [found.tables.get(name) or [[]]]
        for row in rows[1:]
    }
    parts.append(pictures("The worst beside their truth", found.worst, scores))
    return parts


def _listed(name: str, rows: Rows) -> html.Markup:
    title = html.tag("h3", _TITLES.get(name, name.replace("_", " ").capitalize()))
    whole = name in ("classes", "points") or len(rows) - 1 <= _ROWS
    caption = "" if whole else _ALL_ROWS.format(shown=_ROWS, all=len(rows) - 1)
    shown = rows if whole else rows[: _ROWS + 1]
    return html.join([title, html.table(shown, caption, class_=name)])


def _confusion(rows: Rows, drawn: Picture | None) -> html.Markup:
    """A heat table in percent of each true class; of many classes the picture."""
    title = html.tag("h3", _TITLES["confusion"])
    (_corner, *names), *body = rows
    if len(names) > _MOST_CLASSES and drawn is not None:
        text = f"confusion matrix of {len(names)} classes"
        return html.join([title, html.tag("figure", drawn.element(text))])
    counts = np.array([[int(cell) for cell in row[1:]] for row in body])
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    head = html.tag("tr", (html.tag("th", cell, scope="col") for cell in rows[0]))
    lines = (
        html.tag(
            "tr",
            html.tag("th", true, scope="row"),
            (
                html.tag(
                    "td",
                    f"{100 * share:.0f}",
                    style=f"--share:{share:.3f}",
                    title=f"{true} as {predicted}: {count}",
                )
                for predicted, share, count in zip(
                    names, shares[index], counts[index], strict=True
                )
            ),
        )
        for index, true in enumerate(names)
    )
    caption = html.tag("caption", "percent of the pixels of each true class")
    table = html.tag(
        "table", caption, html.tag("thead", head), html.tag("tbody", lines)
    )
    return html.join([title, html.tag("div", table, class_="wide heat", tabindex=0)])


def _distribution(mark: str, rows: Rows) -> html.Markup:
    (across, _), *body = rows
    places, shares = np.array(body, float).T
    title = "Share of faces with at most an error, %"
    curves = {"all faces": charts.thinned(places, shares)}
    chart = charts.chart_of_shares(title, across, curves)
    return html.join(
        [
            html.tag("h3", "Cumulative error distribution"),
            html.tag("div", charts.place(mark, [chart]), class_="charts"),
        ]
    )


def pictures(
    title: str, shown: Sequence[Picture], scores: Mapping[str, str]
) -> html.Markup | None:
    """Pictures, each above its name and scores.

    Args:
        title: above all.
        shown: in their order.
        scores: name of a picture -> what there is to say of it.
    """
    if not shown:
        return None
    return html.join(
        [
            html.tag("h3", title),
            html.tag(
                "div",
                (_figure(picture, scores.get(picture.name, "")) for picture in shown),
                class_="pictures",
            ),
        ]
    )


def _figure(picture: Picture, score: str) -> html.Markup:
    text = f"{picture.name}: {score}" if score else picture.name
    image = picture.element(f"prediction and truth of {picture.name}")
    return html.tag("figure", image, html.tag("figcaption", text))
