"""Weights of a work directory."""

import dataclasses
import pathlib
from collections.abc import Callable

from flax.traverse_util import flatten_dict

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import DataError, WeightsError
from hrnet_jax.pretrained.fit import check_values
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.opening import open_checkpoints
from hrnet_jax.workdir.published import (
    is_published,
    published_variables,
    read_published,
)


@dataclasses.dataclass(frozen=True)
class Trained:
    """Weights to evaluate that are not those of a work directory.

    Attributes:
        name: what the user calls them, for messages.
        info: classes or points that they were trained on.
        read: gives the variables, {"params", "batch_stats"}, NumPy arrays.
    """

    name: str
    info: DatasetInfo
    read: Callable[[], dict]


def read_variables(checkpoints: Checkpoints, step: int) -> dict:
    """Evaluation variables of a checkpoint, as NumPy arrays on any machine.

    Returns:
        {"params": ..., "batch_stats": ...}; averages where the run kept them.

    Raises:
        CheckpointError: if there is no such checkpoint or it is damaged.
    """
    state = checkpoints.restore_arrays(step)
    source = state.get("ema") or state
    for name in ("params", "batch_stats"):
        if not isinstance(source.get(name), dict):
            raise checkpoints.damaged(step, f"its state has no {name}")
    return {name: source[name] for name in ("params", "batch_stats")}


def read_sound_variables(checkpoints: Checkpoints, step: int) -> dict:
    """`read_variables`, whose numbers can be those of a network.

    Orbax keeps no checksum of the numbers; other bytes in their place often are none.

    Raises:
        CheckpointError: as `read_variables`, and for numbers that are not finite and
            negative variances.
    """
    variables = read_variables(checkpoints, step)
    try:
        check_values(flatten_dict(variables, sep="/"))
    except WeightsError as error:
        raise checkpoints.damaged(step, str(error)) from error
    return variables


def read_info(checkpoints: Checkpoints, step: int) -> DatasetInfo:
    """The data set that a checkpoint was trained on.

    Raises:
        CheckpointError: if the checkpoint does not say, or is damaged.
    """
    try:
        return DatasetInfo.from_json(checkpoints.meta(step).get("dataset_info"))
    except DataError as error:
        raise checkpoints.damaged(step, f"dataset_info of its meta: {error}") from error


def saved_variables(workdir: str | pathlib.Path, step: int | str) -> dict:
    """`read_variables` of a work directory; `step` may be `best` or `latest`.

    A published run has those of one step.
    """
    if is_published(workdir):
        return published_variables(workdir)
    checkpoints = open_checkpoints(workdir)
    try:
        return read_variables(checkpoints, checkpoints.resolve(step))
    finally:
        checkpoints.close()


def saved_info(workdir: str | pathlib.Path, step: int | str) -> DatasetInfo:
    """The data set that a checkpoint was trained on; `step` as above."""
    if is_published(workdir):
        return read_published(workdir).info
    checkpoints = open_checkpoints(workdir)
    try:
        return read_info(checkpoints, checkpoints.resolve(step))
    finally:
        checkpoints.close()
