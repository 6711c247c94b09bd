"""A run in Weights & Biases, beside what is written into its work directory."""

import logging
import os
import pathlib
import secrets
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.sections import LoggingOptions
from hrnet_jax.storage import paths
from hrnet_jax.workdir.files import read_json, write_json

# Says which run there belongs to a work directory.
WANDB_FILE = "wandb.json"

_log = logging.getLogger(__name__)


class WandbRun:
    """Reports to one run in Weights & Biases, also over several sessions.

    Its id is kept in the work directory, so that a session that resumes adds to the
    run of the one before. Scalars are over `step`, a metric of its own: what a killed
    session reported of steps that are made again is there twice, with the same values.

    Where it cannot begin, a new run ends here, as somebody is there to mend it. Later,
    and in a session that resumes, training goes on without it after one warning.

    Args:
        workdir: the work directory, which is there.
        options: project, name, mode and tags.
        config: JSON of the configuration.
        best_metric: (name, "max" or "min") of `eval/`, whose best value is the one
            that tables of runs show.

    Raises:
        ConfigError: if a new run cannot begin: no login, no network, a wrong name.
        ModuleNotFoundError: if the package is not installed.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        options: LoggingOptions,
        config: dict[str, Any],
        best_metric: tuple[str, str],
    ):
        self._wandb = _import_wandb()
        self._run: Any = None
        path = paths.as_path(workdir) / WANDB_FILE
        known = read_json(path) if path.exists() else {}
        resumes = known.get("project") == options.wandb
        place = {"project": options.wandb, "id": secrets.token_hex(4)}
        place = known if resumes else place
        try:
            self._run = self._begin(paths.as_path(workdir), options, place, resumes)
            self._run.config.update(config, allow_val_change=True)
            self._define(best_metric)
        except Exception as error:  # of a library with many ways to fail
            if not resumes:
                raise ConfigError(
                    f"config key 'logging.wandb' is {options.wandb!r}, but no run can "
                    f"begin there ({_reason(error)}); `wandb login` helps where there is "
                    "no login, logging.wandb_mode=offline keeps the run for `wandb "
                    "sync`, and logging.wandb= goes without"
                ) from error
            self._lose(error)
            return
        write_json(path, place)

    def _begin(
        self,
        workdir: pathlib.Path,
        options: LoggingOptions,
        place: dict[str, str],
        resumes: bool,
    ) -> Any:
        team, _, project = place["project"].rpartition("/")
        name = options.wandb_name
        # Who gave it another name there, or by the environment, keeps that.
        if not name and not resumes and "WANDB_NAME" not in os.environ:
            name = workdir.name
        return self._wandb.init(
            entity=team or None,
            project=project,
            id=place["id"],
            resume="allow",
            name=name or None,
            mode=options.wandb_mode or None,
            tags=list(options.wandb_tags) or None,
            # Its own files go to disks alone.
            dir=tempfile.gettempdir()
            if paths.is_remote(workdir)
            else os.fspath(workdir),
            # A run that a notebook has open already stays its own.
            reinit="create_new",
        )

    def _define(self, best_metric: tuple[str, str]) -> None:
        name, direction = best_metric
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        self._run.define_metric(f"eval/{name}", step_metric="step", summary=direction)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Reports scalars of a step."""
        self._try(lambda: self._run.log({"step": step} | values))

    def pictures(self, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Reports uint8 RGB pictures [h, w, 3]."""

        def report() -> None:
            images = {
                f"pictures/{name}": self._wandb.Image(picture, caption=name)
                for name, picture in pictures.items()
            }
            self._run.log({"step": step} | images)

        self._try(report)

    def result(self, metrics: dict[str, float]) -> None:
        """Reports the metrics that the run ends with."""
        named = {f"result/{name}": value for name, value in metrics.items()}
        self._try(lambda: self._run.summary.update(named))

    def close(self, *, failed: bool = False) -> None:
        """Ends the session: sends what is pending, and says how it went."""
        self._try(lambda: self._run.finish(exit_code=int(failed)))
        self._run = None

    def _try(self, report: Callable[[], None]) -> None:
        if self._run is None:
            return
        try:
            report()
        except Exception as error:  # noqa: BLE001 (its service died, its disk is full)
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        self._run = None
        _log.warning(
            "Weights & Biases failed (%s): training goes on without it, and what it "
            "misses is in metrics.jsonl",
            _reason(error),
        )


def _import_wandb() -> Any:
    import wandb

    # A folder that runs are kept in has this name too, and can be imported.
    if not hasattr(wandb, "init"):
        raise ModuleNotFoundError("No module named 'wandb'", name="wandb")
    return wandb


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
