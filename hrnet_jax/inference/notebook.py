"""What a notebook shows of an opened model: a few lines, never its weights."""

import html
from collections.abc import Mapping
from typing import Any

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.tasks.protocol import Predicts

# Names beyond these are counted: ImageNet has a thousand.
_LISTED = 30


def as_html(
    about: Mapping[str, Any], info: DatasetInfo, task: Predicts | type[Predicts]
) -> str:
    """An HTML table of a model's name, step and metrics above its legend.

    Args:
        about: of an `OpenedModel`; `metrics` and what is text or a number are shown.
        info: classes with their colours, or points.
        task: whether these are points, classes of pixels or of images.
    """
    facts = {key: value for key, value in about.items() if isinstance(value, str | int)}
    for name, value in (about.get("metrics") or {}).items():
        facts[name] = f"{value:.4g}"
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>"
        for key, value in facts.items()
    )
    return f"<table>{rows}</table><p>{_legend(info, task)}</p>"


def _legend(info: DatasetInfo, task: Predicts | type[Predicts]) -> str:
    """Classes, each after its colour where it has one, or points."""
    what = "points" if task.takes_boxes else "classes"
    names = info.point_names if task.takes_boxes else info.image_class_names
    colours: list[Any] = [None] * len(names)
    if task.pixel_maps:
        names = info.class_names
        colours = list(info.palette) or [None] * len(names)
    shown = [
        _entry(name, colour)
        for name, colour in zip(names[:_LISTED], colours, strict=False)
    ]
    if len(names) > _LISTED:
        shown.append(f"and {len(names) - _LISTED} more")
    return f"{len(names)} {what}: {', '.join(shown)}"


def _entry(name: str, colour: tuple[int, int, int] | None) -> str:
    if colour is None:
        return html.escape(name)
    red, green, blue = colour
    square = f'<span style="color:rgb({red},{green},{blue})">&#9632;</span>'
    return f"{square} {html.escape(name)}"
