"""Description of a task, known before the task is built."""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.models.model import Model
from hrnet_jax.tasks.annotated import ReadsTruth
from hrnet_jax.tasks.boxes import FindsBoxes, FindsObjects, TakesBoxes
from hrnet_jax.tasks.few_shapes import FewShapes
from hrnet_jax.tasks.protocol import (
    ExportsPredictions,
    GroupsImages,
    Predicts,
    ScoresClasses,
    Trains,
    missing_members,
    trains,
)


@dataclasses.dataclass(frozen=True)
class OutputNames:
    """Names of the outputs of a model.

    Attributes:
        names: in the order of the outputs; empty for a task without any.
        palette: a colour (0..255) for each; empty where none are known.
        flip_pairs: outputs that swap when an image is mirrored.
        lines: polylines through the outputs, where they are points.
        facts: further fields of `DatasetInfo` that are known with the names.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    lines: tuple[tuple[int, ...], ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def info_without_outputs(name: str, outputs: OutputNames) -> DatasetInfo:
    """The data set of a task whose model has no number of outputs to choose."""
    return DatasetInfo(name, 0, (), ())


@dataclasses.dataclass(frozen=True)
class TaskSpec:
    """One task: its models, its class and facts about both.

    `registry` collects these, and everything that differs between tasks is read here
    or asked of the task itself; names of tasks are never compared.

    Attributes:
        name: of the task, and first part of the names of its models.
        models: what joins the variant in a model's name -> model. It follows the
            variant, as in `{"": SegmentationHRNet, "_ocr": SegmentationOCR}`, unless it
            ends with an underscore: `{"faster_rcnn_": FasterRCNN}`.
        task: the class, see `tasks.protocol`; or `module:Class`, imported when first
            asked for, so that networks need no library of images. None for models
            without a task.
        default_size: (height, width) of images that the models are published with.
        trainable: whether the class is a `Trains`.
        num_outputs: the model's option for its number of outputs; empty for none.
        output: what one output stands for, `class` or `point`.
        output_name: of the network's one output, in `decode` and in exported files;
            maps of several resolutions are `level0`, `level1`, ...
        exports_predictions: whether exported files hold predictions and not outputs of
            the network; the class then is an `ExportsPredictions`.
        upsampled_on_export: whether exported outputs can have the size of the image.
        size_option: key of `dataset.augmentation` that sets the size of what the
            network sees; empty where nothing does.
        data: what records of its data sets hold, for a report on them: `labels`,
            `points`, `objects`, `persons` or `classes`; empty for none.
        examples: what an example is where a record holds several of them: `persons`;
            empty where it is the record. The class may then be a `ReadsTruth`.
        reports: what the evaluators report beside metrics: `errors` (a
            `ReportsErrors`).
        info_of_outputs: (name, outputs) -> description of a data set with these
            outputs, for weights that come without one.

    Raises:
        TypeError: naming what the class lacks of the protocol.
    """

    name: str
    models: Mapping[str, type[Model]]
    task: type[Predicts] | str | None
    default_size: tuple[int, int]
    trainable: bool = False
    num_outputs: str = ""
    output: str = "class"
    output_name: str = "logits"
    exports_predictions: bool = False
    upsampled_on_export: bool = False
    size_option: str = ""
    data: str = ""
    examples: str = ""
    reports: tuple[str, ...] = ()
    info_of_outputs: Callable[[str, OutputNames], DatasetInfo] = info_without_outputs

    def __post_init__(self):
        if isinstance(self.task, type):
            self._check(self.task)

    @functools.cached_property
    def task_class(self) -> type[Predicts]:
        """The class of the task, imported now.

        Raises:
            TypeError: naming what the class lacks of the protocol.
        """
        if isinstance(self.task, type):
            return self.task
        module, _, name = str(self.task).partition(":")
        found = getattr(importlib.import_module(module), name)
        self._check(found)
        return found

    @property
    def best_metric(self) -> tuple[str, str] | None:
        """(name, "max" or "min") that ranks checkpoints; None if it does not train."""
        if self.trainable and trains(self.task_class):
            return self.task_class.best_metric
        return None

    def _check(self, task: type[Predicts]) -> None:
        protocols: list[type] = [Trains if self.trainable else Predicts]
        if getattr(task, "takes_boxes", False):
            finds = getattr(task, "finds_boxes", False)
            protocols.append(FindsBoxes if finds else TakesBoxes)
        if getattr(task, "finds_objects", False):
            protocols.append(FindsObjects)
        if getattr(task, "few_shapes", False):
            protocols.append(FewShapes)
        if getattr(task, "groups_images", False):
            protocols.append(GroupsImages)
        if getattr(task, "reads_truth", False):
            protocols.append(ReadsTruth)
        if self.exports_predictions:
            protocols.append(ExportsPredictions)
        if getattr(task, "scores_classes", False):
            protocols.append(ScoresClasses)
        missing = [
            name for protocol in protocols for name in missing_members(task, protocol)
        ]
        if missing:
            raise TypeError(
                f"task {self.name!r}: {task.__name__} lacks {', '.join(missing)} "
                "of hrnet_jax.tasks.protocol"
            )

    def count_outputs(self, options: Mapping[str, Any]) -> int:
        """Number of outputs among a model's options; 0 where it has none."""
        return options.get(self.num_outputs, 0)

    def numbered_info(self, name: str, count: int) -> DatasetInfo:
        """A data set whose `count` outputs are numbered, `class 0`, `class 1`, ..."""
        names = tuple(f"{self.output} {index}" for index in range(count))
        return self.info_of_outputs(name, OutputNames(names))
