"""Work directories of trials, each of which one worker trains."""

import contextlib
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from hrnet_jax.config.json_files import read_object
from hrnet_jax.errors import CheckpointError
from hrnet_jax.workdir.files import write_json
from hrnet_jax.workdir.lock import LockedError, locked

TRIALS_FOLDER = "trials"
TRIAL_FILE = "trial.json"
CLAIM_FILE = "claim.lock"
SWEEP_LOCK = "sweep.lock"

# Seconds for which another worker may choose its trial, and between two looks.
_PATIENCE, _PAUSE = 120.0, 0.05


def trial_folder(sweepdir: pathlib.Path, number: int) -> pathlib.Path:
    """Work directory of a trial."""
    return sweepdir / TRIALS_FOLDER / f"{number:04d}"


def claim(folder: pathlib.Path) -> contextlib.ExitStack | None:
    """Claims a trial, which no other worker gets until this is closed.

    It ends with the process, however that ends: the system holds a lock, as it does for
    trainings (`workdir.lock`), and between hosts where the file system passes locks on.

    Returns:
        What to close, or None where another worker has the trial.

    Raises:
        CheckpointError: if the folder cannot be written.
    """
    held = contextlib.ExitStack()
    try:
        held.enter_context(locked(folder, CLAIM_FILE))
    except LockedError:
        return None
    return held


@contextlib.contextmanager
def choosing(sweepdir: pathlib.Path) -> Iterator[None]:
    """Within this context no other worker begins a study or chooses a trial.

    Raises:
        CheckpointError: naming who does, if it takes minutes.
    """
    deadline = time.monotonic() + _PATIENCE
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(sweepdir, SWEEP_LOCK))
                break
            except LockedError as error:
                if time.monotonic() > deadline:
                    raise CheckpointError(
                        str(error).replace("another training", "another worker")
                    ) from None
                time.sleep(_PAUSE)
        yield


def read_trial(folder: pathlib.Path) -> dict[str, Any]:
    """What a worker wrote of a trial; empty where it is not there, or is damaged."""
    try:
        return read_object(folder / TRIAL_FILE, CheckpointError)
    except (OSError, CheckpointError):
        return {}


def write_trial(folder: pathlib.Path, content: dict[str, Any]) -> None:
    """Writes what is known of a trial, whole or not at all."""
    write_json(folder / TRIAL_FILE, content)
