"""Counted figures beside published ones, as text and as JSON."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from hrnet_jax.config.tables import columns
from hrnet_jax.inspection.inspection import Inspection, Parameter
from hrnet_jax.inspection.published import (
    GIBI,
    GIGA,
    MEBI,
    Published,
    published,
    quantity,
)
from hrnet_jax.registry import create_model

_HEADINGS = (
    ("model", ""),
    ("input", ""),
    ("outputs", ""),
    ("parameters", ""),
    ("multiply-adds", "G (1e9)"),
    ("the same", "Gi (1024**3)"),
    ("here", "G (1e9)"),
    ("inference", "MiB"),
    ("training", "MiB"),
    ("published", ""),
    ("", ""),
)
_ALIGN = "lrrrrrrrrll"

_LEGEND = """\
parameters: trainable. multiply-adds: of the convolutions and linear layers of the
official program, as the publications count them. here: what this implementation
executes; its heads convolve before they upsample, and upsampling may be a product.
inference: most memory of activations at a time. training: activations kept for the
backward pass. Both in float32 for one image, weights not counted.
published: M is 1e6, Mi 2**20, G 1e9, Gi 1024**3; agrees: to the last digit printed,
rounded or cut."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A published line and where it deviates from what was counted.

    Attributes:
        record: the published line.
        deviations: one text for each figure that does not agree.
    """

    record: Published
    deviations: tuple[str, ...]

    @property
    def remark(self) -> str:
        """Source, deviations and what is known; empty if there is nothing to say."""
        if not self.deviations and not self.record.note:
            return ""
        prints = f" prints {' and '.join(self.deviations)}" if self.deviations else ""
        note = f": {self.record.note}" if self.record.note else ""
        return f"{self.record.source}{prints}{note}"


def compare(inspection: Inspection) -> list[Comparison]:
    """Published figures of exactly this model, number of outputs and size.

    Nothing is, about another representation than the family's own.
    """
    model = create_model(inspection.model)
    if model.representations and model.representation != inspection.representation:
        return []
    records = published(inspection.model, inspection.outputs, inspection.size)
    return [Comparison(record, _deviations(inspection, record)) for record in records]


def format_table(inspections: Sequence[Inspection]) -> str:
    """A table of models beside what is published, remarks and legend below it."""
    rows: list[tuple[str, ...]] = []
    remarks: dict[str, int] = {}
    for inspection in inspections:
        cells = _cells(inspection)
        comparisons: list[Comparison | None] = [*compare(inspection)]
        for comparison in comparisons or [None]:
            rows.append((*cells, *_published_cells(comparison, remarks)))
            cells = ("",) * len(cells)
    headings = [tuple(heading[line] for heading in _HEADINGS) for line in (0, 1)]
    lines = columns([*headings, *rows], _ALIGN)
    lines.insert(2, "-" * max(map(len, lines)))
    lines += ["", *(f"[{number}] {text}" for text, number in remarks.items())]
    if remarks:
        lines.append("")
    return "\n".join([*lines, _LEGEND]) + "\n"


def format_parameters(parameters: Iterable[Parameter]) -> str:
    """Names, shapes and types, one array a line, and the total of each collection."""
    parameters = list(parameters)
    rows = [
        (item.name, "x".join(map(str, item.shape)), item.dtype) for item in parameters
    ]
    lines = columns(rows)
    for collection, group in itertools.groupby(
        parameters, key=lambda item: item.name.partition("/")[0]
    ):
        items = list(group)
        lines.append(
            f"{collection}: {sum(item.count for item in items):,} values in "
            f"{len(items)} arrays, {sum(item.bytes for item in items) / MEBI:.1f} MiB"
        )
    return "\n".join(lines) + "\n"


def as_json(inspections: Iterable[Inspection]) -> list[dict[str, Any]]:
    """One dictionary a model: exact counts, bytes, and what is published."""
    return [
        {
            field.name: getattr(inspection, field.name)
            for field in dataclasses.fields(inspection)
            if field.name != "shapes"
        }
        | {
            "published_convention": inspection.published_convention,
            "published": [
                dataclasses.asdict(comparison.record)
                | {"agrees": not comparison.deviations, "remark": comparison.remark}
                for comparison in compare(inspection)
            ],
        }
        for inspection in inspections
    ]


def _deviations(inspection: Inspection, record: Published) -> tuple[str, ...]:
    texts = []
    if not record.parameters_agree(inspection.parameters):
        unit = record.parameters_unit
        count = inspection.parameters + record.other_parameters
        texts.append(
            f"{quantity(record.parameters, unit)} parameters "
            f"(counted: {quantity(count / unit, unit)})"
        )
    if not record.multiply_adds_agree(inspection.published_convention):
        unit = record.multiply_adds_unit
        count = inspection.published_convention
        texts.append(
            f"{quantity(record.multiply_adds, unit)} multiply-adds "
            f"(counted: {quantity(count / unit, unit)})"
        )
    return tuple(texts)


def _cells(inspection: Inspection) -> tuple[str, ...]:
    height, width = inspection.size
    return (
        inspection.model,
        f"{height}x{width}",
        "-" if inspection.outputs is None else str(inspection.outputs),
        f"{inspection.parameters:,}",
        f"{inspection.published_convention / GIGA:.3f}",
        f"{inspection.published_convention / GIBI:.3f}",
        f"{inspection.multiply_adds / GIGA:.3f}",
        f"{inspection.peak_bytes / MEBI:.1f}",
        f"{inspection.training_bytes / MEBI:.1f}",
    )


def _published_cells(
    comparison: Comparison | None, remarks: dict[str, int]
) -> tuple[str, str]:
    """Published figures and whether they agree; new remarks get the next number."""
    if comparison is None:
        return "-", ""
    verdict = "off" if comparison.deviations else "agrees"
    if comparison.remark:
        number = remarks.setdefault(comparison.remark, len(remarks) + 1)
        verdict = f"{verdict} [{number}]"
    return _printed(comparison.record), verdict


def _printed(record: Published) -> str:
    figures = (
        (record.parameters, record.parameters_unit),
        (record.multiply_adds, record.multiply_adds_unit),
    )
    return ", ".join(quantity(value, unit) for value, unit in figures if value)
