"""Images in tar archives, read without unpacking them."""

import dataclasses
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from hrnet_jax.data.classes.items import ImagePlace
from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.data.files.listing import is_litter
from hrnet_jax.errors import DataError

_ARCHIVE = ".tar"
_BLOCK = 512


@dataclasses.dataclass(frozen=True, slots=True)
class ArchivedImage:
    """An image in an archive.

    Attributes:
        place: of its bytes.
        folder: name of the archive or the folder in the archive that it is in; empty
            for an image outside of all.
        name: of the file.
    """

    place: ImagePlace
    folder: str
    name: str


def images_in(path: Path) -> Iterator[ArchivedImage]:
    """The images of an archive, and of the archives in it, in their order.

    Raises:
        DataError: naming the archive, if it cannot be read, is compressed or truncated.
    """
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            yield from _images(file, path, "", 0, length)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot read {path}: {reason}") from None


def _images(
    file: IO[bytes], path: Path, inside: str, start: int, length: int
) -> Iterator[ArchivedImage]:
    """The images of an archive from a byte on; `inside` is its name in another."""
    where = f"{path}: {inside}" if inside else str(path)
    for name, offset, size in _members(file, where, start, length):
        member = f"{inside}/{name}" if inside else name
        parts = PurePosixPath(name)
        if any(map(is_litter, parts.parts)):
            continue
        suffix = parts.suffix.lower()
        if suffix == _ARCHIVE and not inside:
            yield from _images(file, path, name, offset, size)
        elif suffix in IMAGE_SUFFIXES:
            folder = parts.parent.name or PurePosixPath(inside).stem
            place = ImagePlace(path, member, offset, size)
            yield ArchivedImage(place, folder, parts.name)


def _members(
    file: IO[bytes], where: str, start: int, length: int
) -> list[tuple[str, int, int]]:
    """(name, first byte, bytes) of the files of an archive, by its headers alone."""
    found = []
    end = start + length
    file.seek(start)
    try:
        # Uncompressed alone: in others no place is reached without all before it.
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                at = member.offset_data
                if at >= end:
                    break
                if member.size < 0 or member.issparse():
                    raise DataError(
                        f"{where}: {member.name!r} is no plain file of {member.size} bytes"
                    )
                if at + member.size > end:
                    raise DataError(
                        f"{where} is truncated: {member.name!r} ends behind its end"
                    )
                if member.isreg():
                    found.append((member.name, at, member.size))
            # `tarfile` takes a header that is cut for the end.
            ended = archive.offset
    except (tarfile.TarError, EOFError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{where} is not an uncompressed tar archive: {error}"
        ) from None
    file.seek(min(ended, end))
    if file.read(min(_BLOCK, max(end - ended, 0))).strip(b"\0") or ended + _BLOCK > end:
        raise DataError(f"{where} is truncated: its end marker is missing")
    return found
