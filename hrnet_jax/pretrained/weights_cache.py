"""The folder that fetched weights are kept in, and what is checked of a file there."""

import hashlib
import html
import os
import pathlib
import re
import zipfile

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained import torch_zip
from hrnet_jax.storage.paths import as_path

VARIABLE = "HRNET_JAX_WEIGHTS"
# Of the hub's own library, which knows more values; both kinds of address obey it.
OFFLINE_VARIABLE = "HF_HUB_OFFLINE"

_TRUE = ("1", "on", "true", "yes")
_SHOWN = 64  # bytes of a file, characters of a title
_HEAD = 4096
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def cache_folder() -> pathlib.Path:
    """`$HRNET_JAX_WEIGHTS`, or `~/.cache/hrnet_jax/weights`."""
    chosen = os.environ.get(VARIABLE) or "~/.cache/hrnet_jax/weights"
    return pathlib.Path(os.path.expanduser(chosen)).absolute()


def is_offline() -> bool:
    """Whether the environment forbids to ask the network."""
    return os.environ.get(OFFLINE_VARIABLE, "").lower() in _TRUE


def checksum(path: str | os.PathLike) -> str:
    """The sha256 of a file, 64 hexadecimal digits."""
    with as_path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_checksum(path: pathlib.Path, expected: str, named: str) -> None:
    """Compares the beginning of a file's sha256 with what is published.

    Raises:
        WeightsError: naming both.
    """
    found = checksum(path)
    if not found.startswith(expected):
        raise WeightsError(
            f"{named}: its sha256 begins with {found[: len(expected)]}, expected "
            f"{expected}"
        )


def check_content(path: pathlib.Path, named: str) -> None:
    """Refuses what is no file of weights: a login page, or a file without its end.

    Raises:
        WeightsError: saying what it is.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(torch_zip.MAGIC):
        if not zipfile.is_zipfile(path):
            raise WeightsError(f"{named}: its end is missing")
        return
    if head.startswith(b"\x80"):  # a pickle, as PyTorch wrote them before 1.6
        return
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and head[9:10] in b'"} \n\t':  # safetensors
        if path.stat().st_size < 8 + header:
            raise WeightsError(f"{named}: its end is missing")
        return
    raise WeightsError(f"{named}: {_what(head)}, expected a file of weights")


def _what(head: bytes) -> str:
    """What a file is that begins so, for people."""
    if not head:
        return "an empty file"
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head")):
        title = _TITLE.search(head)
        text = html.unescape(title[1].decode("utf-8", "replace")) if title else ""
        shown = " ".join(text.split())[:_SHOWN]
        return f"a web page ({shown!r})" if shown else "a web page"
    return f"a file that begins with {head[:_SHOWN][:16]!r}"
