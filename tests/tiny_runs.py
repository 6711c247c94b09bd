"""Tiny runs of all tasks that train, for tests of what holds for each of them."""

import dataclasses
import functools
import pathlib
import sys
import types
from collections.abc import Mapping
from typing import Any

import ml_collections

from tests import (
    tiny,
    tiny_classification,
    tiny_detection,
    tiny_landmarks,
    tiny_pose,
)
from tests.sharing import made_once


@dataclasses.dataclass(frozen=True)
class TinyRun:
    """One of them; its steps are reported one by one and saved every second one.

    Attributes:
        name: of the run.
        module: its experiment file.
        options: of the experiment.
        changes: of its configuration, `section__key=value`.
        ends: (steps to its first evaluation, which is saved; steps of the run).
    """

    name: str
    module: types.ModuleType
    options: str = ""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ends: tuple[int, int] = (2, 4)

    @property
    def file(self) -> str:
        """The value of `--config`."""
        return f"{self.module.__file__}{':' * bool(self.options)}{self.options}"

    @property
    def data_dir(self) -> pathlib.Path:
        """Folder with its prepared data."""
        arguments = (self.options,) if self.options else ()
        return self.module.data_dir(*arguments)

    def config(self, **changes: Any) -> ml_collections.ConfigDict:
        """Its configuration; changes are `section__key=value`."""
        arguments = (self.options,) if self.options else ()
        result = self.module.get_config(*arguments)
        result.dataset.data_dir = str(self.data_dir)
        for key, value in {**self.changes, **changes}.items():
            result.update_from_flattened_dict({key.replace("__", "."): value})
        return result

    def flags(self, **changes: Any) -> list[str]:
        """The same as flags of a script."""
        changes = {"dataset__data_dir": self.data_dir, **self.changes, **changes}
        values = (
            f"--config.{key.replace('__', '.')}={value}"
            for key, value in changes.items()
        )
        return [f"--config={self.file}", *values]

    def command(self, workdir: pathlib.Path, *arguments: str) -> list[str]:
        """The command line that trains it."""
        script = str(tiny.ROOT / "scripts" / "train.py")
        flags = [*self.flags(), f"--workdir={workdir}", *arguments]
        return [sys.executable, script, *flags]

    def undisturbed(self) -> pathlib.Path:
        """Work directory of the run, never interrupted; read only."""
        if self.name == "segmentation":
            return tiny.finished_run()

        def make(workdir: pathlib.Path) -> None:
            from hrnet_jax.training.train import train

            train(self.config(), workdir)

        return made_once(f"finished_{self.name}", make)


_EVERY_SECOND = {
    "num_steps": 4,
    "eval__every_steps": 2,
    "checkpoint__every_steps": 2,
    "mesh__data": 1,
}
_ALL = (
    TinyRun("segmentation", tiny, ends=(4, 8)),
    TinyRun("landmarks", tiny_landmarks, changes=_EVERY_SECOND),
    TinyRun("pose", tiny_pose, changes=_EVERY_SECOND),
    TinyRun("classification", tiny_classification, changes=_EVERY_SECOND),
    TinyRun("mask_rcnn", tiny_detection, "mask_rcnn"),
    TinyRun("fcos", tiny_detection, "fcos"),
    # A train step for each of two shapes, and batches of one of them each.
    TinyRun("both_orientations", tiny_detection, "mask_rcnn,both_orientations"),
)
RUNS = {run.name: run for run in _ALL}


@functools.cache
def best_metric(name: str) -> str:
    """The metric that ranks the checkpoints of a run."""
    from hrnet_jax.registry import get_task

    return get_task(RUNS[name].config().task).best_metric[0]
