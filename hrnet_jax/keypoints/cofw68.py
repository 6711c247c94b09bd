"""COFW68: 68 points for the 507 test faces of COFW, and files of predictions.

A benchmark of its own (Ghiasi and Fowlkes, "Occlusion Coherence: Detecting and
Localizing Occluded Faces", 2015): models trained on 300W are tested on faces with
heavy occlusion.
"""

import os
import pathlib

import numpy as np

from hrnet_jax.data.files.listing import listed
from hrnet_jax.data.files.matlab5 import read_arrays
from hrnet_jax.data.files.text_files import read_text
from hrnet_jax.errors import DataError

NUM_POINTS = 68

_SUFFIX = "_points.mat"
_LINES = 4


def read_annotations(folder: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Reads the true points of all faces.

    Args:
        folder: with `1_points.mat`, `2_points.mat`, ... (MATLAB 5: `Points` 68x2,
            `Occ` 1x68), as the benchmark's `test_annotations`.

    Returns:
        float64 [N, 68, 2], x and y, and bool [N, 68], the point is occluded; in
        the order of the numbers. The whole benchmark has N = 507.

    Raises:
        DataError: naming the file that is missing or wrong.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected COFW68's test_annotations")
    paths = {}
    for path in listed(folder, f"*{_SUFFIX}"):
        number = path.name.removesuffix(_SUFFIX)
        if not number.isascii() or not number.isdigit():
            raise DataError(f"{path}: expected a name such as 1{_SUFFIX}")
        paths[int(number)] = path
    if not paths:
        raise DataError(f"{folder} holds no files *{_SUFFIX}; expected 507")
    missing = sorted(set(range(1, len(paths) + 1)) - paths.keys())
    if missing:
        raise DataError(
            f"{folder}/{missing[0]}{_SUFFIX} is missing; expected the numbers 1 to "
            f"{max(paths)}"
        )
    faces = [_read_face(paths[number]) for number in sorted(paths)]
    points, occluded = zip(*faces, strict=True)
    return np.stack(points), np.stack(occluded)


def read_predictions(path: str | os.PathLike) -> np.ndarray:
    """Reads predicted points in the layout of the benchmark's `Results`.

    Four lines a face, in any order of faces: its number from 1, 68 x, 68 y, and 68
    occlusion flags or scores, which are not used.

    Args:
        path: a text file.

    Returns:
        float64 [N, 68, 2], x and y, in the order of the numbers.

    Raises:
        DataError: naming the line that is wrong, or the face that is missing.
    """
    path = pathlib.Path(path)
    lines = read_text(path).splitlines()
    while lines and not lines[-1].strip():
        del lines[-1]
    if not lines or len(lines) % _LINES:
        raise DataError(
            f"{path} has {len(lines)} lines; expected {_LINES} a face: its number, "
            f"{NUM_POINTS} x, {NUM_POINTS} y, {NUM_POINTS} occlusion flags"
        )
    faces = {}
    for first in range(0, len(lines), _LINES):
        number, x, y, _ = (
            _numbers(path, first + k, lines[first + k], NUM_POINTS if k else 1)
            for k in range(_LINES)
        )
        face = int(number[0])
        if face != number[0] or face < 1:
            raise DataError(
                f"{path}:{first + 1}: {lines[first].strip()!r} is not the number of "
                "a face; expected 1 or more"
            )
        if face in faces:
            raise DataError(f"{path}:{first + 1}: face {face} occurs twice")
        faces[face] = np.stack([x, y], 1)
    missing = sorted(set(range(1, len(faces) + 1)) - faces.keys())
    if missing:
        raise DataError(
            f"{path} has no face {missing[0]}; expected all from 1 to {max(faces)}"
        )
    return np.stack([faces[face] for face in sorted(faces)])


def _read_face(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Points float64 [68, 2] and occlusion bool [68] of one file."""
    content = read_arrays(path)
    try:
        # A signalling NaN, which is refused below, makes NumPy warn here.
        with np.errstate(invalid="ignore"):
            points = np.asarray(content["Points"], np.float64)
        occluded = np.asarray(content["Occ"]).ravel() != 0
    except (KeyError, ValueError, TypeError) as error:
        names = ", ".join(sorted(content))
        raise DataError(
            f"{path} holds {names or 'nothing'}; expected numbers Points and Occ "
            f"({error})"
        ) from None
    if points.shape != (NUM_POINTS, 2) or occluded.shape != (NUM_POINTS,):
        raise DataError(
            f"{path}: Points {points.shape} and Occ {occluded.shape}; expected "
            f"({NUM_POINTS}, 2) and {NUM_POINTS} values"
        )
    if not np.isfinite(points).all():
        raise DataError(f"{path}: Points are not all finite numbers")
    return points, occluded


def _numbers(path: pathlib.Path, index: int, line: str, count: int) -> np.ndarray:
    """The numbers of one line, float64 [count]."""
    try:
        values = np.array(line.split(), np.float64)
    except ValueError as error:
        raise DataError(f"{path}:{index + 1}: {error}") from None
    if len(values) != count or not np.isfinite(values).all():
        raise DataError(
            f"{path}:{index + 1}: {np.isfinite(values).sum()} numbers; expected {count}"
        )
    return values
