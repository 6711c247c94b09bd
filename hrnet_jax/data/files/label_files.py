"""Reads label files and turns their values into labels, while records are prepared."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hrnet_jax.data.files.image_files import (
    Example,
    encode_png,
    open_completely,
    read_bytes,
    read_image,
)
from hrnet_jax.data.info import IGNORE_LABEL
from hrnet_jax.errors import DataError

# Marks values of a label table that no file may contain.
NOT_A_LABEL = -1

# 2**16 values fit into a PNG with 16 bits.
LARGEST_VALUE = 2**16 - 1

_GREY, _COLOUR = ("L", "P", "1", "I;16"), ("RGB", "RGBA", "LA")
_BIT_DEPTH = 24  # The byte of a PNG that holds it.


@dataclasses.dataclass(frozen=True)
class LabelFile:
    """A label image as found on disk.

    Attributes:
        values: uint8 or uint16 [H, W], grey values or palette indices; uint8
            [H, W, 3] of an RGB image.
        palette: RGB colours of a palette image, else None.
    """

    values: np.ndarray
    palette: tuple[tuple[int, int, int], ...] | None


def read_label(path: Path) -> LabelFile:
    """Reads a label PNG: grey values of 8 or 16 bits, palette indices, one bit, RGB.

    Raises:
        DataError: if the file is missing, damaged, or another kind of image.
    """
    data = read_bytes(path)
    opened = open_completely(data, path)
    if opened.format != "PNG" or opened.mode not in _GREY + _COLOUR:
        exact = (
            " (JPEG does not keep labels exactly)" if opened.format == "JPEG" else ""
        )
        raise DataError(
            f"{path} is a {opened.format} image of mode {opened.mode}; expected a "
            f"label PNG with one channel, or a palette PNG{exact}"
        )
    # Decoders stretch 2- and 4-bit grey values to 0..255, so labels would arrive
    # multiplied, and cut 16-bit colours to 8 bits.
    depth = data[_BIT_DEPTH]
    if opened.mode == "L" and depth < 8:
        raise DataError(f"{path} has {depth}-bit grey values, expected 8 bits")
    if opened.mode in _COLOUR and depth != 8:
        raise DataError(f"{path} has {depth} bits in each colour, expected 8 bits")
    if opened.mode in _COLOUR:
        return LabelFile(_opaque(opened, path), None)
    palette = None
    if opened.mode == "P":
        flat = opened.getpalette("RGB")
        palette = tuple(zip(flat[0::3], flat[1::3], flat[2::3], strict=True))
    values = np.asarray(opened)
    return LabelFile(values if depth == 16 else values.astype(np.uint8), palette)


def _opaque(opened: Image.Image, path: Path) -> np.ndarray:
    """The colours of an image, uint8 [H, W, 3].

    Raises:
        DataError: if it is transparent anywhere: what would a label seen in part be?
    """
    if "A" in opened.getbands():
        transparent = np.count_nonzero(np.asarray(opened.getchannel("A")) != 255)
        if transparent:
            raise DataError(
                f"{path} is transparent in {transparent} pixels; expected a label PNG "
                "without transparency"
            )
    return np.asarray(opened.convert("RGB"))


def labelled_example(
    image_path: Path, label_path: Path, image_id: str, table: np.ndarray, meaning: str
) -> Example:
    """One example of a segmentation data set made of image and label files.

    Args:
        image_path: a JPEG, PNG or other image file.
        label_path: a label PNG.
        image_id: name of the image, unique in its split.
        table: int16 [N], file value -> label; `NOT_A_LABEL` marks values
            that are errors, as larger ones are.
        meaning: the values a label file may hold, in words, for the message.

    Raises:
        DataError: naming the file, if one is broken, sizes differ, or a label
            value is not in the table.
    """
    image = read_image(image_path)
    label = read_label(label_path)
    height, width = label.values.shape[:2]
    if (height, width) != (image.height, image.width):
        raise DataError(
            f"{label_path} is {width}x{height} but its image {image_path} is "
            f"{image.width}x{image.height} pixels"
        )
    values = apply_table(grey_values(label, label_path), table, label_path, meaning)
    stored = {
        "image": image.data,
        "label": encode_png(values),
        "image_id": image_id,
    }
    return Example(stored, (height, width), values)


def grey_values(label: LabelFile, path: Path) -> np.ndarray:
    """The values [H, W] of a label file; those of RGB where all channels are equal.

    Raises:
        DataError: naming the file and a colour that is no grey.
    """
    if label.values.ndim == 2:
        return label.values
    first = label.values[..., :1]
    coloured = (label.values != first).any(-1)
    if coloured.any():
        red, green, blue = label.values[coloured][0]
        raise DataError(
            f"{path} is a colour image, with #{red:02x}{green:02x}{blue:02x} in it; "
            "expected a label PNG with one channel, or a palette PNG"
        )
    return first[..., 0]


def apply_table(
    values: np.ndarray, table: np.ndarray, path: Path, meaning: str
) -> np.ndarray:
    """Maps unsigned file values to uint8 labels through `table` (int16 [N]).

    Raises:
        DataError: naming the file and the values that `table` does not allow.
    """
    missing = np.iinfo(values.dtype).max + 1 - len(table)
    if missing > 0:
        table = np.pad(table, (0, missing), constant_values=NOT_A_LABEL)
    labels = table[values]
    wrong = labels == NOT_A_LABEL
    if wrong.any():
        found, counts = np.unique(values[wrong], return_counts=True)
        shown = ", ".join(
            f"{value} ({count} pixels)"
            for value, count in zip(found[:5], counts[:5], strict=True)
        )
        more = f" and {len(found) - 5} more values" if len(found) > 5 else ""
        raise DataError(f"{path} holds label {shown}{more}; expected {meaning}")
    return labels.astype(np.uint8)


def label_table(file_values: Sequence[int], ignored_value: int | None) -> np.ndarray:
    """Table for `apply_table`: the k-th file value becomes label k.

    Args:
        file_values: the value of each class in the files, in class order.
        ignored_value: the file value that becomes the ignore label, if any.
    """
    table = np.full(256, NOT_A_LABEL, np.int16)
    if ignored_value is not None:
        table[ignored_value] = IGNORE_LABEL
    table[np.asarray(file_values, int)] = np.arange(len(file_values))
    return table
