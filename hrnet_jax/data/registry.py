"""How data sets are prepared, by name."""

import contextlib
import dataclasses
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hrnet_jax.config.options import read_options
from hrnet_jax.data.copies import upload_prepared
from hrnet_jax.data.files.listing import listed
from hrnet_jax.data.info import DatasetInfo, load_info
from hrnet_jax.data.records import find_prepared, prepared_directory, set_aside
from hrnet_jax.data.sources import SOURCES, source_class
from hrnet_jax.data.writing import VERSION, Source, prepare_records
from hrnet_jax.errors import OF_THE_DISK, DataError
from hrnet_jax.storage.paths import as_path, is_remote
from hrnet_jax.whole_files import remove_leftovers, unfinished_folder

_log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def prepare(
    name: str,
    data_dir: str | os.PathLike,
    source: str | os.PathLike | None = None,
    overwrite: bool = False,
    *,
    save_as: str | None = None,
    progress: bool = False,
    **options: Any,
) -> DatasetInfo:
    """Prepares a data set, or returns at once if that is already done.

    Args:
        name: a key of `hrnet_jax.data.sources.SOURCES`.
        data_dir: folder of all prepared data sets.
        source: folder of the original files, for data sets that have one.
        overwrite: prepare again and replace what is there.
        save_as: name to store the data set under; `name` by default.
        progress: whether to show a progress bar.
        **options: options of the data set, see its `Options` class.

    Returns:
        What is known of the data set, counts and histograms included.

    Raises:
        DataError: naming the file, if something in `source` is not as
            expected; or if the prepared data set has other options.
        ConfigError: for an unknown option or one of the wrong type.
    """
    cls = source_class(name)
    stored_name = _stored_name(name, save_as)
    data_dir = as_path(data_dir).expanduser()
    chosen: Any = read_options(cls.Options, options, name)
    origin = {
        "dataset": name,
        "source": None if source is None else str(Path(source).expanduser().resolve()),
        "options": dataclasses.asdict(chosen),
    }
    existing = find_prepared(stored_name, data_dir)
    if existing is not None and not overwrite:
        remove_leftovers(existing.parent)
        info = load_info(existing)
        _check_same(info, origin, existing, cls)
        _log.debug("data set %r is already prepared in %s", stored_name, existing)
        return info
    reader = cls(_source_folder(name, source, cls), chosen)
    place = data_dir / stored_name / VERSION
    _write(reader, place, origin, overwrite=overwrite, progress=progress)
    info = load_info(prepared_directory(stored_name, data_dir))
    # Another preparation may have come first.
    _check_same(info, origin, place, cls)
    return info


def _write(
    reader: Source, place: Path, origin: dict, *, overwrite: bool, progress: bool
) -> None:
    """Writes records beside their place and moves them there.

    What stops on the way leaves an old data set whole, or nothing.
    """
    name, data_dir = place.parent.name, place.parents[1]
    # For a bucket they are written to this host first.
    with _disk_errors_named(place), unfinished_folder(place) as unfinished:
        prepare_records(
            reader,
            name,
            unfinished,
            description=(reader.__doc__ or name).strip().splitlines()[0],
            prepared_from=origin,
            progress=progress,
        )
        if is_remote(place):
            upload_prepared(unfinished / name / VERSION, place)
            return
        if overwrite:
            set_aside(name, data_dir, unfinished)
        _put_in_place(unfinished / name / VERSION, place)


# What ArrayRecord says of a call of the system that failed.
_WRITING_FAILED = re.compile(r"\w+\(\) failed: ([^;]+); writing ")


@contextlib.contextmanager
def _disk_errors_named(place: Path) -> Iterator[None]:
    """What a disk refuses becomes an error that names the place of the records.

    Raises:
        DataError: instead of an `OSError` of a full or read-only disk, and of what
            ArrayRecord raises there.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        said = _WRITING_FAILED.search(str(error))
        reason = said[1] if said else getattr(error, "strerror", None)
        if not said and getattr(error, "errno", None) not in OF_THE_DISK:
            raise
        raise DataError(
            f"{place}: cannot be written ({reason}); make room there, or choose "
            "another --data_dir"
        ) from error


def _put_in_place(new: Path, place: Path) -> None:
    """Moves prepared records to their place, unless others were faster.

    Raises:
        DataError: if something else is there.
    """
    try:
        new.rename(place)
    except OSError as error:
        if not place.exists():
            raise
        if find_prepared(place.parent.name, place.parents[1]) is None:
            raise DataError(
                f"{place} is in the way ({error.strerror}): expected nothing there, or "
                "a prepared data set; move it elsewhere"
            ) from error


def _stored_name(name: str, save_as: str | None) -> str:
    if save_as is None or save_as == name:
        return name
    if not _NAME.fullmatch(save_as):
        raise DataError(
            f"name {save_as!r} must be lower-case letters, digits and underscores"
        )
    if save_as in SOURCES:
        raise DataError(f"name {save_as!r} is the name of another data set")
    return save_as


def _source_folder(
    name: str, source: str | os.PathLike | None, cls: type[Source]
) -> Path | None:
    if not cls.needs_source:
        if source is not None:
            raise DataError(f"{name} is generated and takes no source folder")
        return None
    if source is None:
        raise DataError(f"{name} needs the folder of its files: --source=FOLDER")
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise DataError(f"source folder {folder} of {name} does not exist")
    if not listed(folder):
        raise DataError(f"source folder {folder} of {name} is empty")
    return folder


def _check_same(
    info: DatasetInfo, origin: dict, existing: Path, cls: type[Source]
) -> None:
    """Refuses to pass off records made with other options as these."""
    before = dict(info.prepared_from)
    now = json.loads(json.dumps(origin))  # lists, as in the stored one
    for each in (before, now):
        each["options"] = _filled(cls, each.get("options", {}))
    keys = ["dataset", "options"]
    if cls.source_decides and now["source"] is not None:
        keys.append("source")
    for key in keys:
        if before.get(key) != now[key]:
            raise DataError(
                f"{existing} was prepared with {key} {before.get(key)!r}, asked for "
                f"{now[key]!r}; use --overwrite, or --name to store a second one"
            )


def _filled(cls: type[Source], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the defaults of those that are None, or came after the records."""
    said = {key: value for key, value in options.items() if value is not None}
    return json.loads(json.dumps(_defaults(cls))) | said


def _defaults(cls: type[Source]) -> dict[str, Any]:
    # A default of None, which tells whether a user said anything, stands for a value.
    return {
        field.name: field.metadata.get("unsaid", field.default)
        for field in dataclasses.fields(cls.Options)
    }


def option_defaults(name: str) -> dict[str, Any]:
    """What each option of a data set is where a user says nothing.

    Raises:
        DataError: for an unknown data set.
    """
    return _defaults(source_class(name))


def option_kinds(name: str) -> dict[str, Any]:
    """The type of each option of a data set, for `config.assignments.parse`.

    Raises:
        DataError: for an unknown data set.
    """
    return {
        field.name: field.type
        for field in dataclasses.fields(source_class(name).Options)
    }
