"""Weights of a work directory."""

import pathlib

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.opening import open_checkpoints


def read_variables(checkpoints: Checkpoints, step: int) -> dict:
    """Evaluation variables of a checkpoint, as NumPy arrays on any machine.

    Returns:
        {"params": ..., "batch_stats": ...}; averages where the run kept them.

    Raises:
        CheckpointError: if there is no such checkpoint or it is damaged.
    """
    state = checkpoints.restore_arrays(step)
    source = state.get("ema") or state
    return {name: source[name] for name in ("params", "batch_stats")}


def saved_variables(workdir: str | pathlib.Path, step: int | str) -> dict:
    """`read_variables` of a work directory; `step` may be `best` or `latest`."""
    checkpoints = open_checkpoints(workdir)
    try:
        return read_variables(checkpoints, checkpoints.resolve(step))
    finally:
        checkpoints.close()


def saved_info(workdir: str | pathlib.Path, step: int | str) -> DatasetInfo:
    """The data set that a checkpoint was trained on; `step` as above."""
    checkpoints = open_checkpoints(workdir)
    try:
        meta = checkpoints.meta(checkpoints.resolve(step))
    finally:
        checkpoints.close()
    return DatasetInfo.from_json(meta["dataset_info"])
