"""Names of files that other programs wrote down."""

from pathlib import Path
from typing import Any

from hrnet_jax.errors import DataError


def check_image_name(name: Any, where: str) -> str:
    """The name of an image file, if it is one.

    Raises:
        DataError: naming file and line (`where`) of a name that is missing, no text,
            or that of no file, such as `.`.
    """
    good = isinstance(name, str) and Path(name).name and is_plain(name)
    if not good or Path(name.replace("\\", "/")).name in ("", ".."):
        raise DataError(
            f"{where}: the image is called {name!r}, expected the name of a file"
        )
    return name


def is_plain(text: str) -> bool:
    """Whether a text can be part of a path, and be printed."""
    if any(ord(letter) < ord(" ") for letter in text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # Half of a pair, "\ud800", which JSON can hold.
        return False
    return True


def is_file(path: Path) -> bool:
    """Whether there is such a file; not where no file can have this name."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # Too long, or not to be encoded.
        return False
