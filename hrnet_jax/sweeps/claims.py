"""Work directories of trials, each of which one worker trains."""

import contextlib
import pathlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hrnet_jax.config.json_files import read_object
from hrnet_jax.errors import CheckpointError, StorageError
from hrnet_jax.storage.paths import for_each, is_remote
from hrnet_jax.workdir.files import write_json
from hrnet_jax.workdir.lock import LockedError, may_be_free, taking_turns

TRIALS_FOLDER = "trials"
TRIAL_FILE = "trial.json"
CLAIM_FILE = "claim.lock"
SWEEP_LOCK = "sweep.lock"

# Seconds for which another worker may choose its trial, and between two looks.
_PATIENCE, _PAUSE, _PAUSE_IN_BUCKET = 120.0, 0.05, 0.5


def trial_folder(sweepdir: pathlib.Path, number: int) -> pathlib.Path:
    """Work directory of a trial."""
    return sweepdir / TRIALS_FOLDER / f"{number:04d}"


class Claim(contextlib.ExitStack):
    """A trial in the hands of this worker, until this is closed.

    Attributes:
        is_held: says whether no other worker took it for left, as happens in a bucket
            to one that was cut off from it.
    """

    is_held: Callable[[], bool]


def claim(folder: pathlib.Path) -> Claim | None:
    """Claims a trial, which no other worker gets until this is closed.

    It ends with the process, however that ends: the system holds a lock, as it does for
    trainings (`workdir.lock`), and between hosts where the file system passes locks on.
    In a bucket it ends once the process does not renew it any more.

    Returns:
        What to close, or None where another worker has the trial.

    Raises:
        CheckpointError: if the folder cannot be written.
    """
    held = Claim()
    try:
        held.is_held = held.enter_context(taking_turns(folder, CLAIM_FILE))
    except LockedError:
        return None
    return held


def not_known_to_be_claimed(
    sweepdir: pathlib.Path, numbers: Sequence[int]
) -> list[int]:
    """Those of some trials that `claim` may get, which looks at one after the other."""
    folders = [trial_folder(sweepdir, number) for number in numbers]
    free = for_each(lambda folder: may_be_free(folder, CLAIM_FILE), folders)
    return [number for number, is_free in zip(numbers, free, strict=True) if is_free]


@contextlib.contextmanager
def choosing(sweepdir: pathlib.Path) -> Iterator[None]:
    """Within this context no other worker begins a study or chooses a trial.

    Raises:
        CheckpointError: naming who does, if it takes minutes.
        ConfigError: for a bucket in which processes cannot agree on who does.
    """
    deadline = time.monotonic() + _PATIENCE
    pause = _PAUSE_IN_BUCKET if is_remote(sweepdir) else _PAUSE
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(taking_turns(sweepdir, SWEEP_LOCK))
                break
            except LockedError as error:
                if time.monotonic() > deadline:
                    raise CheckpointError(
                        str(error).replace("another training", "another worker")
                    ) from None
                # Not in step with the others, of whom one may have it between two looks.
                time.sleep(pause * random.uniform(0.5, 1.5))
        yield


def read_trial(folder: pathlib.Path) -> dict[str, Any]:
    """What a worker wrote of a trial; empty where it is not there, or is damaged.

    Raises:
        StorageError: if storage of a bucket does not answer.
    """
    try:
        return read_object(folder / TRIAL_FILE, CheckpointError)
    except StorageError:
        raise
    except (OSError, CheckpointError):
        return {}


def write_trial(folder: pathlib.Path, content: dict[str, Any]) -> None:
    """Writes what is known of a trial, whole or not at all."""
    write_json(folder / TRIAL_FILE, content)
