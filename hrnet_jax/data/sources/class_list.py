"""Names of own classes, and their colours where the user gives some."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hrnet_jax.data.files.label_files import Colour, hex_colour
from hrnet_jax.data.files.text_tables import text_rows
from hrnet_jax.data.info import IGNORE_LABEL
from hrnet_jax.errors import DataError

# What CVAT calls its list of classes.
LABEL_MAP = "labelmap.txt"

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
# What somebody meant to be a colour; `item #2` is a name.
_LIKE_A_COLOUR = re.compile(r"#[0-9a-fA-F]{3,}")


@dataclasses.dataclass(frozen=True)
class ClassList:
    """Classes in label order.

    Attributes:
        names: of the classes.
        colours: a colour for each class, or none at all.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def labels_of_colours(self, ignored: Sequence[str]) -> Mapping[Colour, int]:
        """The label of each colour of a mask, 255 where it is ignored.

        Args:
            ignored: colours as `#000000`.

        Raises:
            DataError: for an ignored colour that is none, or that of a class; for
                ignored colours where classes have none.
        """
        labels = {colour: label for label, colour in enumerate(self.colours)}
        for text in ignored:
            colour = _colour(text, "ignore_colours")
            if not self.colours:
                raise DataError(
                    f"ignore_colours={text} goes with colours of the classes; write "
                    "one behind each name, as in 'sky #87ceeb'"
                )
            if labels.get(colour, IGNORE_LABEL) != IGNORE_LABEL:
                name = self.names[labels[colour]]
                raise DataError(
                    f"ignore_colours={text} is also the colour of class {name!r}"
                )
            labels[colour] = IGNORE_LABEL
        return labels


def read_classes(given: Sequence[str], path: Path) -> ClassList:
    """The classes of an option, or else of a file.

    Args:
        given: `name` or `name #87ceeb` of each class.
        path: of a text file with the same, one class a line, perhaps behind its label;
            or of CVAT's `labelmap.txt`.

    Raises:
        DataError: if neither names 2 to 255 different classes; for colours that some
            classes lack or share.
    """
    if given:
        lines, where = list(given), "option classes"
    elif path.is_file():
        rows, where = text_rows(path), str(path)
        if path.name == LABEL_MAP:
            lines = [_of_label_map(text, f"{path}:{k}") for k, text in rows if text]
            lines = [line for line in lines if line]
        else:
            lines = [text for _, text in rows]
    else:
        raise DataError(
            f"{path} is missing; write one class name a line, or give the "
            "option classes=name,name,..."
        )
    split = [_name_and_colour(line, where) for line in lines]
    names = [name for name, _ in split]
    names = names if given else _without_numbers(names)
    if len(names) < 2 or len(names) > 255:
        raise DataError(
            f"{where} names {len(names)} classes, expected 2..255; a binary task "
            "has two, for example background and object"
        )
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"{where} names class {doubled[0]!r} twice")
    return ClassList(tuple(names), _colours([c for _, c in split], names, where))


def _of_label_map(line: str, where: str) -> str:
    """`sky #87ceeb` of `sky:135,206,235:PARTS:ACTIONS`; nothing of a comment."""
    if line.startswith("#"):
        return ""
    name, _, rest = line.partition(":")
    numbers = rest.partition(":")[0].split(",")
    good = len(numbers) == 3 and all(n.isascii() and n.isdecimal() for n in numbers)
    if not name.strip() or not good or not all(int(n) < 256 for n in numbers):
        raise DataError(
            f"{where}: expected 'NAME:RED,GREEN,BLUE:PARTS:ACTIONS' as CVAT writes it, "
            f"got {line!r}"
        )
    return f"{name.strip()} {hex_colour(list(map(int, numbers)))}"


def _colours(
    colours: Sequence[Colour | None], names: Sequence[str], where: str
) -> tuple[Colour, ...]:
    """The colours of all classes, or none."""
    found: dict[Colour, str] = {}
    for colour, name in zip(colours, names, strict=True):
        if colour in found:
            raise DataError(
                f"{where} gives colour {hex_colour(colour)} to {found[colour]!r} and "
                f"to {name!r}"
            )
        if colour is not None:
            found[colour] = name
    without = [
        name for colour, name in zip(colours, names, strict=True) if colour is None
    ]
    if found and without:
        raise DataError(
            f"{where} gives {without[0]!r} no colour, but {next(iter(found.values()))!r} "
            "one; expected colours behind all names, or none"
        )
    return tuple(found)


def _name_and_colour(line: str, where: str) -> tuple[str, Colour | None]:
    name, _, last = line.rpartition(" ")
    if not name.strip() or not _LIKE_A_COLOUR.fullmatch(last):
        return line, None
    return name.strip(), _colour(last, f"{where}, class {name.strip()!r}")


def _colour(text: str, where: str) -> Colour:
    if not _COLOUR.fullmatch(text):
        raise DataError(
            f"{where}: {text!r} is not a colour; expected six hexadecimal digits, "
            "red, green and blue, as #87ceeb"
        )
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _without_numbers(lines: list[str]) -> list[str]:
    """Drops labels where every line begins with its own: `0 sky`, `1 road`."""
    words = [line.split(maxsplit=1) for line in lines]
    numbered = all(
        len(parts) == 2 and parts[0].rstrip(":,") == str(number)
        for number, parts in enumerate(words)
    )
    return [parts[1] for parts in words] if numbered else lines
