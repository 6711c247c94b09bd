"""Addresses of files: what they say, and where a file is kept."""

import contextlib
import dataclasses
import hashlib
import ipaddress
import pathlib
import re
import urllib.parse

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained.known import find_known, known_files
from hrnet_jax.pretrained.weights_cache import cache_folder

_CHECKSUM = re.compile(r"sha256=([0-9a-fA-F]{8,64})")


@dataclasses.dataclass(frozen=True)
class WebFile:
    """A file at an address.

    Attributes:
        url: without a checksum.
        sha256: hexadecimal digits it begins with; empty where none are known.
        path: where it is kept.
    """

    url: str
    sha256: str
    path: pathlib.Path

    @property
    def part(self) -> pathlib.Path:
        """What has arrived of it."""
        return self.path.with_name(f".{self.path.name}.part")

    @property
    def version(self) -> pathlib.Path:
        """Says of which version of the file the part is."""
        return self.path.with_name(f".{self.path.name}.version")

    @property
    def by_hand(self) -> str:
        """What to do where there is no network."""
        known = f" (its sha256 begins with {self.sha256})" if self.sha256 else ""
        return f"fetch it by hand and put it at {self.path}{known}"


def parse(address: str) -> WebFile:
    """Reads `https://HOST/PATH`, where `#sha256=...` may follow.

    Without it, the checksum is that of the record of the address, or of the file's name.

    Raises:
        WeightsError: for http, an address without a file name, and another fragment.
    """
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise WeightsError(f"{address}: no address ({error})") from error
    if not address.isascii() or not address.isprintable() or " " in address:
        raise WeightsError(
            f"{address!r}: expected an address without blanks and other characters "
            "that are written %20 there"
        )
    is_local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or is_local):
        raise WeightsError(f"{address}: expected an address that begins with https://")
    if parts.username or parts.password:
        raise WeightsError(
            f"{parts.hostname}: an address with a password in it would be kept in "
            "configurations; fetch the file by hand and give its path"
        )
    *folders, name = parts.path.split("/")
    if not name or {".", ".."} & {name, *folders}:
        raise WeightsError(f"{address}: expected the address of a file")
    given = _CHECKSUM.fullmatch(parts.fragment)
    if parts.fragment and given is None:
        raise WeightsError(
            f"{address}: {parts.fragment!r} after #, expected sha256= and 8 to 64 "
            "hexadecimal digits"
        )
    url = urllib.parse.urlunsplit(parts._replace(fragment=""))
    folders = [folder for folder in folders if folder]
    if parts.query:
        folders.append(f"query-{hashlib.sha256(parts.query.encode()).hexdigest()[:8]}")
    host = parts.netloc.replace(":", "_")
    path = cache_folder().joinpath(host, *folders, name)
    return WebFile(url, given[1].lower() if given else _published(url, name), path)


def is_loopback(host: str) -> bool:
    """Whether a name or a number is this machine's."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _published(url: str, name: str) -> str:
    """The checksum of a released file, found by its address, else by its name."""
    records = [record for record in known_files() if record.address == url]
    records = records or list(find_known(name))
    return records[0].sha256 if len(records) == 1 else ""
