"""Metrics, events and pictures of a run in its work directory."""

import json
import math
import os
import pathlib
import sys
from typing import Any

import numpy as np

from hrnet_jax.config.json_files import parse_object
from hrnet_jax.config.options import shortened
from hrnet_jax.errors import CheckpointError

METRICS_FILE = "metrics.jsonl"


class Reporter:
    """Writes scalars and pictures as `metrics.jsonl` and TensorBoard events.

    Args:
        workdir: the work directory.
        first_step: lines of later steps, written by a run that was killed, are
            removed so that every step is reported once.
        tensorboard: whether to write events.
        active: False on all processes but the first.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        first_step: int = 0,
        *,
        tensorboard: bool = True,
        active: bool = True,
    ):
        self._path = pathlib.Path(workdir) / METRICS_FILE
        self._events = None
        self._active = active
        if not active:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _drop_later_lines(self._path, first_step)
        if tensorboard:
            # Imports PyTorch where that is installed, which takes seconds.
            from tensorboardX import SummaryWriter

            # Events of later steps, of a run that was killed, are not to be shown.
            self._events = SummaryWriter(
                logdir=os.fspath(workdir), purge_step=first_step + 1
            )

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
        if self._events:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)

    def pictures(self, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Writes uint8 RGB pictures [h, w, 3] as TensorBoard images."""
        if self._events:
            for name, picture in pictures.items():
                self._events.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Writes out everything pending."""
        if self._events:
            self._events.close()


def read_metrics(workdir: str | os.PathLike) -> list[dict]:
    """The lines of a work directory's `metrics.jsonl`, in order.

    Raises:
        CheckpointError: naming the file and a line in it that was not written so.
    """
    return _read_lines(pathlib.Path(workdir) / METRICS_FILE)


def _read_lines(path: pathlib.Path) -> list[dict]:
    if not path.exists():
        return []
    # A killed run may leave half a line at the end.
    *lines, _ = path.read_bytes().split(b"\n")
    return [_read_line(line, f"{path}:{n}") for n, line in enumerate(lines, 1)]


def _read_line(line: bytes, where: str) -> dict:
    expected = "expected a step and numbers; delete the line"
    try:
        values = parse_object(line)
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}; {expected}") from error
    if type(values.get("step")) is not int or not all(map(_is_number, values.values())):
        raise CheckpointError(f"{where}: {shortened(values)}; {expected}")
    return values


def _is_number(value: Any) -> bool:
    """Whether a number, or the text of one that is not finite."""
    if isinstance(value, str):
        return value in ("nan", "inf", "-inf")
    return isinstance(value, float) or (
        type(value) is int and abs(value) <= sys.maxsize
    )


def _drop_later_lines(path: pathlib.Path, step: int) -> None:
    kept = [line for line in _read_lines(path) if line["step"] <= step]
    if not path.exists():
        return
    temporary = path.with_name(path.name + ".new")
    temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
    os.replace(temporary, path)
