"""Predicts for many image files."""

import glob
import os
import pathlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES, read_pixels, read_size
from hrnet_jax.data.files.listing import is_litter, listed
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging.boxes import check_inside, whole_image
from hrnet_jax.inference.boxes import Boxes, match_boxes
from hrnet_jax.inference.finder import check_takes_boxes, sources_of
from hrnet_jax.inference.images import local_path
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.inference.reducing import Reduced, check_max_side
from hrnet_jax.inference.showing import Windows
from hrnet_jax.registry import get_spec
from hrnet_jax.storage import paths, targets
from hrnet_jax.tasks.boxes import (
    BoxFinder,
    find_scored,
    finds_boxes,
    takes_boxes,
)
from hrnet_jax.tasks.few_shapes import few_shapes
from hrnet_jax.tasks.protocol import Predicts, writes_kinds
from hrnet_jax.workdir.files import write_json

SUMMARY_FILE = "summary.json"
# No image that is larger is predicted whole.
_HUGE = (2**20, 2**20)


def find_images(
    source: str | os.PathLike, *more: str | os.PathLike
) -> list[pathlib.Path]:
    """Image files named by files, folders (not their sub-folders) or globs.

    Args:
        source: a file, a folder, a glob, or one of these as `file:///...`.
        *more: further ones; a file named twice is found once.

    Folders and globs leave out hidden files and what file managers write.

    Raises:
        DataError: naming a source without images.
    """
    found = [path for each in (source, *more) for path in _images_of(each)]
    return list(dict.fromkeys(found))


def _images_of(source: str | os.PathLike) -> list[pathlib.Path]:
    """Image files of one source, sorted; hidden ones only if they are named."""
    path = local_path(source)
    if path.is_dir():
        found = [p for p in listed(path) if p.suffix.lower() in IMAGE_SUFFIXES]
        expected = f"files ending in {', '.join(IMAGE_SUFFIXES)}"
    elif path.is_file():
        return [path]
    else:
        found = [pathlib.Path(name) for name in glob.glob(str(path), recursive=True)]
        found = [p for p in found if p.is_file() and not is_litter(p.name)]
        expected = "a file, a folder or a glob that matches files"
    if not found:
        raise DataError(f"{source}: no images found; expected {expected}")
    return sorted(found)


def check_request(
    model: str | None,
    images: Iterable[pathlib.Path],
    out: str | os.PathLike,
    *,
    boxes: Mapping[str, np.ndarray] | None = None,
    max_side: int | None = None,
    only: Collection[str] = (),
    also: Collection[str] = (),
) -> None:
    """Refuses what `predict_files` would, before the model is opened.

    Args:
        model: its name; None where only its weights tell.
        images: as for `predict_files`, as everything else.
        out: as there.
        boxes: as there.
        max_side: as there.
        only: as there.
        also: as there.

    Raises:
        HRNetError: as `predict_files`; a `ConfigError` if nothing can be written to
            `out`.
    """
    targets.check_folder(out, what="a folder for the results")
    if max_side is not None:
        check_max_side(max_side)
    task = None if model is None else get_spec(model).task_class
    if task is not None:
        _chosen_kinds(task, str(model), only, also)
    if boxes is not None:
        if task is not None:
            _check_takes_boxes(task, str(model))
        match_boxes(images, boxes)


def predict_files(
    run: OpenedModel,
    images: Iterable[pathlib.Path],
    out: str | os.PathLike,
    *,
    boxes: Mapping[str, np.ndarray] | None = None,
    find: BoxFinder | None = None,
    max_side: int | None = None,
    only: Collection[str] = (),
    also: Collection[str] = (),
    windows: Windows | None = None,
    progress: bool = True,
) -> dict:
    """Predicts for image files and writes the task's output files.

    Args:
        run: from `load_run` or `open_exported`.
        images: from `find_images`.
        out: folder for the output files and `summary.json`.
        boxes: from `read_boxes`, for landmark and pose models. Without them landmark
            models look for faces, pose models take the whole image as one box.
        find: instead of `boxes`, a `LoadedRun.finder` or the like.
        max_side: larger images are reduced to this many pixels first; see `Reduced`.
        only: kinds of pictures to write, such as `label`; the usual ones without any.
        also: further kinds, such as `indexed`.
        windows: where to show the picture of each image, if anywhere.
        progress: whether to show a progress bar.

    Returns:
        What `summary.json` holds: the checkpoint, in `images` an entry per image, and in
        `failed` the `error` of each that cannot be predicted for.

    Raises:
        DataError: for boxes of other images, and a picture that cannot be written.
        ConfigError: for a wrong `max_side` or kind, and boxes that go with nothing.
    """
    chosen = _chosen_kinds(run.task, run.about["model"], only, also)
    folder, images = paths.as_path(out), list(images)
    run, large = _for_images(run, images, max_side)
    given = _given_boxes(run, images, boxes, find)
    entries, failed = [], []
    bar = tqdm(images, desc="predict", unit="image", disable=not progress)
    for path, name in zip(bar, unique_names(images), strict=True):
        try:
            image = read_pixels(path, of_any_size=large)
            summary = run.save_large(folder, name, image, **chosen)
            if summary is None:
                prediction = _predict_for(run, path, image, given, find)
        except DataError as error:
            # One bad file of many is no reason to lose the others.
            failed.append({"image": str(path), "error": _naming(path, error)})
        else:
            if summary is None:
                summary = run.task.save(folder, name, image, prediction, **chosen)
                if windows is not None:
                    windows.show(run.task.draw(image, prediction, None), name)
            entries.append({"image": str(path), "name": name, **summary})
    report = {**sources_of(run, find), "images": entries, "failed": failed}
    return _reported(run, folder, report, chosen)


def _reported(
    run: OpenedModel, folder: pathlib.Path, report: dict, chosen: dict[str, Any]
) -> dict:
    """Writes what is of all images at once, and the summary; returns the latter."""
    if writes_kinds(run.task):
        images = run.task.save_together(folder, report["images"], **chosen)
        report = {**report, "images": images}
    write_json(folder / SUMMARY_FILE, report)
    return report


def _for_images(
    run: OpenedModel, images: Iterable[pathlib.Path], max_side: int | None
) -> tuple[OpenedModel, bool]:
    """The model for the sizes of these files, and whether it takes images of any size.

    Raises:
        ConfigError: for `max_side` below 1.
    """
    if max_side is not None:
        run = Reduced(run, max_side)
    if not few_shapes(run.task):
        return run, False
    sizes = [size for size in map(read_size, images) if size]
    large = run.task.in_strips(_HUGE)
    return (run.for_sizes(np.array(sizes)) if sizes else run), large


def _naming(path: pathlib.Path, error: DataError) -> str:
    """What is wrong, with the file if the error does not name it itself."""
    message = str(error)
    return message if str(path) in message else f"{path}: {message}"


def _chosen_kinds(
    task: Predicts | type[Predicts],
    model: str,
    only: Collection[str],
    also: Collection[str],
) -> dict[str, Any]:
    """The argument of the task's `save`, for tasks that write several kinds."""
    if not (only or also):
        return {}
    kinds = (*task.picture_kinds, *task.requested_kinds)
    unknown = [kind for kind in (*only, *also) if kind not in kinds]
    if unknown:
        expected = f"expected some of {', '.join(kinds)}"
        if not kinds:
            expected = "it writes one kind of file for each image, so leave this out"
        raise ConfigError(
            f"only={','.join((*only, *also))}: {model} does not write "
            f"{', '.join(unknown)}; {expected}"
        )
    return {"only": [*dict.fromkeys((*(only or task.picture_kinds), *also))]}


def _predict_for(
    run: OpenedModel,
    path: pathlib.Path,
    image: np.ndarray,
    given: Boxes | None,
    find: BoxFinder | None,
) -> dict[str, np.ndarray]:
    """The prediction for an image: in the boxes given, or found, or that suit the task.

    Raises:
        DataError: for a given box that is outside the image.
    """
    if takes_boxes(run.task) and given is not None:
        check_inside(given[path], image, str(path))
        prediction = run.predict(image, given[path])
        if path in given.scores:
            prediction = prediction | {"box_scores": given.scores[path]}
        return prediction
    if find is not None:
        return _predict_found(run, find, image)
    return predict_image(run, image)


def predict_image(
    run: OpenedModel, image: np.ndarray, *, find: bool = True
) -> dict[str, np.ndarray]:
    """The prediction for an image of which no boxes are known.

    Args:
        run: an opened model.
        image: uint8 RGB [H, W, 3].
        find: whether tasks that find boxes do so; else, and for tasks that only take
            them, the whole image is the one box.
    """
    if not takes_boxes(run.task):
        return run.predict(image)
    if find and finds_boxes(run.task):
        return _predict_found(run, run.task.find_boxes, image)
    return run.predict(image, whole_image(image))


def _predict_found(run: OpenedModel, find: BoxFinder, image: np.ndarray) -> dict:
    """Predicts in the boxes that are found, in better ones where the task knows any."""
    found, scores = find_scored(find, image)
    prediction = run.predict(image, found)
    if takes_boxes(run.task) and finds_boxes(run.task):
        better = run.task.better_boxes(found, prediction)
        prediction = prediction if better is None else run.predict(image, better)
    return prediction | scores


def _given_boxes(
    run: OpenedModel,
    images: list[pathlib.Path],
    boxes: Mapping[str, np.ndarray] | None,
    find: BoxFinder | None,
) -> Boxes | None:
    """The boxes of each image; None where they are not given.

    Raises:
        DataError: if the model does not take boxes, or they are of other images.
        ConfigError: if they are to be found as well, or for a model that takes none.
    """
    if find is not None:
        check_takes_boxes(run.task, run.about["model"])
        if boxes is not None:
            raise ConfigError("boxes are given or found; leave out boxes or find")
    if boxes is None:
        return None
    _check_takes_boxes(run.task, run.about["model"])
    return match_boxes(images, boxes)


def _check_takes_boxes(task: Predicts | type[Predicts], model: str) -> None:
    if not task.takes_boxes:
        raise DataError(
            f"boxes were given, but {model} looks at whole images; only "
            "landmark and pose models take boxes"
        )


def unique_names(paths: Iterable[pathlib.Path]) -> Iterator[str]:
    """File stems; a stem that came before gets a number (`a`, `a_2`)."""
    seen: set[str] = set()
    for path in paths:
        name, number = path.stem, 2
        while name in seen:
            name, number = f"{path.stem}_{number}", number + 1
        seen.add(name)
        yield name
