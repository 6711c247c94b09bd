"""COCO's JSON files with key points, as labelling tools write them."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.data.files.coco_json import (
    Document,
    Id,
    as_id,
    checked_category,
    checked_id,
    is_number,
    is_pixels,
    shown,
)
from hrnet_jax.data.files.findings import Findings
from hrnet_jax.errors import DataError

_NAMED = "key points are named by their numbers, as the category names none"
_FROM_ZERO = "pairs of the skeleton that count points from 0"


@dataclasses.dataclass(frozen=True)
class Category:
    """The category with key points.

    Attributes:
        id: its number in the annotations.
        name: its name.
        names: names of the points.
        skeleton: pairs of points to join, from 0.
        only: whether there is no other, so that annotations need not name it.
        flip_pairs: pairs of points that swap when mirrored, from 0; None where the
            category does not say it (`flip_pairs`, pairs of names or of numbers).
        sigmas: of object key point similarity, of each point; none where the category
            has no `sigmas`.
    """

    id: Id
    name: str
    names: tuple[str, ...]
    skeleton: tuple[tuple[int, ...], ...]
    only: bool
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    sigmas: tuple[float, ...] = ()


def read_category(
    path: Path, document: Document, wanted: str, findings: Findings
) -> Category:
    """The category that has key points.

    It has names of key points, or annotations with some; then the points are named
    `point_0`, `point_1`, ...

    Args:
        path: the file, for messages.
        document: its content.
        wanted: its name or id; empty if there is only one.
        findings: takes what is derived.

    Raises:
        DataError: if there is none, or several to choose from; if its names are
            no list or not different, or the skeleton joins points that do not
            exist.
    """
    lengths = _lengths(document)
    listed = [checked_category(path, entry) for entry in document["categories"]]
    if not listed:
        listed = [{"id": one} for one in lengths if one]
    only = len(listed) == 1
    if only:
        # Annotations that name no category are of this one.
        own = lengths.setdefault(as_id(listed[0]["id"]), Counter())
        own.update(lengths.pop(None, Counter()))
    candidates = [
        entry
        for entry in listed
        if entry.get("keypoints") or lengths.get(as_id(entry["id"]))
    ]
    if not candidates:
        raise DataError(
            f"{path} has no category with 'keypoints' (a list of their names), and no "
            "annotation has 'keypoints'; is it a file of boxes only?"
        )
    chosen = _chosen(path, candidates, wanted, lengths)
    names = _names(path, chosen, lengths.get(as_id(chosen["id"]), Counter()))
    if not chosen.get("keypoints"):
        findings.count(path, _NAMED, len(names))
    skeleton = _skeleton(path, chosen, len(names), findings)
    identity = checked_id(chosen["id"], f"{path}: the 'id' of a category")
    return Category(
        id=identity,
        name=str(chosen.get("name", identity)),
        names=names,
        skeleton=skeleton,
        only=only,
        flip_pairs=_flip_pairs(path, chosen, names),
        sigmas=_sigmas(path, chosen, len(names)),
    )


def read_keypoints(values: Any, num_points: int, where: str) -> np.ndarray:
    """x, y and v of each point.

    Args:
        values: the value of 'keypoints'.
        num_points: K.
        where: file and annotation, for messages.

    Returns:
        float64 [K, 3]; x and y are 0 where v is 0.

    Raises:
        DataError: naming the point of a value that is wrong.
    """
    if not isinstance(values, list):
        raise DataError(f"{where}: 'keypoints' is {shown(values)}, expected a list")
    if len(values) != 3 * num_points:
        raise DataError(
            f"{where}: 'keypoints' has {len(values)} numbers, expected "
            f"{3 * num_points}: x, y and v of {num_points} points"
        )
    points = np.zeros((num_points, 3))
    for index in range(num_points):
        x, y, v = values[3 * index : 3 * index + 3]
        if not is_number(v) or v not in (0, 1, 2):
            raise DataError(
                f"{where}, key point {index}: visibility v is {shown(v)}, expected 0, "
                "1 or 2"
            )
        if v == 0:
            continue  # Not annotated, whatever x and y are.
        for axis, value in (("x", x), ("y", y)):
            if not is_pixels(value):
                raise DataError(
                    f"{where}, key point {index} {axis}: {shown(value)} is not a "
                    "finite number of pixels"
                )
        points[index] = x, y, v
    return points


def _lengths(document: Document) -> dict[Id | None, Counter[int]]:
    """Category -> length of 'keypoints' -> how many annotations have that many."""
    found: dict[Id | None, Counter[int]] = {}
    for annotation in document["annotations"]:
        values = annotation.get("keypoints")
        if isinstance(values, list) and values:
            category = as_id(annotation.get("category_id"))
            found.setdefault(category, Counter())[len(values)] += 1
    return found


def _chosen(
    path: Path,
    candidates: Sequence[Mapping[str, Any]],
    wanted: str,
    lengths: Mapping[Id | None, Counter[int]],
) -> Mapping[str, Any]:
    named = [entry for entry in candidates if wanted in ("", entry.get("name"))]
    if wanted and not named:
        named = [entry for entry in candidates if as_id(entry["id"]) == wanted]
    if len(named) == 1:
        return named[0]
    known = ", ".join(
        f"{shown(entry.get('name'))} (id {shown(entry['id'])}, "
        f"{sum(lengths.get(as_id(entry['id']), Counter()).values())} annotations)"
        for entry in candidates
    )
    raise DataError(
        f"{path}: categories with key points are {known}; choose one with the option "
        "category=NAME or category=ID"
    )


def _names(
    path: Path, category: Mapping[str, Any], lengths: Counter[int]
) -> tuple[str, ...]:
    names = category.get("keypoints")
    if not names:
        if len(lengths) != 1 or next(iter(lengths)) % 3:
            told = ", ".join(map(str, sorted(lengths)))
            raise DataError(
                f"{path}: the category {shown(category.get('name', category['id']))} "
                "has no 'keypoints' (a list of their names), and those of its "
                f"annotations have {told} numbers, expected x, y and v of as many "
                "points each"
            )
        return tuple(f"point_{index}" for index in range(next(iter(lengths)) // 3))
    if not isinstance(names, list):
        raise DataError(
            f"{path}: 'keypoints' of the category is {shown(names)}, expected a list "
            "of names"
        )
    for name in names:
        if not isinstance(name, str | int) or not _is_name(str(name)):
            raise DataError(
                f"{path}: 'keypoints' of the category has {shown(name)}, expected names"
            )
    found = tuple(str(name).strip() for name in names)
    doubled = [name for name, count in Counter(found).items() if count > 1]
    if doubled:
        raise DataError(f"{path}: key point {doubled[0]!r} is named twice")
    return found


def _is_name(text: str) -> bool:
    return bool(text.strip()) and text.isprintable()


def _skeleton(
    path: Path, category: Mapping[str, Any], num_points: int, findings: Findings
) -> tuple[tuple[int, ...], ...]:
    """Pairs of points from 0, of pairs from 1; none where it is null or absent.

    Some tools count from 0, which a 0 shows.
    """
    pairs = category.get("skeleton") or []
    if not isinstance(pairs, list):
        raise DataError(f"{path}: skeleton is {shown(pairs)}, expected a list of pairs")
    for pair in pairs:
        if not isinstance(pair, list) or any(type(end) is not int for end in pair):
            raise DataError(f"{path}: skeleton has {shown(pair)}, expected two numbers")
    first = 0 if any(0 in pair for pair in pairs) else 1
    for pair in pairs:
        if any(not first <= end < first + num_points for end in pair):
            raise DataError(
                f"{path}: skeleton {shown(pair)} joins points outside "
                f"{first}..{first + num_points - 1}"
            )
    if not first:
        findings.count(path, _FROM_ZERO, len(pairs))
    return tuple(tuple(end - first for end in pair) for pair in pairs)


def _flip_pairs(
    path: Path, category: Mapping[str, Any], names: Sequence[str]
) -> tuple[tuple[int, int], ...] | None:
    """Pairs of points from 0, of pairs of names, or of numbers as the skeleton's are."""
    pairs = category.get("flip_pairs")
    if pairs is None:
        return None
    found = []
    if not isinstance(pairs, list):
        raise DataError(
            f"{path}: flip_pairs of the category is {shown(pairs)}, expected a list of "
            "pairs"
        )
    first = 0 if any(isinstance(pair, list) and 0 in pair for pair in pairs) else 1
    for pair in pairs:
        ends = pair if isinstance(pair, list) and len(pair) == 2 else []
        if ends and all(isinstance(end, str) and end in names for end in ends):
            found.append((names.index(ends[0]), names.index(ends[1])))
        elif ends and all(
            type(end) is int and first <= end < first + len(names) for end in ends
        ):
            found.append((ends[0] - first, ends[1] - first))
        else:
            raise DataError(
                f"{path}: flip_pairs of the category has {shown(pair)}, expected two "
                f"names of key points, or their numbers {first}.."
                f"{first + len(names) - 1}"
            )
    return tuple(found)


def _sigmas(
    path: Path, category: Mapping[str, Any], num_points: int
) -> tuple[float, ...]:
    values = category.get("sigmas")
    if values is None:
        return ()
    if (
        not isinstance(values, list)
        or len(values) != num_points
        or not all(is_number(value) and 0 < value < 1 for value in values)
    ):
        raise DataError(
            f"{path}: sigmas of the category is {shown(values)}, expected {num_points} "
            "numbers between 0 and 1, one for each key point"
        )
    return tuple(map(float, values))
