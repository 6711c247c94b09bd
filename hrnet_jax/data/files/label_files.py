"""Reads label files and turns their values into labels, while records are prepared."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
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
from hrnet_jax.imaging.pillow import DAMAGE, quietly

# Marks values of a label table that no file may contain.
NOT_A_LABEL = -1

# 2**16 values fit into a PNG with 16 bits.
LARGEST_VALUE = 2**16 - 1

Colour = tuple[int, int, int]

_GREY, _COLOUR = ("L", "P", "1", "I;16"), ("RGB", "RGBA", "LA")
# Red, green and blue as one number.
_PACK = np.array([1 << 16, 1 << 8, 1], np.int32)
COLOUR_ADVICE = (
    ", or the colour of each class behind its name in the list of classes, as in "
    "'sky #87ceeb'"
)
# For sets whose files have no colours.
OTHER_READER = (
    "; colours can be prepared as segmentation_folder, with the colour of each class "
    "behind its name, as in 'sky #87ceeb'"
)
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
    palette: tuple[Colour, ...] | None


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
    if opened.mode == "P" and (flat := opened.getpalette("RGB")) is not None:
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


def is_coloured(path: Path) -> bool:
    """Whether a label file is RGB; reads its head only, and reports no errors."""
    try:
        with quietly(), Image.open(path) as opened:
            return opened.mode in _COLOUR
    except (*DAMAGE, Image.DecompressionBombError):
        return False


def hex_colour(colour: Sequence[int]) -> str:
    """`#87ceeb` of red, green and blue, 0..255."""
    return "#" + bytes(map(int, colour)).hex()


def labelled_example(
    image_path: Path,
    label_path: Path,
    image_id: str,
    table: np.ndarray,
    meaning: str,
    colours: Mapping[Colour, int] | None = None,
    read: Callable[[Path], LabelFile] = read_label,
) -> Example:
    """One example of a segmentation data set made of image and label files.

    Args:
        image_path: a JPEG, PNG or other image file.
        label_path: a label PNG.
        image_id: name of the image, unique in its split.
        table: int16 [N], file value -> label; `NOT_A_LABEL` marks values
            that are errors, as larger ones are.
        meaning: the values a label file may hold, in words, for the message.
        colours: the label of each colour of RGB files; empty if there are none, None
            if a user cannot give any.
        read: reads the label file, where it is no PNG.

    Raises:
        DataError: naming the file, if one is broken, sizes differ, or a label
            value or colour has no label.
    """
    image = read_image(image_path)
    label = read(label_path)
    height, width = label.values.shape[:2]
    if (height, width) != (image.height, image.width):
        raise DataError(
            f"{label_path} is {width}x{height} but its image {image_path} is "
            f"{image.width}x{image.height} pixels"
        )
    if colours and label.values.ndim == 3:
        values = apply_colours(label.values, colours, label_path)
    else:
        advice = OTHER_READER if colours is None else COLOUR_ADVICE
        found = grey_values(label, label_path, advice)
        values = apply_table(found, table, label_path, meaning)
        _check_palette(label, values, colours or {}, label_path)
    stored = {
        "image": image.data,
        "label": encode_png(values),
        "image_id": image_id,
    }
    return Example(stored, (height, width), values)


def unlabelled_example(image_path: Path, image_id: str) -> Example:
    """One example of a split whose labels are not published.

    Records of one set have the same features, so that it stores a label of one pixel,
    which readers leave out (`DatasetInfo.unlabelled_splits`).

    Raises:
        DataError: naming the file, if it is broken.
    """
    image = read_image(image_path)
    stored = {
        "image": image.data,
        "label": encode_png(np.full((1, 1), IGNORE_LABEL, np.uint8)),
        "image_id": image_id,
    }
    return Example(stored, (image.height, image.width))


def grey_values(label: LabelFile, path: Path, advice: str = "") -> np.ndarray:
    """The values [H, W] of a label file; those of RGB where all channels are equal.

    Raises:
        DataError: naming the file and the colours that are no grey, the most frequent
            first.
    """
    if label.values.ndim == 2:
        return label.values
    first = label.values[..., :1]
    coloured = (label.values != first).any(-1)
    if coloured.any():
        packed = label.values[coloured].astype(np.int32) @ _PACK
        raise DataError(
            f"{path} is a colour image, which holds {_frequent(packed)[0]}; expected a "
            f"label PNG with one channel, or a palette PNG{advice}"
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


def apply_colours(
    values: np.ndarray, colours: Mapping[Colour, int], path: Path
) -> np.ndarray:
    """Maps colours (uint8 [H, W, 3]) to uint8 labels [H, W].

    Raises:
        DataError: naming the file and the colours that have no label, the most
            frequent first.
    """
    packed = values.astype(np.int32) @ _PACK
    known = np.asarray(list(colours), np.int32) @ _PACK
    order = np.argsort(known)
    place = np.searchsorted(known[order], packed).clip(max=len(known) - 1)
    nearest = order[place]
    wrong = known[nearest] != packed
    if wrong.any():
        shown, first = _frequent(packed[wrong])
        raise DataError(
            f"{path} holds colour {shown}, which no class has; write it behind "
            f"the name of a class, or give --option ignore_colours={first} to ignore it"
        )
    return np.asarray(list(colours.values()), np.uint8)[nearest]


def _frequent(packed: np.ndarray) -> tuple[str, str]:
    """The most frequent of colours with their pixels, for a message, and the first."""
    found, counts = np.unique(packed, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:5]
    shown = ", ".join(f"#{found[i]:06x} ({counts[i]} pixels)" for i in order)
    more = f" and {len(found) - 5} more colours" if len(found) > 5 else ""
    return shown + more, f"#{found[order[0]]:06x}"


def _check_palette(
    label: LabelFile, labels: np.ndarray, colours: Mapping[Colour, int], path: Path
) -> None:
    """Refuses a palette that gives the colour of one class to another.

    Programs that save few colours choose the order of a palette themselves.
    """
    if label.palette is None or not colours:
        return
    used, first = np.unique(label.values, return_index=True)
    for value, read_as in zip(used, labels.ravel()[first], strict=True):
        if value >= len(label.palette):
            continue
        meant = colours.get(label.palette[value], read_as)
        if meant != read_as:
            raise DataError(
                f"{path} is a palette PNG whose index {value} stands for label "
                f"{read_as}, but has the colour {hex_colour(label.palette[value])} of "
                f"label {meant}; save it as RGB, whose colours are read"
            )


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
