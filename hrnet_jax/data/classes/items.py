"""Images with their classes, and where their files are."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from hrnet_jax.data.files.image_files import read_bytes
from hrnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True, slots=True)
class ImagePlace:
    """An image file, or a part of an archive that is one.

    Attributes:
        path: of the file or the archive.
        member: name in the archive, for messages; empty for a file.
        start: first byte.
        size: number of bytes in an archive.
    """

    path: Path
    member: str = ""
    start: int = 0
    size: int = 0

    def read(self) -> bytes:
        """The bytes of the image file.

        Raises:
            DataError: if they are missing, unreadable or none.
        """
        if not self.member:
            return read_bytes(self.path)
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise DataError(f"cannot read {self}: {error.strerror}") from None
        if len(data) < self.size or not data:
            raise DataError(f"{self} has {len(data)} of {self.size} bytes")
        return data

    def length(self) -> int:
        """Number of bytes."""
        return self.size if self.member else self.path.stat().st_size

    def __str__(self) -> str:
        return f"{self.path}: {self.member}" if self.member else str(self.path)


@dataclasses.dataclass(frozen=True, slots=True)
class ClassItem:
    """One image and its classes.

    Attributes:
        place: of its file.
        image_id: its name, unique in its split.
        labels: indices of its classes; one, but in sets with several.
        real: indices of the classes that are right by the ReaL labels, where there are
            some.
    """

    place: ImagePlace
    image_id: str
    labels: tuple[int, ...]
    real: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class ClassSplits:
    """All that a source of images with classes holds.

    Attributes:
        splits: the images of each split, in record order.
        ids: what the source calls the classes, in label order.
        names: how people call them.
        several: whether an image can be of several classes, or of none.
        real: whether the evaluated images have ReaL labels.
    """

    splits: Mapping[str, Sequence[ClassItem]]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    several: bool = False
    real: bool = False


def in_mixed_order(items: Sequence[ClassItem]) -> list[ClassItem]:
    """Images in the order of a hash of their names.

    Folders have one class after the other; the first hundred are then of all.
    """
    return sorted(
        items, key=lambda item: hashlib.sha256(item.image_id.encode()).digest()
    )


def unique_ids(names: Sequence[str]) -> list[str]:
    """Names of files without their endings, where that leaves them apart."""
    stems = [name.rpartition(".")[0] or name for name in names]
    seen: dict[str, int] = {}
    for stem in stems:
        seen[stem] = seen.get(stem, 0) + 1
    return [
        stem if seen[stem] == 1 else name
        for stem, name in zip(stems, names, strict=True)
    ]
