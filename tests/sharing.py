"""What the workers of one test session make once and share."""

import atexit
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable

import filelock

_VARIABLE = "HRNET_JAX_TESTS_DIR"


def open_folder() -> pathlib.Path:
    """The session's folder, which goes with the process that asks first.

    Workers, and scripts that tests start, inherit its name.
    """
    if _VARIABLE not in os.environ:
        folder = tempfile.mkdtemp(prefix="hrnet-jax-tests-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[_VARIABLE] = folder
    return pathlib.Path(os.environ[_VARIABLE])


def made_once(name: str, make: Callable[[pathlib.Path], object]) -> pathlib.Path:
    """A folder that the first worker to ask for it makes; read only.

    Args:
        name: of the folder.
        make: writes the folder that it is given.
    """
    path = open_folder() / name
    done = path.with_suffix(".done")
    with filelock.FileLock(path.with_suffix(".lock")):
        if not done.exists():
            # What a worker that failed left.
            shutil.rmtree(path, ignore_errors=True)
            make(path)
            done.touch()
    return path
