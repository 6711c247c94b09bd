"""Opens the checkpoints of a run for reading."""

import pathlib

from hrnet_jax.registry import get_spec
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
    path = pathlib.Path(workdir) / CONFIG_FILE
    best_metric = None
    if path.is_file():
        best_metric = get_spec(read_json(path).get("task", "segmentation")).best_metric
    return Checkpoints(workdir, best_metric=best_metric)
