"""Names of pictures that are to be drawn."""

import os

from hrnet_jax.errors import ConfigError
from hrnet_jax.storage import paths

FORMATS = (".png", ".svg", ".pdf")


def check_picture_file(path: str | os.PathLike) -> None:
    """Refuses a name that cannot be drawn to, before what takes long.

    Raises:
        ConfigError: if its suffix is none of `FORMATS`, or its folder is missing.
    """
    path = paths.as_path(path)
    if path.suffix.lower() not in FORMATS:
        *others, last = FORMATS
        raise ConfigError(
            f"{path}: expected the name of a picture, which ends in "
            f"{', '.join(others)} or {last}"
        )
    if not paths.is_remote(path) and not path.parent.is_dir():
        raise ConfigError(f"{path}: no folder {path.parent}")
