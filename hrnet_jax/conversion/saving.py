"""Work directories made of weights alone."""

import os

import ml_collections

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.experiment.sections import CheckpointOptions
from hrnet_jax.registry import get_spec
from hrnet_jax.storage import paths
from hrnet_jax.training.state import create_state
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.files import CONFIG_FILE, write_json


def save_converted(
    workdir: str | os.PathLike,
    config: ml_collections.ConfigDict,
    variables: dict,
    info: DatasetInfo,
) -> None:
    """Makes a work directory out of weights, for `load_run` and `init_from`.

    Args:
        workdir: a new directory.
        config: from `default_config`, with the model filled in.
        variables: {"params", "batch_stats"}.
        info: classes and colours, or points, of the weights.
    """
    workdir = paths.absolute(workdir)
    write_json(workdir / CONFIG_FILE, to_json(config))
    has_task = get_spec(config.task).task is not None
    options = read_config(config).checkpoint if has_task else CheckpointOptions()
    checkpoints = Checkpoints(workdir, options)
    checkpoints.save(0, create_state(variables), {"dataset_info": info.to_json()})
    checkpoints.close()
