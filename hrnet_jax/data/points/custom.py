"""Custom point sets: mirror pairs, lines and normaliser by name."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from hrnet_jax.data.files.text_tables import name_rows
from hrnet_jax.data.info import check_flip_pairs, pairs_from_names
from hrnet_jax.data.points.point_sets import PointSet
from hrnet_jax.errors import DataError

_log = logging.getLogger(__name__)

NO_PAIRS = "none"
BOX = "box"
FLIP_FILE = "flip_pairs.txt"
LINE_FILE = "lines.txt"

Pairs = tuple[tuple[int, int], ...]

_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}


def own_point_set(
    names: Sequence[str],
    source: Path,
    flip_pairs: Sequence[str],
    normalizer: str,
    lines: Sequence[tuple[int, ...]] = (),
    *,
    otherwise: str = "",
    pairs: Pairs | None = None,
) -> PointSet:
    """Facts about a custom point set.

    Args:
        names: name of each point.
        source: folder that may hold `flip_pairs.txt` (two names a line) and
            `lines.txt` (the names of a polyline a line), see `name_rows`.
        flip_pairs: `left_eye:right_eye` for each pair, or only `none`; if
            empty, those of the file, else points whose names differ in the side.
        normalizer: `left_eye:right_eye`, groups as `a+b:c+d`; `box`, or empty, for
            the box.
        lines: polylines, where there is no `lines.txt`.
        otherwise: what else a user can do who gave no pairs, for the message.
        pairs: those that a file of annotations tells, where neither option nor
            `flip_pairs.txt` does.

    Raises:
        DataError: for a name that is no point, or pairs that are no involution; if
            nothing tells the pairs.
    """
    names = tuple(names)
    pairs, where = _flip_pairs(names, source, flip_pairs, otherwise, pairs)
    check_flip_pairs(pairs, len(names), where)
    normalizers = {}
    if normalizer not in ("", BOX):
        groups = _groups(normalizer, names)
        normalizers[normalizer.replace(" ", "").replace(":", "_to_")] = groups
    return PointSet(
        names=names,
        flip_pairs=pairs,
        lines=_lines(names, source, tuple(lines)),
        normalizers=normalizers,
        default_normalizer=next(iter(normalizers), BOX),
    )


def pairs_by_side(names: Sequence[str]) -> Pairs:
    """Pairs of names that differ only in the side: `left_eye`, `right_eye`.

    The side is a word of its own, `left` or `right`, `l` or `r`, in small or
    capital letters: `Eye.L`, `LEFT-knee`; or begins or ends the name with
    another word written large: `leftEye`, `eyeRight`.
    """
    words = [tuple(_words(name)) for name in names]
    pairs = []
    for index, own in enumerate(words):
        mirrored = tuple(_SIDES.get(word, word) for word in own)
        if mirrored != own and mirrored in words[index + 1 :]:
            pairs.append((index, words.index(mirrored, index + 1)))
    return tuple(pairs)


def check_sides(pairs: Pairs, names: Sequence[str], where: str) -> None:
    """Checks that points whose names tell their side swap with the same on the other.

    Args:
        pairs: of points.
        names: of the points.
        where: what holds the pairs, for the message.

    Raises:
        DataError: naming the pair that mixes two.
    """
    by_name = pairs_by_side(names)
    partner = {**dict(by_name), **{right: left for left, right in by_name}}
    for left, right in pairs:
        for index, other in ((left, right), (right, left)):
            if partner.get(index, other) != other:
                raise DataError(
                    f"{where}: {names[index]!r} swaps with {names[other]!r}, but by the "
                    f"names with {names[partner[index]]!r}; mend the pairs, or the names"
                )


def pairs_of_option(option: Sequence[str], names: Sequence[str], what: str) -> Pairs:
    """Pairs of an option, `left_eye:right_eye` each.

    Args:
        option: the pairs.
        names: of the points or classes, in order.
        what: `points` or `classes`, for messages.

    Raises:
        DataError: for a pair of another form or with an unknown name.
    """
    named = []
    for text in option:
        left, colon, right = text.partition(":")
        if not colon:
            raise DataError(f"flip pair {text!r} is not of the form left:right")
        named.append((left.strip(), right.strip()))
    return pairs_from_names(named, names, what)


def flip_pairs_of_classes(option: Sequence[str], names: Sequence[str]) -> Pairs:
    """Pairs of classes that swap when an image is mirrored, as a user says.

    Raises:
        DataError: for a pair that is none, and if the option is missing although the
            names look like pairs: mirrored images would teach them wrongly.
    """
    if tuple(option) == (NO_PAIRS,):
        return ()
    if option:
        return pairs_of_option(option, names, "classes")
    guess = pairs_by_side(names)
    if guess:
        named = ",".join(f"{names[a]}:{names[b]}" for a, b in guess)
        raise DataError(
            f"some of the classes differ in left and right only ({named}), and "
            "mirrored images need to know which classes swap: give the option "
            f"flip_pairs={named!r} if these do, flip_pairs={NO_PAIRS} where none do"
        )
    return ()


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.split(r"[\s_.\-]+", apart) if word]


def _flip_pairs(
    names: tuple[str, ...],
    source: Path,
    option: Sequence[str],
    otherwise: str,
    told: Pairs | None,
) -> tuple[Pairs, str]:
    """The pairs, and where they come from."""
    path = source / FLIP_FILE
    if tuple(option) == (NO_PAIRS,):
        return (), "option flip_pairs"
    if option:
        return pairs_of_option(option, names, "points"), "option flip_pairs"
    if path.is_file():
        named = []
        for line, words in name_rows(path):
            if len(words) != 2:
                raise DataError(
                    f"{path}:{line}: expected two names, got {list(words)}; names "
                    "with spaces need a comma between them"
                )
            named.append((words[0], words[1]))
        return pairs_from_names(named, names, "points"), str(path)
    if told is not None:
        return told, "flip_pairs of the category"
    pairs = pairs_by_side(names)
    if not pairs and len(names) > 1:
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        raise DataError(
            f"no two of the points {shown} differ in left and right only, and "
            "mirrored images need to know which points swap: give the option "
            f"flip_pairs=a:b,c:d or a file {FLIP_FILE}, flip_pairs={NO_PAIRS} where "
            f"none do{otherwise}"
        )
    shown = ", ".join(f"{names[a]}:{names[b]}" for a, b in pairs)
    _log.info("flip pairs by the names of the points: %s", shown)
    return pairs, "names of the points"


def _lines(
    names: tuple[str, ...], source: Path, otherwise: tuple[tuple[int, ...], ...]
) -> tuple[tuple[int, ...], ...]:
    path = source / LINE_FILE
    if not path.is_file():
        return otherwise
    lines = []
    for line, words in name_rows(path):
        unknown = [word for word in words if word not in names]
        if unknown:
            raise DataError(
                f"{path}:{line} names {unknown[0]!r}, points are {list(names)}"
            )
        lines.append(tuple(names.index(word) for word in words))
    return tuple(lines)


def _groups(
    normalizer: str, names: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    halves = [half.split("+") for half in normalizer.split(":")]
    if len(halves) != 2:
        raise DataError(
            f"normalizer {normalizer!r} is not of the form point:point or "
            "point+point:point+point"
        )
    groups = []
    for half in halves:
        for name in half:
            if name.strip() not in names:
                raise DataError(
                    f"normalizer names {name.strip()!r}, points are {list(names)}"
                )
        groups.append(tuple(names.index(name.strip()) for name in half))
    if set(groups[0]) == set(groups[1]):
        raise DataError(f"normalizer {normalizer!r} is the distance of equal points")
    return groups[0], groups[1]
