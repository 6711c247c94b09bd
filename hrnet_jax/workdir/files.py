"""Files of a work directory."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from hrnet_jax.config.json_files import read_object
from hrnet_jax.errors import OF_THE_DISK, CheckpointError, reason_of
from hrnet_jax.storage import paths
from hrnet_jax.whole_files import write_whole

CONFIG_FILE = "config.json"
RESULT_FILE = "result.json"
# Of the last session that trained there.
ENVIRONMENT_FILE = "environment.json"
PICTURES_FOLDER = "predictions"


@contextlib.contextmanager
def writing_to(workdir: pathlib.Path) -> Iterator[None]:
    """Within this context it is an error of the user if nothing can be written.

    Raises:
        CheckpointError: instead of an `OSError` that a disk is the reason of, or that
            names a file of the work directory.
    """
    try:
        yield
    except OSError as error:
        place = paths.as_path(error.filename or workdir)
        if error.errno not in OF_THE_DISK and not place.is_relative_to(workdir):
            raise
        raise CheckpointError(
            f"{place}: cannot be written ({reason_of(error)}); make room, or "
            "see to it that this process may write there, and run the same command "
            "again to resume"
        ) from error


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Writes JSON, whole or not at all."""
    path = paths.as_path(path)
    text = json.dumps(content, indent=2, allow_nan=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text + "\n")


def read_json(path: pathlib.Path) -> dict:
    """Reads a JSON file of a work directory.

    Raises:
        CheckpointError: if it is missing, damaged or something else than an object.
    """
    try:
        return read_object(path, CheckpointError)
    except FileNotFoundError as error:
        if not path.parent.is_dir():
            raise CheckpointError(
                f"{path.parent}: no such folder; expected the work directory of a run"
            ) from error
        raise CheckpointError(
            f"{path}: no such file; expected a work directory of a run"
        ) from error
    except NotADirectoryError as error:
        raise CheckpointError(
            f"{path.parent} is a file; expected a work directory of a run, which "
            f"scripts/convert.py makes of weights: convert.py {path.parent.name} DIR"
        ) from error
