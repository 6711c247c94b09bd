"""Exported models, opened to predict."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import types
from collections.abc import Callable
from typing import Any, overload

import jax
import numpy as np

from hrnet_jax import runtime
from hrnet_jax.config.json_files import parse_object
from hrnet_jax.config.options import read_fields, read_options, shortened
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import (
    ConfigError,
    DataError,
    ExportError,
    HRNetError,
    how_to_install,
    reason_of,
)
from hrnet_jax.export.tasks import build_task
from hrnet_jax.inference.batching import equal_parts, join_parts
from hrnet_jax.inference.images import OneImage, Prediction, SeveralImages, for_each
from hrnet_jax.inference.notebook import as_html
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.registry import create_model, get_spec
from hrnet_jax.storage import paths
from hrnet_jax.tasks.protocol import Predicts
from hrnet_jax.tasks.spec import TaskSpec

Outputs = dict[str, np.ndarray]

FORMATS = (".stablehlo", ".onnx")

# What is read of a description, with its types.
_KEYS: dict[str, tuple[type, ...]] = {
    "task": (str,),
    "model": (str,),
    "model_options": (dict,),
    "inference": (dict,),
    "step": (int, types.NoneType),
    "input": (dict,),
    "sha256": (str,),
    "dataset_info": (dict, types.NoneType),
}

_INPUT_TYPES, _LAYOUTS = ("uint8", "float32"), ("nhwc", "nchw")

# Of onnxruntime, in order of preference.
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


def record_path(path: str | os.PathLike) -> pathlib.Path:
    """Path of the description of an exported model: `<file>.json`."""
    path = paths.as_path(path)
    return path.with_name(f"{path.name}.json")


@dataclasses.dataclass(frozen=True)
class _Input:
    """How a file takes its images; see docs/export.md."""

    name: str
    dtype: str
    layout: str
    size: tuple[int, int] | None
    min_size: int
    normalized_inside: bool
    normalization: dict

    def __post_init__(self):
        for key, known in (("dtype", _INPUT_TYPES), ("layout", _LAYOUTS)):
            if getattr(self, key) not in known:
                raise ConfigError(
                    f"key 'input.{key}' must be {' or '.join(known)}, "
                    f"got {getattr(self, key)!r}"
                )


@dataclasses.dataclass(frozen=True)
class ExportedModel:
    """An exported model and its description.

    Attributes:
        path: of the file.
        record: what `<file>.json` says.
        info: classes and colours, or points; numbered where the export knew none.
        task: prepares images, decodes outputs and draws them.
        run: maps `images` as the file takes them, and whatever else it takes, to its
            outputs.
    """

    path: pathlib.Path
    record: dict[str, Any]
    info: DatasetInfo
    task: Predicts
    run: Callable[[dict[str, np.ndarray]], Outputs]

    @overload
    def predict(self, image: OneImage, boxes: Any = None) -> Prediction: ...
    @overload
    def predict(self, image: SeveralImages, boxes: Any = None) -> list[Prediction]: ...
    @overload
    def predict(self, image: np.ndarray, boxes: Any = None) -> Any: ...
    def predict(self, image: Any, boxes: Any = None) -> Any:
        """Predicts for one image, or for several.

        Args:
            image: path, Pillow image, uint8 [H, W, 3] RGB, or several of these; see
                `Predictor.predict`.
            boxes: [N, 4] for tasks that predict in boxes, a list of them, or what
                finds them; see `Predictor.predict`.

        Returns:
            The task's prediction, as `Predictor` gives it; test-time flips are no
            part of an exported file.

        Raises:
            DataError: if the image has another type or shape, or a size that the
                file was not exported for.
        """
        return for_each(image, boxes, self._predict_one)

    def for_sizes(self, sizes: np.ndarray) -> "ExportedModel":
        """The model: a file takes one size, or any."""
        return self

    def save_large(
        self, folder: pathlib.Path, name: str, image: np.ndarray, **only: Any
    ) -> None:
        """Nothing: windows are no part of an exported file."""

    def _predict_one(self, image: np.ndarray, boxes: Any) -> Outputs:
        images, crops = self.task.to_network(image, boxes)
        size = images.shape[1:3]
        batch = self.task.network_batch(images, crops)
        predictions = join_parts(
            jax.device_get(self._decode(self.outputs(**part), size))
            for part in equal_parts(batch)
        )
        predictions = {
            name: value[: len(images)] for name, value in predictions.items()
        }
        return self.task.to_image(predictions, crops)

    def __repr__(self) -> str:
        return f"ExportedModel({str(self.path)!r}, {self.record['model']!r})"

    def _repr_html_(self) -> str:
        return as_html(self.about, self.info, self.task)

    @functools.cached_property
    def _decode(self) -> Callable:
        return runtime.jit(self.task.decode, static_argnums=1)

    @property
    def about(self) -> dict[str, Any]:
        """Source of the predictions, for a report."""
        return {
            "file": str(self.path),
            "model": self.record["model"],
            "step": self.record["step"],
        }

    @property
    def holds_predictions(self) -> bool:
        """Whether its outputs are predictions already."""
        return self._spec.exports_predictions

    @property
    def _spec(self) -> TaskSpec:
        return get_spec(self.record["task"])

    def outputs(self, image: np.ndarray, **more: np.ndarray) -> Outputs:
        """The outputs of the model for a batch.

        Args:
            image: uint8 [B, H, W, 3] RGB.
            **more: what the file takes beside them, as the task's `network_batch`
                names it.

        Returns:
            float32 arrays, maps [B, H, W, C]; or what the task predicts.

        Raises:
            DataError: if the file was not exported for this size.
        """
        self._check_size(image.shape[1:3])
        images = self.prepare(image)
        first = self.record["input"]["layout"] == "nchw"
        if first:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        outputs = self.run({"images": images} | more)
        if not first or self.holds_predictions:
            return outputs
        return {
            name: value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
            for name, value in outputs.items()
        }

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Normalises uint8 images, where the file does not do that itself."""
        about = self.record["input"]
        if about["dtype"] == "uint8":
            return images
        return np.asarray(normalize_images(images, _normalization(self.record)))

    def _check_size(self, size: tuple[int, int]) -> None:
        about = self.record["input"]
        if about["size"] and tuple(about["size"]) != tuple(size):
            raise DataError(
                f"{self.path} was exported for images of {_text(about['size'])}, got "
                f"one of {_text(size)}; {self._other_sizes}"
            )
        if min(size) < about["min_size"]:
            raise DataError(
                f"{self.path} takes images of at least {_text([about['min_size']] * 2)}"
                f", got one of {_text(size)}"
            )

    @property
    def _other_sizes(self) -> str:
        """What to do about an image of another size."""
        if self.holds_predictions:
            return (
                "that is the canvas of this image; export for it as well, or for a "
                "square one, which holds images of both orientations"
            )
        return "resize it or export another size"


def _text(size) -> str:
    """Height x width."""
    return "x".join(map(str, size))


def open_exported(path: str | os.PathLike, *, on_cpu: bool = False) -> ExportedModel:
    """Opens what `scripts/export.py` wrote.

    Args:
        path: a `.stablehlo` or `.onnx` file, with its `<file>.json` beside it.
        on_cpu: whether onnxruntime must leave an accelerator alone.

    Raises:
        ExportError: if a file is missing, damaged or of another kind, or
            onnxruntime is not installed.
    """
    path = paths.as_path(path)
    if path.suffix not in FORMATS:
        raise ExportError(
            f"{path}: expected an exported model, a file ending in "
            f"{' or '.join(FORMATS)}"
        )
    content = _read(path)
    record = read_description(path)
    # Neither format notices every flipped bit by itself.
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ExportError(
            f"{path} is damaged, or {record_path(path).name} beside it belongs to "
            "another file; export it again"
        )
    task, info = _make_task(beside=record_path(path), record=record)
    if path.suffix == ".onnx":
        run = _open_onnx(path, content, on_cpu)
    else:
        run = _open_stablehlo(path, content)
    return ExportedModel(path, record, info, task, run)


def _make_task(
    beside: pathlib.Path, record: dict[str, Any]
) -> tuple[Predicts, DatasetInfo]:
    """The task of a file, with a network that has no weights."""
    options, size = record["model_options"], record["input"]["size"]
    try:
        spec = get_spec(record["task"])
        info = (
            DatasetInfo.from_json(record["dataset_info"])
            if record["dataset_info"]
            else spec.numbered_info(spec.name, spec.count_outputs(options))
        )
        task = build_task(
            spec,
            create_model(record["model"], **options),
            info,
            inference=record["inference"],
            augmentation=record.get("augmentation", {}),
            normalization=_normalization(record),
            size=size and tuple(size),
        )
    except HRNetError as error:
        raise ExportError(f"{beside}: {error}") from error
    return task, info


def _normalization(record: dict[str, Any]) -> Normalization:
    return read_options(
        Normalization, record["input"]["normalization"], "normalization"
    )


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = reason_of(error).lower()
        raise ExportError(f"{path} cannot be read: {reason}") from error


def read_description(path: pathlib.Path) -> dict[str, Any]:
    """The description beside a file, with the keys that are read here."""
    beside = record_path(path)
    try:
        record = parse_object(_read(beside))
    except ExportError as error:
        raise ExportError(
            f"{error}; it describes {path.name} and must be beside it"
        ) from error
    except ValueError as error:
        raise ExportError(f"{beside}: {error}") from error
    missing = _KEYS.keys() - record.keys()
    if missing:
        raise ExportError(
            f"{beside} does not describe an exported model: it has no "
            f"{', '.join(sorted(missing))}"
        )
    for key, kinds in _KEYS.items():
        if type(record[key]) not in kinds:
            raise ExportError(
                f"{beside}: key {key!r} must be a value of type {kinds[0].__name__}, "
                f"got {shortened(record[key])}"
            )
    try:
        read_fields(_Input, record["input"], ExportError)
    except HRNetError as error:
        raise ExportError(f"{beside}: in 'input': {error}") from error
    return record


def _open_stablehlo(path: pathlib.Path, content: bytes) -> Callable:
    try:
        exported = jax.export.deserialize(bytearray(content))
    except Exception as error:  # Of many types, from three libraries.
        reason = _first_line(error)
        raise ExportError(f"{path}: not readable by this jax: {reason}") from error
    call = runtime.jit(exported.call)
    return lambda inputs: jax.device_get(call(*inputs.values()))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _open_onnx(path: pathlib.Path, content: bytes, on_cpu: bool) -> Callable:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{path}: opening ONNX files needs onnxruntime ({how_to_install('onnx')})"
        ) from error
    wanted = _PROVIDERS[-1:] if on_cpu else _PROVIDERS
    available = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(
            content, providers=[name for name in wanted if name in available]
        )
    except Exception as error:  # onnxruntime has no common base of its errors.
        reason = _first_line(error)
        raise ExportError(f"{path}: not readable by onnxruntime: {reason}") from error
    names = [output.name for output in session.get_outputs()]

    def run(inputs: dict[str, np.ndarray]) -> Outputs:
        values = session.run(names, inputs)
        return dict(zip(names, values, strict=True))

    return run
