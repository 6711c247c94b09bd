"""Opens whatever there is to predict with: a run, weights, or an exported file."""

import os
import pathlib
from collections.abc import Sequence

from hrnet_jax.conversion.opening import load_run
from hrnet_jax.errors import ConfigError
from hrnet_jax.export.exported import FORMATS, open_exported
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.storage.paths import name_of


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
        ConfigError: for changes of an exported file.
        HRNetError: for what cannot be opened.
    """
    if pathlib.PurePosixPath(name_of(path)).suffix not in FORMATS:
        return load_run(path, step, pad_multiple=pad_multiple, changes=changes)
    if changes:
        raise ConfigError(
            "--config.KEY=VALUE goes with a work directory, not with a file"
        )
    return open_exported(path)
