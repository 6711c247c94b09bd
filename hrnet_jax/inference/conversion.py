"""Official checkpoints to work directories and back."""

import importlib
import os
import pathlib

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.registry import SOURCES, source_class
from hrnet_jax.errors import CheckpointError, DataError, WeightsError
from hrnet_jax.inference.workdir import load_run, save_converted
from hrnet_jax.pretrained import from_torch, read_torch_file, to_torch
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.drawing import default_palette

# The last layer of each family; its rows are the classes.
_OUTPUT_LAYERS = {"segmentation": "last_layer.3.weight"}


def import_torch(
    path: str | os.PathLike,
    workdir: str | os.PathLike,
    model_name: str,
    *,
    classes: str = "",
    align_corners: bool = False,
    inplace_abn: bool = False,
) -> int:
    """Turns an official `.pth` file into a work directory.

    The number of classes is read from the file.

    Args:
        path: the `.pth` file.
        workdir: a new directory.
        model_name: for example `segmentation/w48`.
        classes: a data set's name, a file of class names, or nothing.
        align_corners: as the weights were trained.
        inplace_abn: see `from_torch`.

    Returns:
        The number of tensors converted; always all of them.

    Raises:
        HRNetError: if the file is unsafe, damaged or of another model.
    """
    if pathlib.Path(workdir).exists() and any(pathlib.Path(workdir).iterdir()):
        raise CheckpointError(f"{workdir} is not empty; choose a new directory")
    family = model_name.split("/")[0]
    if family not in _OUTPUT_LAYERS:
        raise WeightsError(
            f"{model_name}: only these families become work directories so far: "
            f"{', '.join(_OUTPUT_LAYERS)}"
        )
    tensors = read_torch_file(path)
    layer = _OUTPUT_LAYERS[family]
    if layer not in tensors:
        raise WeightsError(
            f"{path}: has no tensor {layer!r}, so it is no {family} model"
        )
    info = class_info(classes, tensors[layer].shape[0])
    model = create_model(
        model_name, num_classes=info.num_classes, align_corners=align_corners
    )
    try:
        variables = from_torch(tensors, model, inplace_abn=inplace_abn)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    save_converted(
        workdir, family, model_name, variables, info, align_corners=align_corners
    )
    return len(tensors)


def export_torch(
    workdir: str | os.PathLike, step: int | str, path: str | os.PathLike
) -> int:
    """Writes a run's weights as a state dict that the official code loads.

    Returns:
        The number of tensors written.

    Raises:
        WeightsError: if PyTorch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path}: writing PyTorch files needs PyTorch (pip install torch)"
        ) from error
    run = load_run(workdir, step)
    tensors = {
        name: torch.from_numpy(value.copy())
        for name, value in to_torch(run.variables, run.task.model).items()
    }
    torch.save(tensors, os.fspath(path))
    return len(tensors)


def class_info(classes: str, count: int) -> DatasetInfo:
    """Names and colours for `count` classes.

    Args:
        classes: a data set with fixed classes, a text file with one name a
            line, or nothing for numbers.
        count: how many classes the weights have.

    Raises:
        DataError: if the names are not as many.
    """
    if not classes:
        names = tuple(f"class {index}" for index in range(count))
    elif pathlib.Path(classes).is_file():
        lines = pathlib.Path(classes).read_text().splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
    elif classes in SOURCES:
        module = importlib.import_module(source_class(classes).__module__)
        if not hasattr(module, "CLASSES"):
            raise DataError(f"the data set {classes!r} has no fixed classes")
        names = tuple(module.CLASSES)
    else:
        raise DataError(
            f"{classes}: neither a file of class names nor one of the data sets "
            f"{', '.join(sorted(SOURCES))}"
        )
    if len(names) != count:
        raise DataError(
            f"{classes} names {len(names)} classes, the weights have {count}"
        )
    palette = tuple(default_palette(count))
    if classes in SOURCES:
        palette = _palette(module.CLASSES)
    return DatasetInfo(
        name=pathlib.Path(classes).stem or "classes",
        num_classes=count,
        class_names=names,
        palette=palette,
    )


def _palette(table: dict) -> tuple[tuple[int, int, int], ...]:
    """Colours of a class table: name -> colour, or name -> (id, colour)."""
    return tuple(value if len(value) == 3 else value[1] for value in table.values())
