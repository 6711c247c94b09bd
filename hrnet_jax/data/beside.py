"""Files with numbers that stand beside the records of a set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.errors import DataError

# What to do about any of them.
_AGAIN = "prepare the data set again (--overwrite)"


def sizes_in(path: Path, count: int) -> np.ndarray:
    """Height and width of images, int [N, 2] of a file.

    Args:
        path: of the file.
        count: N.

    Raises:
        DataError: if it is missing or has something else.
    """
    sizes = _loaded(path)
    good = isinstance(sizes, np.ndarray) and sizes.shape == (count, 2)
    if not good or sizes.dtype.kind != "i" or (sizes < 1).any():
        raise DataError(
            f"{path} does not have height and width of {count} images; {_AGAIN}"
        )
    return sizes


def places_in(path: Path, count: int) -> np.ndarray:
    """Record, and place in it, of examples, int [N, 2] of a file, record after record.

    Args:
        path: of the file.
        count: number of records.

    Raises:
        DataError: if it is missing or has something else.
    """
    places = _loaded(path)
    good = isinstance(places, np.ndarray) and places.ndim == 2
    good = good and places.shape[1] == 2 and places.dtype.kind == "i"
    if not good or (places < 0).any() or (places[:, 0] >= count).any():
        raise DataError(f"{path} does not have places in {count} records; {_AGAIN}")
    return places


def arrays_in(path: Path, shapes: Mapping[str, tuple[str, tuple]]) -> dict:
    """Arrays of a file of several, by name.

    Args:
        path: of the file.
        shapes: name -> kinds (letters of `dtype.kind`), and shape, in which a text
            stands for a number that is the same wherever it stands.

    Raises:
        DataError: naming the array that is missing or another.
    """
    found = _loaded(path)
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise DataError(f"{path} does not have several arrays; {_AGAIN}")
    known: dict[str, int] = {}
    arrays = {}
    with found:
        for name, (kinds, shape) in shapes.items():
            try:
                array = found[name]
            # Of any kind, as NumPy does not check what it reads.
            except Exception as error:  # noqa: BLE001
                raise DataError(
                    f"{path}: {name!r} cannot be read ({error}); {_AGAIN}"
                ) from None
            sides = [
                known.setdefault(side, now) if isinstance(side, str) else side
                for side, now in zip(shape, array.shape, strict=False)
            ]
            if array.dtype.kind not in kinds or array.shape != tuple(sides):
                raise DataError(
                    f"{path}: {name!r} is {array.dtype} {list(array.shape)}, expected "
                    f"{' x '.join(map(str, shape))}; {_AGAIN}"
                )
            arrays[name] = array
    return arrays


def save_beside(path: Path, values: np.ndarray | Mapping[str, np.ndarray]) -> None:
    """Writes an array, or several by name, as the ending of the file says."""
    if isinstance(values, np.ndarray):
        np.save(path, values)
    else:
        arrays: dict[str, Any] = dict(values)
        np.savez(path, **arrays)


def _loaded(path: Path) -> np.ndarray:
    try:
        return np.load(path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {_AGAIN}") from None
    except MemoryError:
        raise
    # Of any kind, as NumPy does not check what it reads.
    except Exception as error:  # noqa: BLE001
        raise DataError(f"{path} cannot be read ({error}); {_AGAIN}") from None
