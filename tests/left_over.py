"""What is in a folder after a command: names, and contents bit for bit."""

import hashlib
import json
import os
import pathlib
import re
from typing import Any

import numpy as np

from hrnet_jax.training.speed import SPEEDS
from hrnet_jax.workdir.checkpoints import Checkpoints
from tests import tiny

_LITTER = re.compile(r"\.unfinished|\.orbax-checkpoint-tmp|incomplete\.|/deleted")
# Says who trains, and nothing afterwards.
_IGNORED = ("training.lock",)
# Of JSON files: what depends on the clock.
_OF_THE_CLOCK = ("seconds_of_last_session", "check")


def is_litter(name: str) -> bool:
    """Whether a name is of something that was not finished."""
    return bool(_LITTER.search(name))


def listing(folder: pathlib.Path) -> set[str]:
    """Names of all files, of checkpoints only those of the steps."""
    names = set()
    for place, folders, files in os.walk(folder):
        relative = os.path.relpath(place, folder)
        names |= {os.path.join(relative, name) for name in files}
        if os.path.basename(place) == "checkpoints":
            names |= {os.path.join(relative, name) for name in folders}
            folders[:] = [name for name in folders if name == "deleted"]
    return names


def contents(folder: pathlib.Path) -> dict[str, str]:
    """Name -> digest of every finished file, and of the arrays of every checkpoint."""
    found = {}
    for name in sorted(listing(folder)):
        path = folder / name
        if is_litter(name) or path.name in _IGNORED:
            continue
        if path.is_dir():
            found |= _of_checkpoint(path, name)
        elif path.name == "metrics.jsonl":
            found |= _of_metrics(path, name)
        elif path.name == "curves.png" and path.with_name("metrics.jsonl").exists():
            found[name] = "a picture"
        else:
            found[name] = _digest(_without_clock(path))
    return found


def _of_checkpoint(path: pathlib.Path, name: str) -> dict[str, str]:
    """The arrays of a step together, and what is saved with it."""
    checkpoints = Checkpoints(path.parents[1], best_metric=("mean_iou", "max"))
    step = int(path.name)
    meta = json.dumps([checkpoints.meta(step), checkpoints.metrics(step)])
    checkpoints.close()
    arrays = tiny.state(path.parents[1], step)
    digest = hashlib.sha256(meta.encode())
    for key, array in sorted(arrays.items()):
        digest.update(key.encode() + np.asarray(array).tobytes())
    return {name: digest.hexdigest()}


def _of_metrics(path: pathlib.Path, name: str) -> dict[str, str]:
    """Line by line, as a killed run has only the first ones."""
    found: dict[str, str] = {}
    for number, line in enumerate(tiny.learned(path.parent)):
        found[f"{name}:{number}"] = json.dumps(line, sort_keys=True)
    return found


def _without_clock(path: pathlib.Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".html":
        return re.sub(rb"made [^<]* by", b"", content)
    if path.suffix != ".json":
        return content
    values: Any = json.loads(content)
    if isinstance(values, dict):
        for key in (*_OF_THE_CLOCK, *SPEEDS):
            values.pop(key, None)
    return json.dumps(values, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
