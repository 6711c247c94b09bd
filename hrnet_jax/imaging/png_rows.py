"""PNG files written row by row, of images that are never whole in memory."""

import struct
import zlib
from collections.abc import Sequence
from typing import IO

import numpy as np

from hrnet_jax.imaging.palette import Colour

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Kinds of colour of the format: grey, RGB, palette.
_GREY, _RGB, _INDEXED = 0, 2, 3
# Label maps are flat, so that more effort makes them little smaller.
_LEVEL = 3


class PngRows:
    """Writes a PNG from top to bottom (PNG specification, third edition, chapter 11).

    Args:
        file: open for writing bytes.
        size: (height, width) of the image.
        palette: colours of the values of a grey image; none without.
        channels: 1, or 3 for RGB.

    `finish` has to be called after the last row.
    """

    def __init__(
        self,
        file: IO[bytes],
        size: tuple[int, int],
        palette: Sequence[Colour] = (),
        channels: int = 1,
    ):
        self._file = file
        self._rows_left = size[0]
        self._shape = (size[1],) if channels == 1 else (size[1], channels)
        self._packed = zlib.compressobj(_LEVEL)
        kind = _RGB if channels == 3 else _INDEXED if palette else _GREY
        file.write(_SIGNATURE)
        header = struct.pack(">IIBBBBB", size[1], size[0], 8, kind, 0, 0, 0)
        self._chunk(b"IHDR", header)
        if palette:
            self._chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes())

    def write(self, rows: np.ndarray) -> None:
        """Writes the next rows, uint8 [N, W] or [N, W, 3]."""
        if rows.shape[1:] != self._shape or len(rows) > self._rows_left:
            raise ValueError(
                f"rows {rows.shape}, expected up to {self._rows_left} of {self._shape}"
            )
        self._rows_left -= len(rows)
        # Each row begins with the number of its filter, 0 for none.
        table = np.zeros((len(rows), 1 + int(np.prod(self._shape))), np.uint8)
        table[:, 1:] = rows.reshape(len(rows), -1)
        self._chunk(b"IDAT", self._packed.compress(table.tobytes()))

    def finish(self) -> None:
        """Writes what is left, and the end."""
        if self._rows_left:
            raise ValueError(f"{self._rows_left} rows are missing")
        self._chunk(b"IDAT", self._packed.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, kind: bytes, content: bytes) -> None:
        if not content and kind == b"IDAT":
            return
        check = zlib.crc32(kind + content)
        self._file.write(struct.pack(">I", len(content)) + kind + content)
        self._file.write(struct.pack(">I", check))
