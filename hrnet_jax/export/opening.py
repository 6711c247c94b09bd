"""Opens whatever there is to predict with: a run, weights, or an exported file."""

import os
import pathlib
from collections.abc import Sequence

from hrnet_jax.conversion.opening import is_weights_file, load_run
from hrnet_jax.errors import ConfigError
from hrnet_jax.export.exported import FORMATS, open_exported, read_description
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.inference.predictor import check_pad_multiple
from hrnet_jax.pretrained.sources import is_address
from hrnet_jax.storage.paths import as_path, name_of
from hrnet_jax.workdir.opening import read_run_config


def open_any(
    path: str | os.PathLike,
    step: int | str = "best",
    *,
    pad_multiple: int = 1,
    changes: Sequence[str] = (),
) -> OpenedModel:
    """Opens a work directory, a file of PyTorch weights or one of `scripts/export.py`.

    Args:
        path: of it.
        step: of a work directory; see `conversion.opening.load_run`.
        pad_multiple: see `Predictor`; not for exported files.
        changes: `KEY=VALUE` of the configuration; not for exported files.

    Raises:
        ConfigError: for changes of an exported file, and a wrong `pad_multiple`.
        HRNetError: for what cannot be opened.
    """
    check_pad_multiple(pad_multiple)
    if not is_exported(path):
        return load_run(path, step, pad_multiple=pad_multiple, changes=changes)
    if changes:
        raise ConfigError(
            "--config.KEY=VALUE goes with a work directory, not with a file"
        )
    return open_exported(path)


def is_exported(path: str | os.PathLike) -> bool:
    """Whether a path has the name of an exported file."""
    return pathlib.PurePosixPath(name_of(path)).suffix in FORMATS


def named_model(path: str | os.PathLike) -> str | None:
    """The name of the model, from the small file beside the weights; reads no weights.

    Args:
        path: as for `open_any`.

    Returns:
        For example `segmentation/w48`; None for files of PyTorch weights and what is to
        be fetched, of which only the weights tell.

    Raises:
        HRNetError: if that file is missing or damaged, as `open_any`.
    """
    if is_exported(path):
        return str(read_description(as_path(path))["model"])
    if is_address(path) or is_weights_file(path):
        return None
    return str(read_run_config(as_path(path))["model"]["name"])
