"""Reads what a run left in its work directory."""

import json
import pathlib

from hrnet_jax.errors import CheckpointError
from hrnet_jax.registry import TASKS
from hrnet_jax.training.checkpoints import Checkpoints
from hrnet_jax.training.config import TrainConfig

CONFIG_FILE = "config.json"


def read_json(path: pathlib.Path) -> dict:
    """Reads a JSON file of a work directory.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such file; expected a work directory of a run"
        ) from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from error


def open_checkpoints(workdir: str | pathlib.Path) -> Checkpoints:
    """Opens the checkpoints of a run for reading, able to tell the best one.

    Earlier versions did not save what ranks the checkpoints; there it is what the
    task of the configuration ranks by.

    Raises:
        CheckpointError: if a checkpoint's metrics or the configuration are damaged.
    """
    path = pathlib.Path(workdir) / CONFIG_FILE
    task = None
    if path.is_file():
        task = TASKS.get(read_json(path).get("task", TrainConfig.task))
    return Checkpoints(workdir, best_metric=getattr(task, "best_metric", None))
