"""The journal of a study in a bucket, where nothing can be appended to a file."""

import json
import pathlib
import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from hrnet_jax.errors import CheckpointError
from hrnet_jax.storage.numbered import Numbered

# Numbers that are asked for at a time, once the first of them was there.
_AHEAD = 16


class ObjectJournal(BaseJournalBackend):
    """Logs of Optuna as numbered objects, one for each time that some were appended.

    Of several workers that append at once storage lets one make the next number. The
    others read what it wrote and take the number after it, so all see the same order.

    There is no snapshot: Optuna's is a pickle, which nobody should open from a bucket.

    Args:
        folder: in a bucket; need not be there.

    Raises:
        CheckpointError: if objects are missing or damaged.
        StorageError: if storage refuses, or does not answer.
    """

    def __init__(self, folder: pathlib.Path):
        self._numbered = Numbered(folder)
        # Each as JSON, as what was read is given out again and might be changed.
        self._logs: list[str] = []
        self._next = 0
        self._lock = threading.Lock()
        numbers = self._numbered.numbers()
        self._take(range(numbers[-1] + 1 if numbers else 0), complete=True)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Logs from a number on, with those that were appended since the last time.

        Raises:
            CheckpointError: if an object is damaged.
            StorageError: if storage refuses, or does not answer.
        """
        with self._lock:
            self._read_on()
            texts = self._logs[log_number_from:]
        return map(json.loads, texts)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends logs, after all that are there.

        Raises:
            ConfigError: for a bucket that cannot make objects exclusively.
            CheckpointError: if an object of another worker is damaged.
            StorageError: if storage refuses, or does not answer.
        """
        # So that no other writer writes the same.
        content = {"writer": secrets.token_hex(8), "logs": logs}
        text = json.dumps(content, separators=(",", ":")).encode()
        with self._lock:
            while not self._numbered.create(self._next, text):
                self._read_on()
            self._add(logs)

    def _read_on(self) -> None:
        """Reads what others appended; one request where there is nothing new."""
        ahead = 1
        while self._take(range(self._next, self._next + ahead)):
            ahead = _AHEAD

    def _take(self, numbers: Sequence[int], complete: bool = False) -> bool:
        """Reads objects up to the first that is not there; whether all were.

        Args:
            numbers: of the objects.
            complete: whether all are known to have been made.
        """
        found = self._numbered.read(numbers)
        for number in numbers:
            if number not in found:
                if complete:
                    raise CheckpointError(
                        f"{self._numbered.path(number)}: no such file, though later ones "
                        "are there; expected all of the journal of a sweep"
                    )
                return False
            self._add(self._decoded(number, found[number]))
        return True

    def _add(self, logs: Sequence[dict[str, Any]]) -> None:
        self._logs += map(json.dumps, logs)
        self._next += 1

    def _decoded(self, number: int, content: bytes) -> list[dict[str, Any]]:
        try:
            logs = json.loads(content)["logs"]
            if all(isinstance(log["op_code"], int) for log in logs):
                return logs
        except (ValueError, KeyError, TypeError):
            pass
        raise CheckpointError(
            f"{self._numbered.path(number)} is damaged; expected a part of the journal "
            "of a sweep"
        )
