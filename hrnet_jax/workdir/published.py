"""A run as it is published: weights, configuration, and what else to know of it.

A folder of three files, `hub.PUBLISHED_FILES`, as a repository on the hub or a clone of
it. The weights have the names of the official code bases, so these read them as well.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from hrnet_jax.config.json_files import read_object
from hrnet_jax.config.options import shortened
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import CheckpointError, ConfigError, DataError, WeightsError
from hrnet_jax.experiment.build import build_model
from hrnet_jax.experiment.loading import complete
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.pretrained.convert import from_torch, to_torch
from hrnet_jax.pretrained.files import read_weights_file, write_weights_file
from hrnet_jax.pretrained.hub import CONFIG_FILE, RECORD_FILE, WEIGHTS_FILE
from hrnet_jax.pretrained.known import KnownFile
from hrnet_jax.workdir.files import write_json

_CONVENTION = "official"
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class PublishedRun:
    """What a published folder says besides its weights.

    Attributes:
        config: of the run, plain JSON values.
        info: classes or points.
        step: of the weights.
        metrics: evaluated at that step; empty where it was not.
        record: of the released file that the run was converted from, if it was.
    """

    config: dict[str, Any]
    info: DatasetInfo
    step: int
    metrics: dict[str, float]
    record: KnownFile | None


def is_published(folder: str | os.PathLike) -> bool:
    """Whether a folder is a published run, and no work directory."""
    return (pathlib.Path(folder) / RECORD_FILE).is_file()


def write_published(
    folder: pathlib.Path, run: PublishedRun, variables: Mapping, version: str
) -> int:
    """Writes the three files into a folder that is there; returns the tensors written.

    Raises:
        WeightsError: if official code has no names for the model.
    """
    model = build_model(read_config(run.config), run.info)
    tensors = to_torch(variables, model, convention=_CONVENTION)
    write_weights_file(folder / WEIGHTS_FILE, tensors)
    write_json(folder / CONFIG_FILE, run.config)
    content = {
        "format": _FORMAT,
        "hrnet_jax": version,
        "model": run.config["model"]["name"],
        "convention": _CONVENTION,
        "step": run.step,
        "metrics": run.metrics,
        "dataset_info": run.info.to_json(),
        "record": run.record and run.record.to_json(),
    }
    write_json(folder / RECORD_FILE, content)
    return len(tensors)


def read_published(folder: str | os.PathLike) -> PublishedRun:
    """What a published folder says.

    Raises:
        CheckpointError: naming the file that is missing or not as it was written.
    """
    folder = pathlib.Path(folder)
    path = folder / RECORD_FILE
    try:
        content = read_object(path, CheckpointError)
        config = read_object(folder / CONFIG_FILE, CheckpointError)
    except OSError as error:
        raise CheckpointError(
            f"{error.filename}: {error.strerror}; expected a run that scripts/convert.py "
            "published"
        ) from error
    if content.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path}: 'format' is {content.get('format')!r}, expected {_FORMAT}; a newer "
            "hrnet_jax may have published it"
        )
    try:
        config = complete(config, folder / CONFIG_FILE)
        if content["model"] != config["model"]["name"]:
            raise CheckpointError(
                f"{path}: 'model' is {content['model']!r}, {CONFIG_FILE} says "
                f"{config['model']['name']!r}"
            )
        return PublishedRun(
            config,
            DatasetInfo.from_json(content["dataset_info"]),
            _number(content["step"], int),
            {name: _number(each, float) for name, each in content["metrics"].items()},
            content["record"] and KnownFile.from_json(content["record"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: {error} is missing or of another kind; expected what "
            "scripts/convert.py published"
        ) from error
    except (ConfigError, DataError, WeightsError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _number(value: Any, kind: type) -> Any:
    """A number of JSON; whole ones may stand for others.

    Raises:
        TypeError: if it is none.
    """
    is_large = type(value) is int and abs(value) > sys.maxsize
    if isinstance(value, bool) or not isinstance(value, int | kind) or is_large:
        raise TypeError(shortened(value))
    return kind(value)


def check_step(run: PublishedRun, step: int | str, folder: str | os.PathLike) -> None:
    """Refuses another step than that of the weights.

    Raises:
        ConfigError: naming both.
    """
    if step not in ("best", "latest", run.step, str(run.step)):
        raise ConfigError(
            f"step {step!r} of {folder}: a published run has the weights of one step; "
            f"expected {run.step} or best"
        )


def published_variables(folder: str | os.PathLike) -> dict:
    """{"params": ..., "batch_stats": ...} of a published folder, NumPy arrays.

    Raises:
        CheckpointError: if the folder is not as it was written.
        WeightsError: if the weights are not those of its configuration.
    """
    run = read_published(folder)
    path = pathlib.Path(folder) / WEIGHTS_FILE
    tensors = read_weights_file(path)
    model = build_model(read_config(run.config), run.info)
    try:
        return from_torch(tensors, model, convention=_CONVENTION)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
