"""Opens the checkpoints of a run for reading."""

import pathlib
from typing import Any

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.loading import complete
from hrnet_jax.registry import get_spec
from hrnet_jax.storage import paths
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.files import CONFIG_FILE, read_json


def open_checkpoints(workdir: str | pathlib.Path) -> Checkpoints:
    """Opens the checkpoints of a run for reading, able to tell the best one.

    Earlier versions did not save what ranks the checkpoints; there it is what the
    task of the configuration ranks by.

    Raises:
        CheckpointError: if a checkpoint's metrics or the configuration are damaged.
        ConfigError: if the task of the configuration is not known here.
    """
    path = paths.as_path(workdir) / CONFIG_FILE
    best_metric = None
    if path.is_file():
        try:
            spec = get_spec(read_json(path).get("task", "segmentation"))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        best_metric = spec.best_metric
    return Checkpoints(workdir, best_metric=best_metric)


def read_run_config(workdir: str | pathlib.Path) -> dict[str, Any]:
    """The configuration of a run as JSON values, with every key.

    Raises:
        CheckpointError: if there is none, or it is no JSON.
        ConfigError: naming the file, and the key that is wrong in it.
    """
    path = paths.as_path(workdir) / CONFIG_FILE
    return complete(read_json(path), path)
