"""Lists of the classes of images: folder and name, one a line."""

from collections.abc import Collection, Mapping
from pathlib import Path

from hrnet_jax.data.files.text_tables import text_rows
from hrnet_jax.errors import DataError

CLASS_FILE = "classes.txt"
# Further files of ImageNet's classes, `n01440764 tench, Tinca tinca`.
SYNSET_FILES = ("LOC_synset_mapping.txt", "synset_words.txt", CLASS_FILE)


def read_class_names(
    path: Path, ids: Collection[str], *, others: bool = False
) -> dict[str, str]:
    """Names of classes by their folders, in the order of the file.

    A line is `FOLDER`, or `FOLDER NAME`, between them a space, a tab or a comma; numbers
    before them that count the lines are left out.

    Args:
        path: of the file.
        ids: the folders that there are.
        others: whether lines of further classes are left out; an error otherwise.

    Raises:
        DataError: naming the line of a folder that is not there, or is there twice;
            for a folder without a line.
    """
    names: dict[str, str] = {}
    rows = text_rows(path)
    texts = _without_numbers([text for _, text in rows])
    for (line, _), text in zip(rows, texts, strict=True):
        identity, name = _divided(text, ids)
        if identity not in ids and others:
            continue
        if identity not in ids:
            raise DataError(
                f"{path}:{line}: there is no class {identity!r}; expected the folder of "
                "a class, and its name behind it"
            )
        if identity in names:
            raise DataError(f"{path}:{line}: class {identity!r} is there twice")
        names[identity] = name
    missing = sorted(set(ids) - names.keys())
    if missing:
        raise DataError(f"{path} has no line for class {missing[0]!r}")
    return names


def chosen_classes(
    chosen: Collection[str], names: Mapping[str, str], where: object
) -> dict[str, str]:
    """The classes of an option, by folder or name; all where it is empty.

    Args:
        chosen: folders or names.
        names: folder -> name, of all classes.
        where: the source, for the message.

    Raises:
        DataError: for a class that is not there.
    """
    if not chosen:
        return dict(names)
    by_name = {name: identity for identity, name in names.items()}
    found = {}
    for one in chosen:
        identity = one if one in names else by_name.get(one, "")
        if not identity:
            some = ", ".join(sorted(names)[:10])
            more = ", ..." if len(names) > 10 else ""
            raise DataError(
                f"option classes has {one!r}, the classes of {where} are {some}{more}"
            )
        found[identity] = names[identity]
    return found


def _without_numbers(texts: list[str]) -> list[str]:
    """Lines without the numbers that count them, from 0 or 1."""
    words = [text.split(maxsplit=1) for text in texts]
    for first in (0, 1):
        if words and all(
            len(parts) == 2 and parts[0].rstrip(":,") == str(number)
            for number, parts in enumerate(words, first)
        ):
            return [parts[1] for parts in words]
    return texts


def _divided(text: str, ids: Collection[str]) -> tuple[str, str]:
    """Folder and name of a line."""
    if text in ids:
        return text, text
    for mark in ("\t", ",", " "):
        identity, _, name = (part.strip() for part in text.partition(mark))
        if name and identity in ids:
            return identity, name
    return text.split()[0], text
