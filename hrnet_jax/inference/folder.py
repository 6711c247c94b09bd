"""Labels many image files."""

import glob
import os
import pathlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from tqdm import tqdm

from hrnet_jax.data.image_files import read_image
from hrnet_jax.errors import DataError
from hrnet_jax.inference.exported import ExportedModel
from hrnet_jax.inference.workdir import LoadedRun
from hrnet_jax.training.reporting import write_json

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SUMMARY_FILE = "summary.json"


def find_images(source: str | os.PathLike) -> list[pathlib.Path]:
    """Image files named by a file, a folder (not its sub-folders) or a glob.

    Raises:
        DataError: if there are none.
    """
    if not str(source):
        raise DataError("name of the images is empty; expected a file, folder or glob")
    path = pathlib.Path(source)
    if path.is_dir():
        found = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
        expected = f"files ending in {', '.join(SUFFIXES)}"
    elif path.is_file():
        return [path]
    else:
        found = [pathlib.Path(name) for name in glob.glob(str(source), recursive=True)]
        found = [p for p in found if p.is_file()]
        expected = "a file, a folder or a glob that matches files"
    if not found:
        raise DataError(f"{source}: no images found; expected {expected}")
    return sorted(found)


def read_pixels(path: pathlib.Path) -> np.ndarray:
    """Decodes an image file, upright, to uint8 RGB [H, W, 3].

    Raises:
        DataError: if it is missing, no image, truncated or damaged.
    """
    encoded = read_image(path)
    return cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_COLOR_RGB)


def predict_files(
    run: LoadedRun | ExportedModel,
    images: Iterable[pathlib.Path],
    out: str | os.PathLike,
    *,
    progress: bool = True,
) -> dict:
    """Predicts for image files and writes the task's output files.

    Args:
        run: from `load_run` or `open_exported`.
        images: from `find_images`.
        out: folder for the output files and `summary.json`.
        progress: whether to show a progress bar.

    Returns:
        What `summary.json` holds: the checkpoint, and one entry per image.

    Raises:
        DataError: naming the image file that cannot be read.
    """
    folder = pathlib.Path(out)
    entries = []
    bar = tqdm(list(images), desc="predict", unit="image", disable=not progress)
    for path, name in zip(bar, unique_names(bar.iterable), strict=True):
        image = read_pixels(path)
        summary = run.task.save(folder, name, image, run.predict(image))
        entries.append({"image": str(path), "name": name, **summary})
    report = {**run.about, "images": entries}
    write_json(folder / SUMMARY_FILE, report)
    return report


def unique_names(paths: Iterable[pathlib.Path]) -> Iterator[str]:
    """File stems; a stem that came before gets a number (`a`, `a_2`)."""
    seen: set[str] = set()
    for path in paths:
        name, number = path.stem, 2
        while name in seen:
            name, number = f"{path.stem}_{number}", number + 1
        seen.add(name)
        yield name
