"""Opens work directories, without a mesh, flags or the data set."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.inference.predictor import Predictor
from hrnet_jax.pretrained.known import KnownFile, read_record
from hrnet_jax.tasks.protocol import Predicts
from hrnet_jax.training.build import build_for_inference
from hrnet_jax.training.config import (
    TrainConfig,
    completed,
    override,
    read_config,
    to_json,
)
from hrnet_jax.training.state import create_state
from hrnet_jax.training.weights import saved_variables
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.files import CONFIG_FILE, read_json, write_json


@dataclasses.dataclass(frozen=True)
class LoadedRun:
    """A trained model, ready to use.

    Attributes:
        config: of the run.
        info: classes and colours it was trained on.
        step: the checkpoint.
        metrics: evaluation metrics saved with it; empty where not evaluated.
        variables: {"params", "batch_stats"}, NumPy arrays.
        predictor: applies it to images.
        record: of the released file that this was converted from, if it was.
    """

    config: TrainConfig
    info: DatasetInfo
    step: int
    metrics: dict[str, float]
    variables: dict
    predictor: Predictor
    record: KnownFile | None = None

    @property
    def task(self) -> Predicts:
        """The task, with `model` and `draw`."""
        return self.predictor.task

    @property
    def about(self) -> dict[str, Any]:
        """Where predictions come from, for a report."""
        return {
            "model": self.config.model.name,
            "step": self.step,
            "metrics": self.metrics,
            "weights": None if self.record is None else self.record.to_json(),
        }

    def predict(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Predicts for one uint8 RGB image [H, W, 3]; see `Predictor`."""
        return self.predictor.predict(image, boxes)

    def draw(self, image: np.ndarray, prediction: dict) -> np.ndarray:
        """A uint8 RGB picture of a prediction."""
        return self.task.draw(image, prediction, None)


def load_run(
    workdir: str | pathlib.Path,
    step: int | str = "best",
    *,
    pad_multiple: int = 1,
    changes: Sequence[str] = (),
) -> LoadedRun:
    """Opens a run of any number of devices on this machine.

    Args:
        workdir: of a run, or what `scripts/convert.py` made.
        step: `best` (the newest where none was evaluated), `latest` or a number.
        pad_multiple: see `Predictor`.
        changes: of the run's configuration, `eval.inference.flip=true`.

    Raises:
        CheckpointError: if the directory or the checkpoint cannot be read.
    """
    workdir = pathlib.Path(workdir).absolute()
    config = completed(read_json(workdir / CONFIG_FILE))
    config = read_config(override(config, list(changes)))
    checkpoints = Checkpoints(workdir)
    number = checkpoints.resolve(step)
    info = DatasetInfo.from_json(checkpoints.meta(number)["dataset_info"])
    metrics = checkpoints.metrics(number)
    checkpoints.close()
    variables = saved_variables(workdir, number)
    task = build_for_inference(config, info)
    predictor = Predictor(task, variables, pad_multiple)
    record = read_record(workdir)
    return LoadedRun(config, info, number, metrics, variables, predictor, record)


def save_converted(
    workdir: str | pathlib.Path,
    config: ml_collections.ConfigDict,
    variables: dict,
    info: DatasetInfo,
) -> None:
    """Makes a work directory out of weights, for `load_run` and `init_from`.

    Args:
        workdir: a new directory.
        config: from `default_config`, with the model filled in.
        variables: {"params", "batch_stats"}.
        info: classes and colours, or points, of the weights.
    """
    workdir = pathlib.Path(workdir).absolute()
    write_json(workdir / CONFIG_FILE, to_json(config))
    checkpoints = Checkpoints(workdir, read_config(config).checkpoint)
    checkpoints.save(0, create_state(variables), {"dataset_info": info.to_json()})
    checkpoints.close()
