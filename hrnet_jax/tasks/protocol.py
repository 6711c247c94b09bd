"""The whole contract of a task; the rest of the package knows tasks only through it.

`Predicts` is what inference, export and conversion ask for, `Trains` what training,
evaluation and planning ask for as well; what tasks offer that have to do with boxes is
in `tasks.boxes`, with images of many sizes in `tasks.few_shapes`. Facts needed before a task is built are in its `TaskSpec`.
"""

import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeGuard, runtime_checkable

import jax
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.models.model import Model


class Evaluator(Protocol):
    """Gathers predictions over a data set."""

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes one batch; padded examples have `example_valid` false."""
        ...

    def compute(self) -> dict[str, float]:
        """Metrics over everything seen."""
        ...

    def remarks(self) -> list[str]:
        """What somebody who reads the metrics should know, a line each."""
        ...

    def report(self, folder: pathlib.Path) -> None:
        """Writes tables and pictures of everything seen into a folder."""
        ...

    def worst(self, count: int) -> list[int]:
        """Positions in the data set of up to so many examples, the worst first."""
        ...


class ReportsErrors(Evaluator, Protocol):
    """An evaluator that also knows the error of every example.

    Tasks that have one name `errors` among the `reports` of their `TaskSpec`.

    Attributes:
        default: name of what errors are divided by.
    """

    default: str

    def errors(self) -> dict[str, float]:
        """Example -> its error, a fraction."""
        ...


class Predicts(Protocol):
    """A task that predicts for images.

    A class is called with `(model, info, augmentation=, inference=, normalization=)`;
    see `Trains` for what it is called with to train.

    Attributes:
        Augmentation: dataclass of the section `dataset.augmentation`.
        Loss: dataclass of the section `loss`.
        Inference: dataclass of the section `eval.inference`. Every field of the
            three has a default; `config.options.NoOptions` where there are none.
        recipe: dotted keys of the configuration -> values that differ from the
            defaults of every task.
        pixel_maps: keys of `predict` that have the size of the input.
        takes_boxes: whether predictions can be asked for in boxes of the image; the
            task then is a `TakesBoxes`.
        finds_objects: whether predictions are objects with their boxes; the task then
            is a `FindsObjects`.
        scores_classes: whether it has scores of classes; it then is a `ScoresClasses`.
        few_shapes: whether images of many sizes are brought to a few shapes; the task
            then is a `FewShapes`.
        picture_kinds: ends of the names of the pictures that `save` writes, `label` of
            `street_label.png`, where there are several and a user may choose; the
            task then is a `WritesKinds`.
        requested_kinds: further ones, which are written only when asked for.
        has_own_size: whether images are brought to a size of the task's own, whatever
            theirs is; there is then nothing to gain from smaller ones.
        model: the network.
    """

    Augmentation: ClassVar[type]
    Loss: ClassVar[type]
    Inference: ClassVar[type]
    recipe: ClassVar[Mapping[str, Any]]
    pixel_maps: ClassVar[tuple[str, ...]]
    takes_boxes: ClassVar[bool]
    finds_objects: ClassVar[bool]
    scores_classes: ClassVar[bool]
    few_shapes: ClassVar[bool]
    picture_kinds: ClassVar[tuple[str, ...]]
    requested_kinds: ClassVar[tuple[str, ...]]
    has_own_size: ClassVar[bool]
    model: Model

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, Any]:
        """Options of `create_model` that the data set determines."""
        ...

    def to_network(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        """Inputs of the network, prepared on the host.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes: [N, 4], (x1, y1, x2, y2), for tasks that take them.

        Returns:
            uint8 [N, h, w, 3], one for each box or for the image, and what
            `to_image` needs to know of these crops.
        """
        ...

    def network_batch(self, images: np.ndarray, crops: Any) -> dict[str, np.ndarray]:
        """What `predict` reads of the results of `to_network`: `image` and the like."""
        ...

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Predictions for a batch, on the device."""
        ...

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """Predictions from the network's named outputs for images of this size."""
        ...

    def to_image(
        self, predictions: dict[str, np.ndarray], crops: Any
    ) -> dict[str, np.ndarray]:
        """Predictions for the inputs as a prediction for the image, on the host."""
        ...

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None
    ) -> np.ndarray:
        """A uint8 RGB picture of one prediction."""
        ...

    def draw_frame(self, image: np.ndarray, prediction: dict) -> np.ndarray:
        """A uint8 RGB picture for a video: all frames of one size have one size."""
        ...

    def save(
        self, folder: pathlib.Path, name: str, image: np.ndarray, prediction: dict
    ) -> dict:
        """Writes the files of one prediction and returns its JSON summary."""
        ...


@runtime_checkable
class WeighsClasses(Protocol):
    """Options of a task's `Loss` with weights of classes, given or counted in the data.

    Attributes:
        class_weights: one factor per class, or empty for none.
        class_weights_from: rule by which they are counted, one of
            `data.class_weights.RULES`; empty where they are given.
    """

    class_weights: tuple[float, ...]
    class_weights_from: str


class ScoresClasses(Predicts, Protocol):
    """A task whose predictions are the best of scored classes."""

    def logits(
        self,
        variables: dict,
        images: jax.Array,
        frame: Mapping[str, jax.Array] | None = None,
    ) -> jax.Array:
        """Scores of uint8 images [B, H, W, 3]: float32 [B, H, W, K] or [B, K].

        Args:
            variables: of the model.
            images: of `network_batch`, or any.
            frame: what else `network_batch` gave.
        """
        ...


class WritesKinds(Predicts, Protocol):
    """A task that writes several pictures of an image, of which some can be left out."""

    def save(
        self,
        folder: pathlib.Path,
        name: str,
        image: np.ndarray,
        prediction: dict,
        only: Collection[str] = (),
    ) -> dict:
        """Writes the files of these kinds, all usual without any; see `Predicts.save`."""
        ...

    def save_together(
        self,
        folder: pathlib.Path,
        entries: Sequence[Mapping[str, Any]],
        only: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Writes files of these kinds that are of all images at once.

        Args:
            folder: of `save`.
            entries: what it returned, with `image`, the path, and `name`.
            only: the kinds.

        Returns:
            The entries without what is in these files.
        """
        ...


def writes_kinds(task: Predicts) -> TypeGuard[WritesKinds]:
    """Whether a task writes several pictures of an image."""
    return bool(task.picture_kinds)


class ExportsPredictions(Predicts, Protocol):
    """A task whose exported files hold predictions, as outputs alone would say little.

    Its images have one size there. Suppressing doubles among what is found (NMS) can be
    left to who reads the file; `decode` does it for files opened here.
    """

    @staticmethod
    def at_size(augmentation: Any, size: tuple[int, int]) -> Any:
        """Options of `Augmentation` with which images are brought to this size.

        Args:
            augmentation: the options of the run.
            size: (height, width).

        Raises:
            ConfigError: if they cannot be.
        """
        ...

    @staticmethod
    def unlimited(inference: Any) -> Any:
        """Options of `Inference` with which something is found in any image."""
        ...

    def predict_normalized(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """`predict` for a batch whose `image` is normalised, float32 [B, H, W, 3]."""
        ...

    def candidates(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """What doubles are suppressed among, for the same batch.

        Raises:
            ConfigError: if the predictions need what is left after that.
        """
        ...

    def largest_difference(
        self, expected: dict[str, np.ndarray], got: dict[str, np.ndarray]
    ) -> float | None:
        """Of two predictions, or candidates, that should be alike but for rounding.

        Returns:
            In standard deviations of what is compared; None where there is nothing.
        """
        ...


class Trains(Predicts, Protocol):
    """A task that can be trained and evaluated: transforms, loss and metrics as well.

    To train, a class is also called with `loss=`.

    Attributes:
        best_metric: (name, "max" or "min") that ranks checkpoints.
        totals: keys of `predict` that are sums over the batch; all others have
            one entry per example.
        map_keys: keys of a batch, `image` aside, whose second axis are the rows of
            the image; they are divided over devices as the image is.
        groups_images: whether batches are of images that share one of a few sizes;
            the task then is a `GroupsImages`.
        reads_encoded: whether the transforms take images as the bytes of their files
            (`Records.encoded`), to decode what they keep; else as pixels.
        image_size: (height, width) of training images, in pixels.
    """

    best_metric: ClassVar[tuple[str, str]]
    totals: ClassVar[tuple[str, ...]]
    map_keys: ClassVar[tuple[str, ...]]
    groups_images: ClassVar[bool]
    reads_encoded: ClassVar[bool]
    image_size: tuple[int, int]

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """Augments one training sample; all results have one shape."""
        ...

    def eval_transform(self, sample: dict) -> dict:
        """Prepares one evaluation sample; all results have one shape."""
        ...

    def empty_sample(self, size: tuple[int, int]) -> dict:
        """A record of the data set with nothing to see, for plans without data.

        Args:
            size: (height, width) of the image, in pixels.
        """
        ...

    def loss(
        self, variables: dict, batch: dict, rngs: dict
    ) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
        """Returns loss, (batch_stats, scalars), on the device."""
        ...

    def evaluator(self, per_example: bool = False) -> Evaluator:
        """A fresh evaluator.

        Args:
            per_example: whether `report` and `worst` will be asked for.
        """
        ...


class GroupsImages(Trains, Protocol):
    """A task whose transforms give images one of a few sizes, one in each batch."""

    def train_groups(self, sizes: np.ndarray) -> np.ndarray:
        """Which records a training batch may hold together.

        Args:
            sizes: int [N, 2], (height, width) of the images of all records.

        Returns:
            int [N], a number for each record; batches hold one number.
        """
        ...

    def eval_groups(self, sizes: np.ndarray) -> np.ndarray:
        """The same for evaluation."""
        ...

    def evaluator(
        self, per_example: bool = False, expected: int | None = None
    ) -> Evaluator:
        """A fresh evaluator.

        Args:
            per_example: see `Trains.evaluator`.
            expected: examples that it will be shown, in another order than that of
                the data set; None if that is not known. Where one is missing or came
                twice, `compute` is to raise `DataError`.
        """
        ...


def trains(task_class: type[Predicts]) -> TypeGuard[type[Trains]]:
    """Whether a class of tasks has all that training asks for."""
    return not missing_members(task_class, Trains)


def groups_images(task: Trains) -> TypeGuard[GroupsImages]:
    """Whether batches are of images that share one of a few sizes."""
    return task.groups_images


def missing_members(task_class: type, protocol: type) -> list[str]:
    """Methods and class attributes of a protocol that a class lacks, sorted.

    Attributes that only instances have (`model`, `image_size`) are not looked for.
    """
    wanted = set()
    for cls in protocol.__mro__:
        if not getattr(cls, "_is_protocol", False) or cls is Protocol:
            continue
        wanted |= {name for name in vars(cls) if not name.startswith("_")}
        wanted |= {
            name
            for name, hint in cls.__annotations__.items()
            if getattr(hint, "__origin__", None) is ClassVar
        }
    return sorted(name for name in wanted if not hasattr(task_class, name))
