"""Writes models as StableHLO and ONNX, with a description beside them."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.config.options import read_options
from hrnet_jax.errors import ConfigError, ExportError, how_to_install, reason_of
from hrnet_jax.export.check import Check, compare
from hrnet_jax.export.exported import (
    FORMATS,
    ExportedModel,
    open_exported,
    record_path,
)
from hrnet_jax.export.programs import (
    Function,
    is_upsampled,
    make_function,
    more_inputs,
    task_of,
)
from hrnet_jax.export.source import (
    ExportOptions,
    ExportSource,
    model_options,
    source_of,
)
from hrnet_jax.inference.workdir import LoadedRun
from hrnet_jax.models.folding import fold_batch_norm
from hrnet_jax.models.representations import upsample_between
from hrnet_jax.registry import get_spec, task_names
from hrnet_jax.runtime.target import tracing_for
from hrnet_jax.storage import paths, targets
from hrnet_jax.whole_files import put_in_place, unfinished_folder
from hrnet_jax.workdir.files import write_json


def export_model(
    source: ExportSource | LoadedRun,
    path: str | os.PathLike,
    options: ExportOptions = ExportOptions(),
    *,
    check_size: tuple[int, int] = (256, 256),
    tolerance: float | None = None,
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
        tolerance: largest difference allowed, in standard deviations of an output; None
            for 1e-5, and 5e-5 of detections.
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
    draft = _Draft.of(source, path.suffix, options)

    def check(exported: ExportedModel) -> Check:
        size = options.size or check_size
        result = compare(draft.plain, source.variables, exported, size, tolerance)
        if result.errors:
            return result
        # It predicts nothing for noise, which says little: so one that always does.
        twin = dataclasses.replace(source, inference=_for_noise(source))
        draft_of_twin = _Draft.of(twin, path.suffix, options)
        opened = draft_of_twin.opened_in(exported.path.parent, f"twin{path.suffix}")
        plain = draft_of_twin.plain
        found = compare(plain, source.variables, opened, size, tolerance)
        return dataclasses.replace(result, errors=found.errors)

    try:
        return _write_checked(path, draft, check)
    except OSError as error:
        reason = reason_of(error).lower()
        raise ExportError(f"{path} cannot be written: {reason}") from error


@dataclasses.dataclass(frozen=True)
class _Draft:
    """What a file will hold.

    Attributes:
        plain: the function of the unfolded model, to compare with.
        content: of the file.
        record: its description.
    """

    plain: Function
    content: bytes
    record: dict[str, Any]

    @classmethod
    def of(cls, source: ExportSource, suffix: str, options: ExportOptions) -> "_Draft":
        """Traces and serialises a model."""
        model = source.model.clone(dtype=jnp.float32, remat=False)
        plain = make_function(source, options, model)
        folded, weights = fold_batch_norm(model, source.variables)
        inner = make_function(source, options, folded)

        def function(images, *more):
            return inner(weights, images, *more)

        record = describe(source, suffix, options)
        if suffix == ".onnx":
            content = _onnx_content(function, source, options, record)
        else:
            content = _stablehlo_content(function, source, options)
        record["sha256"] = hashlib.sha256(content).hexdigest()
        return cls(plain, content, record)

    def opened_in(self, folder: pathlib.Path, name: str) -> ExportedModel:
        """Writes the file to a folder and opens it."""
        path = folder / name
        path.write_bytes(self.content)
        write_json(record_path(path), self.record)
        return open_exported(path, on_cpu=True)


def _for_noise(source: ExportSource) -> dict[str, Any]:
    """Options with which a task of predictions predicts something for noise."""
    task_class: Any = source.spec.task_class
    options = read_options(task_class.Inference, source.inference, "inference")
    return dataclasses.asdict(task_class.unlimited(options))


def _write_checked(
    path: pathlib.Path, draft: _Draft, check: Callable[[ExportedModel], Check]
) -> Check:
    """Puts file and description in place if the file, read back, passes."""
    with unfinished_folder(path) as folder:
        opened = draft.opened_in(folder, path.name)
        result = check(opened)
        record = draft.record | {"check": dataclasses.asdict(result)}
        write_json(record_path(opened.path), record)
        # The description first: alone it says nothing, and an old file beside it is
        # told by its checksum.
        put_in_place(record_path(opened.path), record_path(path))
        put_in_place(opened.path, path)
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
    if model and not get_spec(model).exports_predictions and options.nms != "operator":
        able = [name for name in task_names() if get_spec(name).exports_predictions]
        raise ConfigError(
            f"export option 'nms' is for {', '.join(able)} alone, not for {model}"
        )
    if model and get_spec(model).exports_predictions and options.size is None:
        raise ConfigError(
            f"{model} is exported for images of one size: give one (--size=HxW), "
            "the canvas that they are brought to"
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
        "more_inputs": _described_inputs(source, options),
        "nms": options.nms if source.spec.exports_predictions else None,
        "upsampled": is_upsampled(source, options),
        "upsample_method": upsample_between(source.model.upsample),
        "dataset_info": source.info and source.info.to_json(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    if suffix == ".stablehlo":
        about["platforms"] = options.platforms
    return json.loads(json.dumps(about))


def _more_inputs(
    source: ExportSource, options: ExportOptions
) -> dict[str, jax.ShapeDtypeStruct]:
    """What a file takes beside images; see `more_inputs`."""
    if not source.spec.exports_predictions:
        return {}
    return more_inputs(task_of(source, options, source.model), options.size)


def _described_inputs(source: ExportSource, options: ExportOptions) -> dict[str, Any]:
    return {
        name: {"dtype": str(of_one.dtype), "shape": of_one.shape}
        for name, of_one in _more_inputs(source, options).items()
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
    more = [
        jax.ShapeDtypeStruct((shape[0], *of_one.shape), of_one.dtype)
        for of_one in _more_inputs(source, options).values()
    ]
    with tracing_for(*options.platforms):
        return bytes(exporter(images, *more).serialize())


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


def _onnx_content(
    function: Callable, source: ExportSource, options: ExportOptions, record: dict
) -> bytes:
    # Late, as StableHLO needs no onnx.
    from hrnet_jax.export.onnx_file import to_onnx

    return to_onnx(
        function,
        _onnx_size(options),
        np.dtype(options.input),
        _more_inputs(source, options),
        channels_first=options.layout == "nchw",
        maps=not source.spec.exports_predictions,
        metadata={key: json.dumps(value) for key, value in record.items()},
    )
