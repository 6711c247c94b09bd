"""Masks as run lengths, COCO's compact form, read and written without whole bitmaps.

Pixels are counted column by column, first those of the background. The text of COCO
holds each count, from the fourth on its difference to the count two before, in groups
of five bits, the lowest first; a sixth bit says that another group follows, and
48 is added (`cocoapi`, common/maskApi.c, `rleToString`).
"""

import numpy as np

_FIRST, _MORE, _SIGN = 48, 0x20, 0x10


def counts_of(text: str) -> np.ndarray:
    """The run lengths of a text, int64 [R], background first.

    Raises:
        ValueError: for what is no such text.
    """
    letters = np.frombuffer(text.encode("latin-1", "replace"), np.uint8)
    groups = letters.astype(np.int64) - _FIRST
    if groups.size and (groups.min() < 0 or groups.max() >= 64 or groups[-1] & _MORE):
        raise ValueError("not run lengths of COCO")
    last = (groups & _MORE) == 0
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    if (ends - starts >= 12).any():
        raise ValueError("a run length of more than 60 bits")
    place = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    values = np.add.reduceat((groups & 0x1F) << (5 * place), starts)
    negative = (groups[ends] & _SIGN) > 0
    values -= np.where(negative, np.int64(1) << (5 * (ends - starts + 1)), 0)
    counts = values.copy()
    counts[1::2] = np.cumsum(values[1::2])
    counts[2::2] = np.cumsum(values[2::2])
    if (counts < 0).any():
        raise ValueError("a negative run length")
    return counts


def text_of(counts: np.ndarray) -> str:
    """The text of run lengths int [R]."""
    counts = np.asarray(counts, np.int64)
    rest = counts.copy()
    rest[3:] -= counts[1:-2]
    columns = []
    open_ = np.ones(len(rest), bool)
    while open_.any():
        group = rest & 0x1F
        rest = rest >> 5
        more = np.where(group & _SIGN, rest != -1, rest != 0)
        columns.append(np.where(open_, group + _FIRST + _MORE * more, 0))
        open_ = open_ & more
    table = np.stack(columns, 1).astype(np.uint8)
    return bytes(table[table > 0]).decode()


def encode(
    bitmap: np.ndarray, size: tuple[int, int], corner: tuple[int, int] = (0, 0)
) -> str:
    """The text of a mask that is zero outside a part of its image.

    Args:
        bitmap: bool or 0/1 [h, w], the part.
        size: (height, width) of the image.
        corner: (row, column) of the part's first pixel; the part is inside the image.
    """
    height, width = size
    (top, left), (rows, columns) = corner, bitmap.shape
    if top < 0 or left < 0 or top + rows > height or left + columns > width:
        raise ValueError(f"a part {bitmap.shape} at {corner} of an image {size}")
    padded = np.zeros((columns, rows + 2), np.int8)
    padded[:, 1:-1] = np.asarray(bitmap).T != 0
    steps = np.diff(padded, axis=1)
    column, row = np.nonzero(steps == 1)
    begins = (left + column) * height + top + row
    column, row = np.nonzero(steps == -1)
    ends = (left + column) * height + top + row
    # Columns full to the edge join those behind them.
    joined = begins[1:] == ends[:-1]
    begins = begins[np.concatenate([[True], ~joined])[: len(begins)]]
    ends = ends[np.concatenate([~joined, [True]])[: len(ends)]]
    edges = np.stack([begins, ends], 1).ravel()
    total = height * width
    counts = np.diff(np.concatenate([[0], edges, [total]]))
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    return text_of(counts)


def decode_part(
    text: str, size: tuple[int, int], window: tuple[int, int, int, int]
) -> np.ndarray:
    """A part of a mask; only the columns of the part are looked at.

    Args:
        text: run lengths.
        size: (height, width) of the image.
        window: (first row, row behind the last, first column, column behind the
            last), inside the image.

    Returns:
        uint8 [rows, columns], 0 and 1.

    Raises:
        ValueError: for a text of another size, or none.
    """
    begins, ends = _runs(text, size)
    height = size[0]
    top, bottom, left, right = window
    first, last = left * height, right * height
    begins = np.clip(begins, first, last) - first
    ends = np.clip(ends, first, last) - first
    kept = ends > begins
    steps = np.zeros(last - first + 1, np.int8)
    steps[begins[kept]] += 1
    steps[ends[kept]] -= 1
    strip = np.cumsum(steps[:-1], dtype=np.int8)
    return strip.reshape(right - left, height).T[top:bottom].astype(np.uint8)


def decode(text: str, size: tuple[int, int]) -> np.ndarray:
    """The whole mask, uint8 [H, W]."""
    return decode_part(text, size, (0, size[0], 0, size[1]))


def area(text: str) -> int:
    """Number of pixels of a mask."""
    return int(counts_of(text)[1::2].sum())


def bounds(text: str, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(x1, y1, x2, y2) of the pixels' edges around a mask; zeros for an empty one."""
    begins, ends = _runs(text, size)
    kept = ends > begins
    begins, ends = begins[kept], ends[kept]
    if not len(begins):
        return 0, 0, 0, 0
    height = size[0]
    x1, x2 = begins[0] // height, (ends[-1] - 1) // height + 1
    if (begins // height != (ends - 1) // height).any():  # a run over two columns
        y1, y2 = 0, height
    else:
        y1, y2 = (begins % height).min(), ((ends - 1) % height).max() + 1
    return int(x1), int(y1), int(x2), int(y2)


def _runs(text: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First pixels of the runs of a mask, and those behind their last."""
    counts = counts_of(text)
    if counts.sum() != size[0] * size[1]:
        raise ValueError(
            f"run lengths of {counts.sum()} pixels for an image of {size[1]}x{size[0]}"
        )
    edges = np.cumsum(counts)
    edges = np.concatenate([edges, edges[-1:]])[: 2 * ((len(counts) + 1) // 2)]
    return edges[0::2], edges[1::2]
