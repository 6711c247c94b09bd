"""Opens work directories, without a mesh, flags or the data set."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from hrnet_jax.config.assignments import with_overrides
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.experiment.build import build_for_inference
from hrnet_jax.experiment.schema import TrainConfig, read_config
from hrnet_jax.inference.finder import USUAL_SCORE, ObjectFinder
from hrnet_jax.inference.images import (
    ImageLike,
    OneImage,
    Prediction,
    SeveralImages,
    as_pixels,
)
from hrnet_jax.inference.notebook import as_html
from hrnet_jax.inference.predictor import Predictor
from hrnet_jax.pretrained.known import KnownFile, read_record
from hrnet_jax.storage import paths
from hrnet_jax.tasks.protocol import Predicts
from hrnet_jax.workdir.opening import open_checkpoints, read_run_config
from hrnet_jax.workdir.published import (
    check_step,
    is_published,
    published_variables,
    read_published,
)
from hrnet_jax.workdir.variables import read_info, read_sound_variables


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
        """Source of the predictions, for a report."""
        return {
            "model": self.config.model.name,
            "step": self.step,
            "metrics": self.metrics,
            "weights": None if self.record is None else self.record.to_json(),
        }

    @overload
    def predict(
        self, image: OneImage, boxes: Any = None, *, probabilities: bool = False
    ) -> Prediction: ...
    @overload
    def predict(
        self, image: SeveralImages, boxes: Any = None, *, probabilities: bool = False
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, image: np.ndarray, boxes: Any = None, *, probabilities: bool = False
    ) -> Any: ...
    def predict(
        self, image: Any, boxes: Any = None, *, probabilities: bool = False
    ) -> Any:
        """Predicts for a path, a Pillow image, a uint8 RGB array [H, W, 3], or several.

        See `Predictor.predict`.
        """
        return self.predictor.predict(image, boxes, probabilities=probabilities)

    @overload
    def logits(self, image: OneImage) -> np.ndarray: ...
    @overload
    def logits(self, image: SeveralImages) -> list[np.ndarray]: ...
    @overload
    def logits(self, image: np.ndarray) -> Any: ...
    def logits(self, image: Any) -> Any:
        """Scores of all classes before the softmax; see `Predictor.logits`."""
        return self.predictor.logits(image)

    @overload
    def features(self, image: OneImage) -> tuple[np.ndarray, ...]: ...
    @overload
    def features(self, image: SeveralImages) -> list[tuple[np.ndarray, ...]]: ...
    @overload
    def features(self, image: np.ndarray) -> Any: ...
    def features(self, image: Any) -> Any:
        """Maps of the network's branches; see `Predictor.features`."""
        return self.predictor.features(image, self.config.model.normalization)

    def for_sizes(self, sizes: np.ndarray) -> "LoadedRun":
        """The run for images of these sizes, which share a few compiled programs.

        Segmentation pads them, black at the bottom and right, to the few shapes
        (`eval.inference.canvases`) that waste least; other tasks stay as they are.

        Args:
            sizes: int [N, 2], (height, width) of the images to come. Others have
                programs of their own.
        """
        predictor = self.predictor.for_sizes(sizes)
        return dataclasses.replace(self, predictor=predictor)

    def save_large(
        self, folder: pathlib.Path, name: str, image: np.ndarray, **only: Any
    ) -> dict | None:
        """Writes an image too large to be predicted whole; see `Predictor.save_large`."""
        return self.predictor.save_large(folder, name, image, **only)

    def finder(
        self, classes: str | Sequence[str] = (), score: float = USUAL_SCORE
    ) -> ObjectFinder:
        """A detector as what finds the boxes that landmark and pose models predict in.

            faces = load_run("runs/faces").finder("face")
            load_run("runs/wflw").predict("party.jpg", boxes=faces)

        Args:
            classes: names of the objects wanted, or one name; all without any.
            score: objects of a higher score count.

        Returns:
            Maps an image uint8 [H, W, 3] RGB to boxes float32 [N, 4], best first.

        Raises:
            ConfigError: for a run that finds no objects, an unknown class, and a
                score that the run does not report.
        """
        return ObjectFinder(self, classes, score)

    def draw(
        self, image: ImageLike, prediction: dict, target: dict | None = None
    ) -> np.ndarray:
        """A uint8 RGB picture of the prediction for one image.

        Args:
            image: see `predict`.
            prediction: of `predict`.
            target: the truth, to be drawn beside it: a sample of prepared records, or
                what the task looks at in it, such as `{"label": uint8 [H, W]}`.
        """
        return self.task.draw(as_pixels(image), prediction, target)

    def __repr__(self) -> str:
        return f"LoadedRun({self.config.model.name!r}, step={self.step})"

    def _repr_html_(self) -> str:
        return as_html(self.about, self.info, self.task)


def load_run(
    workdir: str | os.PathLike,
    step: int | str = "best",
    *,
    pad_multiple: int = 1,
    changes: Sequence[str] = (),
) -> LoadedRun:
    """Opens a run of any number of devices on this machine.

    Args:
        workdir: of a run, or what `scripts/convert.py` made, or a published run.
        step: `best` (the newest where none was evaluated), `latest` or a number.
        pad_multiple: see `Predictor`.
        changes: of the run's configuration, `eval.inference.flip=true`.

    Raises:
        CheckpointError: if the directory or the checkpoint cannot be read.
    """
    workdir = paths.absolute(workdir)
    if is_published(workdir):
        return _load_published(workdir, step, pad_multiple, changes)
    config = read_config(with_overrides(read_run_config(workdir), list(changes)))
    checkpoints = open_checkpoints(workdir)
    number = checkpoints.resolve(step)
    info = read_info(checkpoints, number)
    metrics = checkpoints.metrics(number)
    variables = read_sound_variables(checkpoints, number)
    checkpoints.close()
    task = build_for_inference(config, info)
    predictor = Predictor(task, variables, pad_multiple)
    record = read_record(workdir)
    return LoadedRun(config, info, number, metrics, variables, predictor, record)


def _load_published(
    folder: pathlib.Path, step: int | str, pad_multiple: int, changes: Sequence[str]
) -> LoadedRun:
    """Opens a published run, which has the weights of one step."""
    run = read_published(folder)
    check_step(run, step, folder)
    config = read_config(with_overrides(run.config, list(changes)))
    task = build_for_inference(config, run.info)
    variables = published_variables(folder)
    predictor = Predictor(task, variables, pad_multiple)
    return LoadedRun(
        config, run.info, run.step, run.metrics, variables, predictor, run.record
    )
