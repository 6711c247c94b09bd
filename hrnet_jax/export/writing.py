"""Writes models as StableHLO and ONNX, with a description beside them."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, ExportError, how_to_install, reason_of
from hrnet_jax.export.check import TOLERANCE, Check, compare
from hrnet_jax.export.exported import (
    FORMATS,
    ExportedModel,
    open_exported,
    record_path,
)
from hrnet_jax.inference.workdir import LoadedRun
from hrnet_jax.models.folding import fold_batch_norm
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.models.representations import upsample_between
from hrnet_jax.models.resize import resize
from hrnet_jax.registry import get_spec, task_names
from hrnet_jax.runtime.target import tracing_for
from hrnet_jax.storage import paths, targets
from hrnet_jax.tasks.spec import TaskSpec
from hrnet_jax.whole_files import put_in_place, unfinished_folder
from hrnet_jax.workdir.files import write_json

INPUTS = ("uint8", "float32")
LAYOUTS = ("nhwc", "nchw")
PLATFORMS = ("cpu", "cuda", "tpu", "rocm")


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Inputs and outputs of an exported file.

    Attributes:
        input: `uint8` images, normalised inside, or `float32` normalised ones.
        size: (height, width) of the images; None for any (StableHLO alone).
        upsample: whether logits of segmentation come at the size of the image
            instead of a quarter; None does so.
        auxiliary: whether outputs that only a loss looks at are kept.
        layout: `nhwc` or `nchw` (ONNX alone), of images and maps.
        platforms: that a StableHLO file runs on; `cpu` among them, where it is
            checked.
    """

    input: str = "uint8"
    size: tuple[int, int] | None = None
    upsample: bool | None = None
    auxiliary: bool = False
    layout: str = "nhwc"
    platforms: tuple[str, ...] = ("cpu", "cuda", "tpu")

    def __post_init__(self):
        for key, value, known in (
            ("input", self.input, INPUTS),
            ("layout", self.layout, LAYOUTS),
            *(("platforms", platform, PLATFORMS) for platform in self.platforms),
        ):
            if value not in known:
                raise ConfigError(
                    f"export option {key!r} is {value!r}; expected one of "
                    f"{', '.join(known)}"
                )
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"export option 'size' is {self.size}; expected pixels")
        if "cpu" not in self.platforms:
            raise ConfigError(
                "export option 'platforms' needs 'cpu': the file is checked there"
            )


@dataclasses.dataclass(frozen=True)
class ExportSource:
    """A network to export, with all that describes it.

    Attributes:
        name: of the model, for example `segmentation/w48`.
        model: the model itself.
        variables: {"params", "batch_stats"}.
        info: classes, colours, points.
        step: of the checkpoint.
        normalization: of images, as the weights were trained.
        inference: options of the task's predictions, `eval.inference`.
        augmentation: `dataset.augmentation`, which says how boxes are cut out.
    """

    name: str
    model: Model
    variables: Mapping
    _: dataclasses.KW_ONLY
    normalization: Normalization
    inference: Mapping[str, Any]
    augmentation: Mapping[str, Any]
    info: DatasetInfo | None = None
    step: int | None = None

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.spec.name

    @property
    def spec(self) -> TaskSpec:
        """The description of the task."""
        return get_spec(self.name)


def source_of(run: LoadedRun) -> ExportSource:
    """The network of a run."""
    return ExportSource(
        name=run.config.model.name,
        model=run.task.model,
        variables=run.variables,
        info=run.info,
        step=run.step,
        normalization=run.config.model.normalization,
        inference=dataclasses.asdict(run.config.eval.inference),
        augmentation=dataclasses.asdict(run.config.dataset.augmentation),
    )


def export_model(
    source: ExportSource | LoadedRun,
    path: str | os.PathLike,
    options: ExportOptions = ExportOptions(),
    *,
    check_size: tuple[int, int] = (256, 256),
    tolerance: float = TOLERANCE,
    overwrite: bool = True,
) -> Check:
    """Writes a model as one file and `<file>.json`, checked against the model.

    Norms are folded into the convolutions and everything is computed in float32,
    whatever type the model was trained in.

    Args:
        source: the model and its weights, or a run that was opened.
        path: ends in `.stablehlo` or `.onnx`.
        options: what the file takes and gives.
        check_size: (height, width) of the images it is checked with, where the
            options do not fix a size.
        tolerance: largest difference allowed, in standard deviations of an output.
        overwrite: whether to replace a file that is there already.

    Returns:
        Errors, size and speed.

    Raises:
        ConfigError: for options that do not go together.
        ExportError: if the file cannot be written or does not compute what the
            model does; nothing is left then.
    """
    if isinstance(source, LoadedRun):
        source = source_of(source)
    path = check_request(source.name, path, options, overwrite=overwrite)
    _check_size(source, options)
    model = source.model.clone(dtype=jnp.float32, remat=False)
    plain = make_function(source, options, model)
    folded, weights = fold_batch_norm(model, source.variables)
    inner = make_function(source, options, folded)

    def function(images):
        return inner(weights, images)

    record = describe(source, path.suffix, options)
    if path.suffix == ".onnx":
        content = _onnx_content(function, options, record)
    else:
        content = _stablehlo_content(function, source, options)
    record["sha256"] = hashlib.sha256(content).hexdigest()

    def check(exported: ExportedModel) -> Check:
        size = options.size or check_size
        return compare(plain, source.variables, exported, size, tolerance)

    try:
        return _write_checked(path, content, record, check)
    except OSError as error:
        reason = reason_of(error).lower()
        raise ExportError(f"{path} cannot be written: {reason}") from error


def _write_checked(
    path: pathlib.Path,
    content: bytes,
    record: dict[str, Any],
    check: Callable[[ExportedModel], Check],
) -> Check:
    """Puts file and description in place if the file, read back, passes."""
    with unfinished_folder(path) as folder:
        draft = folder / path.name
        draft.write_bytes(content)
        write_json(record_path(draft), record)
        result = check(open_exported(draft, on_cpu=True))
        record = record | {"check": dataclasses.asdict(result)}
        write_json(record_path(draft), record)
        # The description first: alone it says nothing, and an old file beside it is
        # told by its checksum.
        put_in_place(record_path(draft), record_path(path))
        put_in_place(draft, path)
    return result


def check_request(
    model: str | None,
    path: str | os.PathLike,
    options: ExportOptions,
    *,
    overwrite: bool = True,
) -> pathlib.Path:
    """Refuses what `export_model` would, before the model is opened.

    Args:
        model: its name; None where only its weights tell.
        path: as for `export_model`, as everything else.
        options: as there.
        overwrite: as there.

    Returns:
        The path.

    Raises:
        ConfigError: for options that do not go together or with the model.
        ExportError: for a path that no file can be written to, and if a package for
            the format is not installed.
    """
    path = paths.as_path(path)
    # These endings are read by their letters, so not in any case.
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: expected a name ending in {' or '.join(FORMATS)}")
    what = "the name of a new file"
    targets.check_file(path, what=what, overwrite=overwrite, error=ExportError)
    if path.suffix == ".onnx":
        _onnx_size(options)
        _check_onnx()
    if path.suffix == ".stablehlo" and options.layout != "nhwc":
        raise ConfigError("StableHLO files are exported as nhwc; nchw is for ONNX")
    if model and not get_spec(model).can_be_exported:
        able = [name for name in task_names() if get_spec(name).can_be_exported]
        raise ConfigError(
            f"{model} cannot be exported yet; expected a model of {', '.join(able)}"
        )
    if options.upsample and model and not get_spec(model).upsampled_on_export:
        able = [name for name in task_names() if get_spec(name).upsampled_on_export]
        raise ConfigError(
            f"only {', '.join(able)} is upsampled to the image, not {model}"
        )
    return path


def _check_size(source: ExportSource, options: ExportOptions) -> None:
    if options.size and min(options.size) < source.model.min_size:
        raise ConfigError(
            f"{source.name} takes images of at least {source.model.min_size} pixels a "
            f"side, got {options.size[0]}x{options.size[1]}"
        )


def is_upsampled(source: ExportSource, options: ExportOptions) -> bool:
    """Whether logits have the size of the image."""
    wanted = True if options.upsample is None else options.upsample
    return wanted and source.spec.upsampled_on_export


def make_function(
    source: ExportSource, options: ExportOptions, model: Model
) -> Callable[[Mapping, jax.Array], dict[str, jax.Array]]:
    """The function to export: (variables, images) -> named outputs."""

    def function(variables, images):
        inputs = images
        if options.input == "uint8":
            inputs = normalize_images(images, source.normalization)
        outputs = named_outputs(source.spec, model.apply(variables, inputs))
        if not options.auxiliary:
            for name in model.auxiliary_outputs:
                outputs.pop(name)
        if is_upsampled(source, options):
            method = upsample_between(model.upsample)
            size = images.shape[1:3]
            outputs = {key: resize(y, size, method) for key, y in outputs.items()}
        return outputs

    return function


def named_outputs(spec: TaskSpec, outputs: Any) -> dict[str, jax.Array]:
    """A model's outputs by name; levels of a pyramid are `level0`, `level1`, ..."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, tuple):
        return {f"level{index}": level for index, level in enumerate(outputs)}
    return {spec.output_name: outputs}


def describe(
    source: ExportSource, suffix: str, options: ExportOptions
) -> dict[str, Any]:
    """Description of the file for its readers, `<file>.json`."""
    packages = ["hrnet_jax", "jax", "jaxlib", "flax", "numpy"]
    if suffix == ".onnx":
        packages.append("onnx")
    about: dict[str, Any] = {
        "format": suffix.removeprefix("."),
        "task": source.task,
        "model": source.name,
        "model_options": model_options(source.model),
        "inference": dict(source.inference),
        "augmentation": dict(source.augmentation),
        "step": source.step,
        "input": {
            "name": "images",
            "dtype": options.input,
            "layout": options.layout,
            "size": options.size,
            "min_size": source.model.min_size,
            "normalized_inside": options.input == "uint8",
            "normalization": dataclasses.asdict(source.normalization),
        },
        "upsampled": is_upsampled(source, options),
        "upsample_method": upsample_between(source.model.upsample),
        "dataset_info": source.info and source.info.to_json(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    if suffix == ".stablehlo":
        about["platforms"] = options.platforms
    return json.loads(json.dumps(about))


def model_options(model: Model) -> dict[str, Any]:
    """Options with which `create_model` builds this network again."""
    set_elsewhere = ("norm", "dtype", "remat")
    return {
        name: getattr(model, name)
        for name in model.option_names()
        if name not in set_elsewhere
    }


def _stablehlo_content(
    function: Callable, source: ExportSource, options: ExportOptions
) -> bytes:
    """Serialised by `jax.export`, to be read by `jax.export.deserialize`."""
    height, width = options.size or ("h", "w")
    bounds = [f"{side} >= {source.model.min_size}" for side in (height, width)]
    shape = jax.export.symbolic_shape(
        f"b, {height}, {width}, 3", constraints=() if options.size else bounds
    )
    exporter = jax.export.export(jax.jit(function), platforms=options.platforms)
    images = jax.ShapeDtypeStruct(shape, np.dtype(options.input))
    with tracing_for(*options.platforms):
        return bytes(exporter(images).serialize())


def _onnx_size(options: ExportOptions) -> tuple[int, int]:
    if options.size is None:
        raise ConfigError(
            "ONNX files are exported for images of one size: give one (--size=HxW)"
        )
    return options.size


def _check_onnx() -> None:
    try:
        import hrnet_jax.export.onnx_file  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "onnx":
            raise
        raise ExportError(
            f"exporting ONNX needs onnx and onnxruntime ({how_to_install('onnx')})"
        ) from error


def _onnx_content(function: Callable, options: ExportOptions, record: dict) -> bytes:
    # Late, as StableHLO needs no onnx.
    from hrnet_jax.export.onnx_file import to_onnx

    return to_onnx(
        function,
        _onnx_size(options),
        np.dtype(options.input),
        channels_first=options.layout == "nchw",
        metadata={key: json.dumps(value) for key, value in record.items()},
    )
