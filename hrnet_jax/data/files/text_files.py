"""Text and JSON files as people bring them: encodings, byte-order marks, damage."""

import codecs
import json
from pathlib import Path
from typing import Any

from hrnet_jax.errors import DataError

# Longest first: the mark of UTF-16 begins that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path, encoding: str = "", *, advice: str = "") -> str:
    """The text of a file, with its line ends as they are.

    A byte-order mark tells the encoding; UTF-8 is read without one as well. Nothing
    tells the encodings of one byte a character from each other, so they are not
    guessed.

    Args:
        path: the file.
        encoding: its name; empty for what the file itself tells.
        advice: ends the message on a file that is not UTF-8: where the user can
            name the encoding.

    Raises:
        DataError: if the file is missing, is no text in this encoding, or there is no
            such encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    told = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    if not encoding and not told and data[:2].count(0) == 1:
        raise DataError(
            f"{path} is UTF-16 without a byte-order mark; save it as UTF-8{advice}"
        )
    try:
        return data.decode(encoding or told or "utf-8")
    except UnicodeDecodeError as error:
        name = encoding or told.removesuffix("-sig") or "utf-8"
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} is not a text file in {name.upper()} (byte 0x"
            f"{data[error.start]:02x} in line {line}); save it as UTF-8{advice}"
        ) from None
    # A codec may also be one of bytes to bytes, or complain in its own way.
    except (LookupError, ValueError, TypeError):
        raise DataError(
            f"{path} cannot be read with the encoding {encoding!r}; expected one such "
            "as utf-8, cp1252 or utf-16"
        ) from None


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: if the file is missing or is no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(f"{path} is not valid JSON: it is nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON: {error}") from None
