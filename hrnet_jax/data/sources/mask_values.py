"""Which class each value of own masks stands for."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hrnet_jax.data.files.label_files import (
    COLOUR_ADVICE,
    LARGEST_VALUE,
    NOT_A_LABEL,
    grey_values,
    is_coloured,
    read_label,
)
from hrnet_jax.data.info import IGNORE_LABEL
from hrnet_jax.errors import DataError

NO_IGNORE_LABEL = -1
IGNORE = "ignore"

# Ends every refusal of a value.
ADVICE = (
    "--option label_map=VALUE:LABEL,... gives values a class, --option "
    "ignore_label=VALUE ignores one"
)


@dataclasses.dataclass(frozen=True)
class MaskValues:
    """What the values of masks stand for.

    Attributes:
        labels: the label of every value that a mask may hold, 255 where it is ignored.
        assumed: value 255 is ignored only because no option says what it is.
    """

    labels: Mapping[int, int]
    assumed: bool

    def table(self) -> np.ndarray:
        """For `apply_table`: int16 [largest value + 1]."""
        table = np.full(max(self.labels) + 1, NOT_A_LABEL, np.int16)
        table[list(self.labels)] = list(self.labels.values())
        return table

    def meaning(self, num_classes: int) -> str:
        """The values in words, and what a user can do about others."""
        used = sorted(v for v, label in self.labels.items() if label != IGNORE_LABEL)
        ignored = sorted(self.labels.keys() - set(used))
        ranges = f"0..{len(used) - 1}" if used == list(range(len(used))) else f"{used}"
        also = f" or {', '.join(map(str, ignored))} (ignored)" if ignored else ""
        return f"{ranges}{also} for {num_classes} classes; {ADVICE}"


def mask_values(
    names: Sequence[str],
    label_values: Sequence[int],
    label_map: Sequence[str],
    ignore_label: int | None,
) -> MaskValues:
    """What the values stand for by the options of a user.

    Args:
        names: of the classes.
        label_values: the value of each class, if not 0, 1, 2, ...
        label_map: `VALUE:LABEL` for each value instead; `VALUE:ignore` ignores it.
        ignore_label: a value to ignore, -1 for none; None for 255, unless that is the
            value of a class.

    Raises:
        DataError: naming the option and the value at fault.
    """
    if label_map and label_values:
        raise DataError(
            "label_map and label_values both say what mask values stand for; give one "
            "of them"
        )
    labels = _mapped(label_map, names) if label_map else _listed(label_values, names)
    assumed = ignore_label is None and IGNORE_LABEL not in labels
    if ignore_label is None:
        ignore_label = IGNORE_LABEL if assumed else NO_IGNORE_LABEL
    if not NO_IGNORE_LABEL <= ignore_label <= LARGEST_VALUE:
        raise DataError(f"ignore_label must be -1..{LARGEST_VALUE}, got {ignore_label}")
    label = labels.get(ignore_label, IGNORE_LABEL)
    if label != IGNORE_LABEL:
        raise DataError(
            f"ignore_label {ignore_label} is also the mask value of class "
            f"{names[label]!r}; give another ignore_label, {NO_IGNORE_LABEL} for none"
        )
    if ignore_label != NO_IGNORE_LABEL:
        labels[ignore_label] = IGNORE_LABEL
    return MaskValues(labels, assumed)


def ask_about_255(
    masks: Iterable[Path], names: Sequence[str], has_colours: bool
) -> None:
    """Refuses masks of 0 and 255 only: 255 is often the second class, and not void.

    In a set where 255 is void, some mask shows a class other than the first; reading
    ends at that mask.

    Args:
        masks: all masks of a set for which no option says what 255 is.
        names: of the classes.
        has_colours: RGB masks are read by the colours of the classes.

    Raises:
        DataError: asking which of both it is; for a mask that cannot be read.
    """
    example = None
    for path in masks:
        if has_colours and is_coloured(path):
            continue
        values = grey_values(read_label(path), path, COLOUR_ADVICE)
        white = values == 255
        if (values[~white] != 0).any():
            return
        if example is None and white.any():
            example = path
    if example is not None:
        raise DataError(
            f"the masks hold only 0 and 255 (255 for example in {example}): is 255 "
            f"class 1 ({names[1]}), then give --option label_map=0:0,255:1, or is it "
            "ignored, then give --option ignore_label=255"
        )


def _listed(label_values: Sequence[int], names: Sequence[str]) -> dict[int, int]:
    values = label_values or range(len(names))
    if len(values) != len(names):
        raise DataError(
            f"label_values gives {len(values)} values for {len(names)} classes"
        )
    good = all(0 <= value <= LARGEST_VALUE for value in values)
    if len(set(values)) != len(values) or not good:
        raise DataError(
            f"label_values must be different and 0..{LARGEST_VALUE}, got {list(values)}"
        )
    return {value: label for label, value in enumerate(values)}


def _mapped(label_map: Sequence[str], names: Sequence[str]) -> dict[int, int]:
    labels: dict[int, int] = {}
    for text in label_map:
        parts = re.fullmatch(rf"(\d+)\s*:\s*(\d+|{IGNORE})", text.strip(), re.ASCII)
        if parts is None:
            raise DataError(
                f"label_map entry {text!r} is not of the form VALUE:LABEL, as in "
                f"255:1, or VALUE:{IGNORE}"
            )
        value = int(parts[1])
        label = IGNORE_LABEL if parts[2] == IGNORE else int(parts[2])
        if value > LARGEST_VALUE:
            raise DataError(
                f"label_map entry {text!r}: mask values are 0..{LARGEST_VALUE}"
            )
        if value in labels:
            raise DataError(f"label_map gives mask value {value} twice")
        if parts[2] != IGNORE and label >= len(names):
            raise DataError(
                f"label_map entry {text!r}: there is no class {label}; expected "
                f"0..{len(names) - 1} ({', '.join(names)}) or {IGNORE}"
            )
        labels[value] = label
    return labels
