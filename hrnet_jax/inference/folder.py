"""Predicts for many image files."""

import glob
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from tqdm import tqdm

from hrnet_jax.data.files.image_files import read_pixels
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import check_inside, whole_image
from hrnet_jax.inference.boxes import match_boxes
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.workdir.files import write_json

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


def predict_files(
    run: OpenedModel,
    images: Iterable[pathlib.Path],
    out: str | os.PathLike,
    *,
    boxes: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> dict:
    """Predicts for image files and writes the task's output files.

    Landmark models predict in the boxes given, or find the faces themselves; an image
    without a face gets an entry with nothing found. Pose models without boxes take
    the whole image as the box of one person.

    Args:
        run: from `load_run` or `open_exported`.
        images: from `find_images`.
        out: folder for the output files and `summary.json`.
        boxes: from `read_boxes`, for landmark and pose models.
        progress: whether to show a progress bar.

    Returns:
        What `summary.json` holds: the checkpoint, and one entry per image.

    Raises:
        DataError: naming the image file that cannot be read; for boxes that do not
            fit the images or the model.
    """
    folder = pathlib.Path(out)
    images = list(images)
    given = None if boxes is None else _given_boxes(run, images, boxes)
    entries = []
    bar = tqdm(images, desc="predict", unit="image", disable=not progress)
    for path, name in zip(bar, unique_names(images), strict=True):
        image = read_pixels(path)
        if not run.task.takes_boxes:
            prediction = run.predict(image)
        elif given is not None:
            inside = check_inside(given[path], image, str(path))
            prediction = run.predict(image, inside)
        elif run.task.finds_boxes:
            prediction = _predict_found(run, image)
        else:
            prediction = run.predict(image, whole_image(image))
        summary = run.task.save(folder, name, image, prediction)
        entries.append({"image": str(path), "name": name, **summary})
    report = {**run.about, "images": entries}
    write_json(folder / SUMMARY_FILE, report)
    return report


def _predict_found(run: OpenedModel, image: np.ndarray) -> dict:
    """Predicts in the boxes that the task finds, in better ones where it knows any."""
    found = run.task.find_boxes(image)
    prediction = run.predict(image, found)
    better = run.task.better_boxes(found, prediction)
    return prediction if better is None else run.predict(image, better)


def _given_boxes(
    run: OpenedModel,
    images: list[pathlib.Path],
    boxes: Mapping[str, np.ndarray],
) -> dict[pathlib.Path, np.ndarray]:
    """The boxes of each image.

    Raises:
        DataError: if the model does not take boxes, or they are of other images.
    """
    if not run.task.takes_boxes:
        raise DataError(
            f"boxes were given, but {run.about['model']} looks at whole images; only "
            "landmark and pose models take boxes"
        )
    return match_boxes(images, boxes)


def unique_names(paths: Iterable[pathlib.Path]) -> Iterator[str]:
    """File stems; a stem that came before gets a number (`a`, `a_2`)."""
    seen: set[str] = set()
    for path in paths:
        name, number = path.stem, 2
        while name in seen:
            name, number = f"{path.stem}_{number}", number + 1
        seen.add(name)
        yield name
