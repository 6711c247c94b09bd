"""Predictions as the servers of benchmarks take them."""

import re
from typing import Any

import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging import run_lengths
from hrnet_jax.imaging.palette import Colour

# What Cityscapes' names end with, and the files for its server need not.
_CITYSCAPES_END = "_leftImg8bit"

# By the beginning of a data set's name.
_BENCHMARKS = ("cityscapes", "lip", "ade20k", "voc2012", "coco_stuff")


def benchmark_of(info: DatasetInfo) -> str:
    """The benchmark that a model's classes are those of.

    Raises:
        ConfigError: for a data set that has none.
    """
    for name in _BENCHMARKS:
        if info.name.startswith(name):
            return name
    raise ConfigError(
        f"submission: the model was trained on {info.name!r}, which has no server; "
        f"expected one of {', '.join(_BENCHMARKS)}"
    )


def stored_labels(label: np.ndarray, benchmark: str) -> np.ndarray:
    """The numbers that a benchmark's files have for labels uint8 [H, W].

    Cityscapes has ids (`labelIds`), ADE20K counts classes from 1 (0 is no class), LIP and
    VOC have the labels themselves.
    """
    if benchmark == "cityscapes":
        # Not with the module: most predictions need nothing of the data.
        from hrnet_jax.data.files.benchmark_files import CITYSCAPES_IDS

        return np.array(CITYSCAPES_IDS, np.uint8)[label]
    if benchmark == "ade20k":
        return label + np.uint8(1)
    return label


def stored_palette(benchmark: str) -> tuple[Colour, ...] | None:
    """Colours of the files, where they have any: those of VOC."""
    from hrnet_jax.data.files.benchmark_files import VOC_PALETTE

    return VOC_PALETTE if benchmark == "voc2012" else None


def stored_name(name: str, benchmark: str) -> str:
    """Name of the file of an image, without its ending."""
    return name.removesuffix(_CITYSCAPES_END) if benchmark == "cityscapes" else name


def coco_stuff_results(name: str, label: np.ndarray) -> list[dict[str, Any]]:
    """Entries of the file that COCO's server takes: a mask for each class.

    Args:
        name: of the image, which ends with its number.
        label: uint8 [H, W].

    Raises:
        DataError: for a name without a number.
    """
    from hrnet_jax.data.files.benchmark_files import COCO_STUFF_IDS

    number = re.search(r"(\d+)$", name)
    if not number:
        raise DataError(
            f"image {name!r}: COCO's server wants the number of each image; expected a "
            "name that ends with it, such as COCO_val2014_000000000042"
        )
    return [
        {
            "image_id": int(number[1]),
            "category_id": COCO_STUFF_IDS[int(value)],
            "segmentation": {
                "size": list(label.shape),
                "counts": run_lengths.encode(label == value, label.shape),
            },
        }
        for value in np.unique(label)
        if value < len(COCO_STUFF_IDS)
    ]
