"""That several processes were started for the same run, in the same place."""

import copy
import json
import pathlib
import time
from typing import Any

from hrnet_jax.errors import CheckpointError
from hrnet_jax.runtime import processes

# Keys of `dataset` that may differ: where a host reads from, and how.
OWN_TO_A_HOST = ("data_dir", "cache_dir", "threads", "workers")


def check_same_run(config: dict, *details: Any) -> None:
    """Checks that all processes were started alike; waits for them.

    Args:
        config: JSON of the configuration.
        *details: whatever else must be the same.

    Raises:
        ConfigError: on every process, if one differs.
    """
    config = copy.deepcopy(config)
    for key in OWN_TO_A_HOST:
        config.get("dataset", {}).pop(key, None)
    text = json.dumps([config, *map(str, details)], sort_keys=True)
    processes.check_equal("configuration", text)


def check_same_folder(file: pathlib.Path, patience: float = 60.0) -> None:
    """Checks that this process sees a file that the first one wrote.

    Args:
        file: in the work directory.
        patience: seconds that a network file system may take.

    Raises:
        CheckpointError: on a process that sees another folder.
    """
    deadline = time.monotonic() + patience
    while not file.exists():
        if time.monotonic() > deadline:
            raise CheckpointError(
                f"{file}: not to be seen, though process 0 wrote it; all processes "
                "need the same work directory"
            )
        time.sleep(0.5)
