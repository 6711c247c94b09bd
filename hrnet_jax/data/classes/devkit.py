"""What comes with the archives of ImageNet: names of classes, classes of images."""

import re
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hrnet_jax.data.files.coco_json import shown
from hrnet_jax.data.files.matlab5_values import read_values
from hrnet_jax.data.files.text_files import read_json
from hrnet_jax.data.files.text_tables import csv_rows, text_rows
from hrnet_jax.errors import DataError

DEVKIT = "ILSVRC2012_devkit_t12"
TABLE = "meta.mat"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
# The same by others: a class a line; a table of images and their boxes.
SYNSET_LABELS = "imagenet_2012_validation_synset_labels.txt"
SOLUTION = "LOC_val_solution.csv"

_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})", re.ASCII)
# Of the 1860 synsets in the table, those that images are of.
_CLASSES = 1000


def image_number(name: str) -> int | None:
    """Number of a validation image, from 1; None for another name."""
    found = _NUMBER.match(name)
    return int(found[1]) if found else None


def read_synsets(path: Path) -> tuple[dict[int, str], dict[str, str]]:
    """The table of the devkit, `meta.mat`.

    Returns:
        Number of a class -> its id, and id -> its words.

    Raises:
        DataError: if the file is damaged, or no such table.
    """
    entries = read_values(path).get("synsets")
    numbers: dict[int, str] = {}
    names: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else ():
        try:
            number, identity = int(entry["ILSVRC2012_ID"].item()), entry["WNID"]
            words = entry["words"]
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            continue
        if 1 <= number <= _CLASSES and isinstance(identity, str) and identity:
            numbers[number] = identity
            names[identity] = words if isinstance(words, str) and words else identity
    if not numbers:
        raise DataError(
            f"{path} has no array 'synsets' with ILSVRC2012_ID, WNID and words, as "
            f"{TABLE} of {DEVKIT} does"
        )
    return numbers, names


def read_truth(path: Path, numbers: Mapping[int, str]) -> dict[int, str]:
    """Number of a validation image, from 1 -> id of its class.

    Args:
        path: of the devkit's list, a number of a class a line.
        numbers: of `read_synsets`.

    Raises:
        DataError: naming the line of something else.
    """
    truth = {}
    for image, (line, text) in enumerate(text_rows(path), 1):
        short = text.isascii() and text.isdecimal() and len(text) < 9
        number = int(text) if short else 0
        if number not in numbers:
            raise DataError(
                f"{path}:{line}: {shown(text)} is no number of a class of {TABLE}"
            )
        truth[image] = numbers[number]
    return truth


def read_solution(path: Path) -> dict[int, str]:
    """Like `read_truth`, from `LOC_val_solution.csv`: `ImageId,PredictionString`.

    Raises:
        DataError: naming the line without image or class.
    """
    truth = {}
    for line, cells in csv_rows(path)[1:]:
        number = image_number(cells[0])
        words = cells[1].split() if len(cells) > 1 else []
        if number is None or not words:
            raise DataError(
                f"{path}:{line}: expected the name of a validation image and its class, "
                f"got {shown(','.join(cells))}"
            )
        truth[number] = words[0]
    return truth


class Devkit:
    """Names of classes and classes of validation images, as far as they are known.

    Args:
        source: the folder that holds `ILSVRC2012_devkit_t12.tar.gz`, or what is in it,
            or lists of others that say the same.

    Attributes:
        names: id of a class -> its words; empty where nothing tells them.
        truth: number of a validation image, from 1 -> id of its class; empty where
            nothing tells it.
        where: what told it, for messages.

    Raises:
        DataError: naming what is damaged.
    """

    def __init__(self, source: Path) -> None:
        self.names: dict[str, str] = {}
        self.truth: dict[int, str] = {}
        self.where = ""
        packed = source / f"{DEVKIT}.tar.gz"
        folders = (source / DEVKIT / "data", source / "data", source)
        folder = next((one for one in folders if (one / TABLE).is_file()), None)
        if folder is not None:
            self._read(folder, str(folder))
        elif packed.is_file():
            with tempfile.TemporaryDirectory() as place:
                _unpack(packed, Path(place))
                try:
                    self._read(Path(place), str(packed))
                except DataError as error:
                    told = str(error).replace(f"{place}/", "")
                    raise DataError(f"{packed}: {told}") from None
        elif (source / SYNSET_LABELS).is_file():
            self.where = str(source / SYNSET_LABELS)
            rows = text_rows(source / SYNSET_LABELS)
            self.truth = {number: text for number, (_, text) in enumerate(rows, 1)}
        elif (source / SOLUTION).is_file():
            self.where = str(source / SOLUTION)
            self.truth = read_solution(source / SOLUTION)

    def _read(self, folder: Path, where: str) -> None:
        numbers, self.names = read_synsets(folder / TABLE)
        if (folder / TRUTH).is_file():
            self.truth = read_truth(folder / TRUTH, numbers)
            self.where = where


def _unpack(packed: Path, place: Path) -> None:
    """Writes the two files of the devkit into a folder."""
    try:
        with tarfile.open(packed, "r:gz") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in (TABLE, TRUTH) and member.isreg():
                    content = archive.extractfile(member)
                    assert content is not None
                    (place / name).write_bytes(content.read())
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{packed} is no such archive: {error}") from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{packed} cannot be read: {reason}") from None


def read_real(path: Path, num_classes: int) -> list[tuple[int, ...]]:
    """ReaL labels (Beyer et al. 2020, "Are we done with ImageNet?"), `real.json`.

    Returns:
        For each validation image, in the order of their numbers, indices of the classes
        that are right; none where the raters agreed on none.

    Raises:
        DataError: naming the entry that is something else.
    """
    document: Any = read_json(path)
    if not isinstance(document, list):
        raise DataError(f"{path} is {shown(document)}, expected a list of lists")
    for number, entry in enumerate(document, 1):
        if not isinstance(entry, Sequence) or isinstance(entry, str):
            entry = (None,)
        good = all(
            isinstance(label, int)
            and not isinstance(label, bool)
            and 0 <= label < num_classes
            for label in entry
        )
        if not good:
            raise DataError(
                f"{path}: entry {number} is {shown(document[number - 1])}, expected a "
                f"list of classes 0..{num_classes - 1}"
            )
    return [tuple(dict.fromkeys(entry)) for entry in document]
