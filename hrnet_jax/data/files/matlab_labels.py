"""Label maps in MATLAB 5 files."""

from pathlib import Path

import numpy as np

from hrnet_jax.data.files.label_files import LARGEST_VALUE, LabelFile
from hrnet_jax.data.files.matlab5 import read_arrays
from hrnet_jax.errors import DataError


def read_label_map(path: Path, name: str) -> LabelFile:
    """An array of labels, one for each pixel.

    Args:
        path: of a MATLAB 5 file.
        name: of the array in it.

    Raises:
        DataError: if the file is damaged, has no such array, or one of another kind.
    """
    arrays = read_arrays(path)
    if name not in arrays:
        found = ", ".join(arrays) or "none"
        raise DataError(f"{path} has no array {name!r}; its arrays are: {found}")
    values = arrays[name]
    if values.ndim != 2 or not values.size:
        raise DataError(
            f"{path}: array {name!r} has the shape {list(values.shape)}, expected "
            "[height, width]"
        )
    whole = np.isfinite(values) & (values == np.floor(values))
    good = whole & (values >= 0) & (values <= LARGEST_VALUE)
    if not good.all():
        raise DataError(
            f"{path}: array {name!r} holds {values[~good].flat[0]}, expected whole "
            f"numbers 0..{LARGEST_VALUE}"
        )
    return LabelFile(values.astype(np.uint16), None)
