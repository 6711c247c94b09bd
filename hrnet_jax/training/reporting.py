"""Metrics, events and pictures of a run: in its work directory, and elsewhere."""

import contextlib
import json
import logging
import math
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from hrnet_jax.config.json_files import parse_object
from hrnet_jax.errors import StorageError
from hrnet_jax.storage import paths
from hrnet_jax.storage.spool import Spool
from hrnet_jax.whole_files import write_whole

METRICS_FILE = "metrics.jsonl"

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """A further place that a run is reported to."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Writes scalars of a step."""

    def pictures(self, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Writes uint8 RGB pictures [h, w, 3]."""

    def result(self, metrics: dict[str, float]) -> None:
        """Writes the metrics that the run ends with."""

    def close(self, *, failed: bool = False) -> None:
        """Writes out everything pending."""


class TensorBoardEvents:
    """TensorBoard events in a work directory.

    Args:
        workdir: the work directory.
        first_step: events of later steps, of a run that was killed, are not shown.
    """

    def __init__(self, workdir: str | os.PathLike, first_step: int):
        # Imports PyTorch where that is installed, which takes seconds.
        from tensorboardX import SummaryWriter

        self._events = SummaryWriter(
            logdir=os.fspath(workdir), purge_step=first_step + 1
        )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Writes scalars of a step."""
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def pictures(self, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Writes uint8 RGB pictures [h, w, 3]."""
        for name, picture in pictures.items():
            self._events.add_image(name, picture, step, dataformats="HWC")

    def result(self, metrics: dict[str, float]) -> None:
        """Nothing: TensorBoard shows what has a step."""

    def close(self, *, failed: bool = False) -> None:
        """Writes out everything pending."""
        self._events.close()


class Reporter:
    """Writes scalars as `metrics.jsonl`, and hands them and pictures to other writers.

    For a work directory in a bucket the files are written elsewhere, and copied there
    whole: metrics with each checkpoint, and all of them once a minute and at the end.

    Args:
        workdir: the work directory.
        first_step: lines of later steps, written by a run that was killed, are
            removed so that every step is reported once.
        tensorboard: whether to write events.
        others: makes further writers, once the work directory is there; not called
            where nothing is written.
        active: False on all processes but the first.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        first_step: int = 0,
        *,
        tensorboard: bool = True,
        others: Callable[[], Sequence[Writer]] = tuple,
        active: bool = True,
    ):
        self._path = paths.as_path(workdir) / METRICS_FILE
        self._writers: list[Writer] = []
        self._spool: Spool | None = None
        self._active = active
        if not active:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _drop_later_lines(self._path, first_step)
        if paths.is_remote(self._path):
            self._spool = Spool(self._path.parent)
            workdir = self._spool.folder
            kept = self._path.read_bytes() if self._path.exists() else b""
            self._path = self._spool.folder / METRICS_FILE
            self._path.write_bytes(kept)
        self._writers += others()
        if tensorboard:
            self._writers.append(TensorBoardEvents(workdir, first_step))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Appends one line; numbers that are not finite are kept as text."""
        if not self._active:
            return
        line = {"step": step} | {
            name: value if math.isfinite(value) else str(value)
            for name, value in values.items()
        }
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for writer in self._writers:
            writer.scalars(step, values)
        if self._spool is not None:
            self._spool.copy_sometimes()

    def before_save(self) -> None:
        """Sees to it that no checkpoint is there without the lines that led to it.

        Raises:
            StorageError: if a bucket refuses them, or does not answer.
        """
        if self._spool is not None:
            self._spool.copy(METRICS_FILE)

    def pictures(self, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Hands uint8 RGB pictures [h, w, 3] to the writers."""
        for writer in self._writers:
            writer.pictures(step, pictures)

    def result(self, metrics: dict[str, float]) -> None:
        """Hands the metrics that the run ends with to the writers."""
        for writer in self._writers:
            writer.result(metrics)

    def close(self, *, failed: bool = False) -> None:
        """Writes out everything pending.

        Args:
            failed: whether the session ends before the run does.
        """
        for writer in self._writers:
            writer.close(failed=failed)
        if self._spool is not None:
            # What failed first is told; this would fail for the same reason.
            with contextlib.suppress(*[StorageError] if failed else []):
                self._spool.close()


def read_metrics(workdir: str | os.PathLike) -> list[dict]:
    """The lines of a work directory's `metrics.jsonl`, in order.

    Lines that were not written so are left out, with a warning that names the first.
    """
    return _read_lines(paths.as_path(workdir) / METRICS_FILE)


def _read_lines(path: pathlib.Path) -> list[dict]:
    """Lines that are whole; of others all but half a line at the end are named."""
    if not path.exists():
        return []
    found, damaged = [], []
    # Not `splitlines`, which also ends lines within damaged ones.
    # A killed run may leave half a line at the end.
    *lines, _ = path.read_bytes().split(b"\n")
    for number, text in enumerate(lines, 1):
        line = _read_line(text)
        if line is not None:
            found.append(line)
        elif text.strip():
            damaged.append(number)
    if damaged:
        first, more = damaged[0], len(damaged) - 1
        _log.warning(
            "%s: line %d cannot be read%s; left out",
            path,
            first,
            f", nor can {more} more" if more else "",
        )
    return found


def _read_line(text: bytes) -> dict | None:
    """An object with a step and numbers; None for anything else."""
    try:
        line = parse_object(text)
    except ValueError:
        return None
    is_line = type(line.get("step")) is int and all(map(_is_value, line.values()))
    return line if is_line else None


def _is_value(value: Any) -> bool:
    """Whether a number, or the text of one that is not finite."""
    return is_number(value) or value in ("nan", "inf", "-inf")


def is_number(value: Any) -> bool:
    """Whether a float, or an integer that can be shown as one."""
    return isinstance(value, float) or (
        type(value) is int and abs(value) <= sys.maxsize
    )


def _drop_later_lines(path: pathlib.Path, step: int) -> None:
    kept = [line for line in _read_lines(path) if line["step"] <= step]
    if not path.exists():
        return
    write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
