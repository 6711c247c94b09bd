"""Names of pictures that are to be drawn."""

import os

from hrnet_jax.errors import ConfigError
from hrnet_jax.storage import paths, targets

FORMATS = (".png", ".svg", ".pdf")


def check_picture_file(path: str | os.PathLike) -> None:
    """Refuses a name that cannot be drawn to, before what takes long.

    Raises:
        ConfigError: if its suffix is none of `FORMATS`, its folder is missing, or
            nothing can be written there.
    """
    path = targets.check_file(path, what="the name of a picture", suffixes=FORMATS)
    if not paths.is_remote(path) and not path.parent.is_dir():
        raise ConfigError(f"{path}: no folder {path.parent}")
