"""Finds the image files that annotation files of other machines name."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from hrnet_jax.data.files.file_names import check_image_name, is_file, is_plain
from hrnet_jax.data.files.findings import Findings
from hrnet_jax.errors import DataError

_FILE_URL = "file://"
# Label Studio names files below a folder that it serves by a query.
_SERVED = "?d="
_DRIVE = re.compile(r"[A-Za-z]:")


class ImageFinder:
    """Image files by the names that labelling tools give them.

    A name is taken as it is where there is such a file; else with `\\` for `/` and
    without the escapes of URLs; else without its first folders, as tools write the
    folders of the machine they ran on. Names of which two lead to one file that way
    are an error.

    Args:
        folders: where to look, best first; the first is named in messages.
        path: the annotation file, for the findings.
        findings: counts the files that are found without their first folders.
    """

    def __init__(self, folders: Sequence[Path], path: Path, findings: Findings) -> None:
        folders = [Path(os.path.normpath(folder)) for folder in folders]
        self._folders = list(dict.fromkeys(folders))
        self._path = path
        self._findings = findings
        self._known: dict[str, tuple[Path, str]] = {}
        self._names: dict[Path, tuple[str, bool]] = {}

    def find(self, name: Any, where: str) -> tuple[Path, str]:
        """The file, and its name below the folder it is in, with `/`.

        A file that is nowhere is given as it would be in the first folder.

        Args:
            name: as the annotation file has it.
            where: file and line, for messages.

        Raises:
            DataError: for what is no name of a file; or one of two names of one file.
        """
        name = check_image_name(name, where)
        if name not in self._known:
            self._known[name] = self._find(name, where)
        return self._known[name]

    def _find(self, name: str, where: str) -> tuple[Path, str]:
        readings = list(dict.fromkeys(filter(is_plain, _readings(name))))
        for reading in readings:
            for folder in self._folders:
                # Without `..`, so that a file has one path.
                path = Path(os.path.normpath(folder / reading))
                if is_file(path):
                    self._take(name, path, where, whole=True)
                    return path, self._below(path)
        for reading in readings:
            parts = _parts(reading)
            for start in range(1, len(parts)):
                for folder in self._folders:
                    path = folder.joinpath(*parts[start:])
                    if is_file(path):
                        self._take(name, path, where, whole=False)
                        return path, self._below(path)
        missing = "/".join(_parts(readings[-1]))
        return self._folders[0] / missing, missing

    def _below(self, path: Path) -> str:
        """The name of a file below the folders; its path if it is in none of them."""
        for folder in self._folders:
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return "/".join(_parts(str(path)))

    def _take(self, name: str, path: Path, where: str, *, whole: bool) -> None:
        other, other_whole = self._names.setdefault(path, (name, whole))
        if other != name and not (whole and other_whole):
            raise DataError(
                f"{where} names {name!r}, of which only {path} is there, but that is "
                f"{other!r} as well; bring the images with the folders that the file "
                "names"
            )
        if not whole:
            self._findings.count(
                self._path, "images found without the first folders of their names"
            )


def _readings(name: str) -> Iterator[str]:
    """What a name may stand for, the most literal first."""
    if name.startswith(_FILE_URL):
        name = name.removeprefix(_FILE_URL)
        yield unquote(name)
    plain = name.partition(_SERVED)[2] or name
    yield name
    yield plain.replace("\\", "/")
    yield unquote(plain)
    yield unquote(plain).replace("\\", "/")


def _parts(reading: str) -> list[str]:
    """The folders and the file of a path below some folder."""
    parts = _DRIVE.sub("", reading, count=1).replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".", "..")] or [reading]
