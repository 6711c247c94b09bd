"""Which metric ranks the checkpoints of a run, without opening them."""

import json
import pathlib

from hrnet_jax.errors import ConfigError
from hrnet_jax.registry import get_spec
from hrnet_jax.workdir.files import CONFIG_FILE

# Folder of the checkpoints, and the key of their meta that says it.
CHECKPOINTS_FOLDER = "checkpoints"
RANKING_KEY = "best_metric"


def ranking_metric(workdir: pathlib.Path) -> str | None:
    """Name of the metric by which the best checkpoint is chosen, where that is known.

    It is what the newest checkpoint says; of a run that has none, or of an earlier
    version, what the task of its configuration ranks by. Reads only, so that a run
    may be asked while it trains.
    """
    steps = [
        path for path in workdir.glob(f"{CHECKPOINTS_FOLDER}/*") if path.name.isdigit()
    ]
    for path in sorted(steps, key=lambda path: int(path.name), reverse=True):
        stored = _read(path / "meta" / "metadata").get(RANKING_KEY)
        if isinstance(stored, list) and stored and isinstance(stored[0], str):
            return stored[0]
    config = _read(workdir / CONFIG_FILE)
    try:
        spec = get_spec(config.get("task", "segmentation")) if config else None
    except ConfigError:  # of a task that is not installed here
        return None
    return spec.best_metric[0] if spec and spec.best_metric else None


def _read(path: pathlib.Path) -> dict:
    """A JSON object; empty where there is none, as of a step that is just removed."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
