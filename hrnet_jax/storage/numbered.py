"""Objects of a bucket that are numbered, each made by one of many processes.

Whoever makes a number first has it, as storage refuses everybody else. This is all that
processes need in order to agree: on an order of what they write (`sweeps.journal`), and
on who is next (`workdir.lease.Turn`).
"""

import os
import pathlib
from collections.abc import Iterable

from hrnet_jax.storage import paths

_SUFFIX = ".json"
# So that a listing, which is in the order of names, is in that of numbers.
_DIGITS = 9
# Objects that are read at the same time.
_AT_ONCE = 64


class Numbered:
    """Objects `000000000.json`, `000000001.json`, ... of a folder in a bucket.

    Args:
        folder: in a bucket; need not be there.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def path(self, number: int) -> pathlib.Path:
        """Of an object."""
        return self.folder / f"{number:0{_DIGITS}d}{_SUFFIX}"

    def numbers(self) -> list[int]:
        """Those there are, from the lowest up; one listing.

        Raises:
            StorageError: if storage refuses, or does not answer.
        """
        try:
            names = paths.file_system(self.folder).ls(
                os.fspath(self.folder), detail=False
            )
        except FileNotFoundError:
            return []
        stems = [paths.name_of(name).removesuffix(_SUFFIX) for name in names]
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def create(self, number: int, content: bytes) -> bool:
        """Makes an object, see `paths.create_object`."""
        return paths.create_object(self.path(number), content)

    def read(self, numbers: Iterable[int]) -> dict[int, bytes]:
        """Contents of those objects that are there, many at a time.

        Raises:
            StorageError: if storage refuses, or does not answer.
        """
        numbers = [*numbers]
        # Unlike `cat`, which takes names for patterns.
        answers = paths.file_system(self.folder).cat_ranges(
            [os.fspath(self.path(number)) for number in numbers],
            None,
            None,
            on_error="return",
            batch_size=_AT_ONCE,
        )
        found = {}
        for number, answer in zip(numbers, answers, strict=True):
            if isinstance(answer, bytes):
                found[number] = answer
            elif not isinstance(answer, FileNotFoundError):
                raise answer
        return found
