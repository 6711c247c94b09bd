"""Configurations from experiment files and from the `config.json` of runs."""

import contextlib
import dataclasses
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import traceback
import types
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from hrnet_jax.config.json_files import read_object
from hrnet_jax.config.options import nearest, nearest_keys
from hrnet_jax.errors import ConfigError, HRNetError, StorageError
from hrnet_jax.experiment.defaults import default_config, update, with_defaults
from hrnet_jax.experiment.schema import keys_of_run, read_config
from hrnet_jax.registry import task_names
from hrnet_jax.storage import paths

# What ml_collections says when a locked configuration lacks a key.
_LOCKED = re.compile(r'Key "(\w+)" does not exist')


def load_config(
    source: str | os.PathLike, *recipes: Mapping[str, Any], **sections: Any
) -> ml_collections.ConfigDict:
    """The configuration of an experiment file, or that of a run.

        load_config("experiments/quickstart.py:debug", num_steps=8)
        load_config("runs/mine/config.json", model={"init_from": "runs/mine"})

    Args:
        source: an experiment file, with options after a colon, or `config.json` of a
            work directory.
        *recipes: nested keys to change, as in `experiment`.
        **sections: nested keys, which win over recipes.

    Returns:
        What `train` takes.

    Raises:
        ConfigError: for a file that cannot be read, and for a key that is not there
            or a value of another type.
    """
    # The colon of `gs://` is none of options.
    scheme, slashes, rest = os.fspath(source).rpartition("://")
    name, colon, options = rest.partition(":")
    path = paths.as_path(scheme + slashes + name)
    if not _is_file(path):
        others = [other.name for other in path.parent.glob(f"*{path.suffix}")]
        meant = nearest(path.name, others)
        expected = "; expected an experiment file or the config.json of a run"
        raise ConfigError(f"{path}: no such file{meant or expected}")
    if path.suffix == ".json":
        if colon:
            raise ConfigError(f"{path} takes no options, got {options!r}")
        config = _of_run(path)
    else:
        with paths.local_file(path) as file:
            config = _of_experiment(file, [options] if colon else [])
    for values in (*recipes, sections):
        update(config, values)
    return config


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except StorageError:
        raise
    except OSError:  # a name longer than any file's
        return False


def _of_run(path: pathlib.Path) -> ml_collections.ConfigDict:
    """Every key, also those that came after the run."""
    values = complete(read_object(path, ConfigError), path)
    # Read, as JSON has lists for tuples, and earlier runs other values.
    options = read_config(values)
    config = default_config(options.task)
    try:
        update(config, dataclasses.asdict(options))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def complete(values: dict[str, Any], path: pathlib.Path) -> dict[str, Any]:
    """The configuration of a run with every key, also those that came after it.

    Args:
        values: what its `config.json` holds.
        path: of that file, for messages.

    Raises:
        ConfigError: naming the file, and the key that is wrong in it.
    """
    try:
        config = with_defaults(values)
        read_config(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def _of_experiment(path: pathlib.Path, options: list[str]) -> ml_collections.ConfigDict:
    """What `get_config` of a file returns, which need not take options."""
    module = execute(path)
    if not hasattr(module, "get_config"):
        raise ConfigError(f"{path} has no function get_config(options)")
    with saying_where(path):
        config = module.get_config(*options)
    if not isinstance(config, ml_collections.ConfigDict):
        raise ConfigError(
            f"{path}: get_config must return a ConfigDict, got {type(config).__name__}"
        )
    return config


def execute(path: pathlib.Path) -> types.ModuleType:
    """The module that an experiment file is, as it is at this moment.

    Python would take what it compiled before for a file of the same second and size.

    Raises:
        ConfigError: if it is no Python file, or fails; names the line.
    """
    spec = importlib.util.spec_from_file_location("experiment", path)
    if spec is None or not isinstance(
        spec.loader, importlib.machinery.SourceFileLoader
    ):
        raise ConfigError(f"{path}: expected a Python file (.py) or JSON (.json)")
    module = importlib.util.module_from_spec(spec)
    with saying_where(path):
        source = spec.loader.get_data(str(path))
        exec(spec.loader.source_to_code(source, str(path)), module.__dict__)  # noqa: S102
    return module


@contextlib.contextmanager
def saying_where(path: pathlib.Path) -> Iterator[None]:
    """Within this context what fails in an experiment file is one line that says where.

    Raises:
        ConfigError: instead of whatever the file raised; `HRNetError` as it is.
    """
    try:
        yield
    except HRNetError:
        raise
    except Exception as error:
        raise ConfigError(f"{_place(path, error)}: {_in_words(error)}") from error


def _place(path: pathlib.Path, error: Exception) -> str:
    """The file, and the last line of it that led to an error."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path}, line {lines[-1]}" if lines else str(path)


def _in_words(error: Exception) -> str:
    missing = _LOCKED.search(str(error))
    if not missing:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        return f"{type(error).__name__}: {' '.join(message.split())}"
    everywhere = {key.dotted for task in task_names() for key in keys_of_run(task)}
    meant = " or ".join(map(repr, nearest_keys(missing[1], sorted(everywhere))))
    question = f"; did you mean {meant}?" if meant else ""
    return f"config key {missing[1]!r} is not read by anything there{question}"
