"""Files that a labelled image leaves behind."""

import io
import json
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import IGNORED, Colour, default_palette
from hrnet_jax.imaging.pictures import write_picture
from hrnet_jax.segmentation import submissions
from hrnet_jax.segmentation.drawing import color_map, draw_panels, overlay
from hrnet_jax.segmentation.polygons import coco_file, labelme_file, polygons_of
from hrnet_jax.whole_files import write_whole

# What is written unless told otherwise, and what only by request.
KINDS = ("label", "color", "overlay", "panels")
POLYGONS = ("coco", "labelme")
REQUESTED = ("indexed", "submission", *POLYGONS)

COCO_FILE = "polygons.json"
SUBMISSION_FOLDER = "submission"
COCO_STUFF_FILE = "coco_stuff.json"


def save_prediction(
    folder: pathlib.Path,
    name: str,
    image: np.ndarray,
    prediction: dict[str, np.ndarray],
    info: DatasetInfo,
    kinds: Collection[str] = KINDS,
) -> dict:
    """Writes the files of one labelled image.

    `<name>_label.png` holds the raw class numbers, `_color.png` the class colours,
    `_overlay.png` the colours over the image and `_panels.png` all of it side by side
    with a legend. By request `_indexed.png` holds the class numbers with the colours as
    its palette, and `submission/<name>.png` what the server of the data set takes; what
    is in files of several images, `save_together` writes.

    Args:
        folder: where to; made if missing.
        name: start of the file names.
        image: uint8 [H, W, 3] RGB.
        prediction: `label` uint8 [H, W] and `confidence` float32 [H, W].
        info: class names and colours.
        kinds: which of them to write.

    Returns:
        Size, share of each class present, and mean confidence, for JSON; `polygons` and
        `results` for `save_together`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    label = prediction["label"]
    palette = info.palette or default_palette(info.num_classes)
    draw = {
        "label": lambda: label,
        "color": lambda: color_map(label, palette),
        "overlay": lambda: overlay(image, label, palette),
        "panels": lambda: draw_panels(image, label, info),
    }
    for kind in kinds:
        if kind in draw:
            write_picture(folder / f"{name}_{kind}.png", draw[kind]())
    summary = summarize_prediction(prediction, info)
    if "indexed" in kinds:
        write_indexed(folder / f"{name}_indexed.png", label, palette)
    if "submission" in kinds:
        summary |= _save_submission(folder / SUBMISSION_FOLDER, name, label, info)
    if any(kind in kinds for kind in POLYGONS):
        summary["polygons"] = polygons_of(label, info.num_classes)
    return summary


def _save_submission(
    folder: pathlib.Path, name: str, label: np.ndarray, info: DatasetInfo
) -> dict:
    """Writes the file of one image, or returns what the one of all has of it."""
    benchmark = submissions.benchmark_of(info)
    if benchmark == "coco_stuff":
        return {"results": submissions.coco_stuff_results(name, label)}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{submissions.stored_name(name, benchmark)}.png"
    stored = submissions.stored_labels(label, benchmark)
    palette = submissions.stored_palette(benchmark)
    if palette is None:
        write_picture(path, stored)
    else:
        write_indexed(path, stored, palette)
    return {}


def save_together(
    folder: pathlib.Path,
    entries: Sequence[Mapping[str, Any]],
    info: DatasetInfo,
    kinds: Collection[str],
) -> list[dict[str, Any]]:
    """Writes what is of all images at once; returns their entries without it.

    `polygons.json` is in COCO's format, `<name>_labelme.json` in that of labelme, and
    `submission/coco_stuff.json` what COCO's server takes.

    Args:
        folder: of `save_prediction`.
        entries: its summaries with `image`, the path, and `name`.
        info: class names.
        kinds: as there.
    """
    # Images that were labelled in strips have none.
    outlined = [entry for entry in entries if "polygons" in entry]
    if "coco" in kinds:
        parts = [
            (pathlib.Path(entry["image"]).name, _size(entry), entry["polygons"])
            for entry in outlined
        ]
        write_whole(folder / COCO_FILE, json.dumps(coco_file(parts, info)))
    if "labelme" in kinds:
        for entry in outlined:
            image = pathlib.Path(entry["image"]).absolute()
            content = labelme_file(image, _size(entry), entry["polygons"], info)
            path = folder / f"{entry['name']}_labelme.json"
            write_whole(path, json.dumps(content))
    results = [one for entry in entries for one in entry.get("results", ())]
    if results:
        (folder / SUBMISSION_FOLDER).mkdir(parents=True, exist_ok=True)
        path = folder / SUBMISSION_FOLDER / COCO_STUFF_FILE
        write_whole(path, json.dumps(results))
    return [
        {key: entry[key] for key in entry if key not in ("polygons", "results")}
        for entry in entries
    ]


def _size(entry: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) of the image of a summary."""
    return entry["height"], entry["width"]


def write_indexed(
    path: pathlib.Path, label: np.ndarray, palette: Sequence[Colour]
) -> None:
    """Writes a PNG of class numbers uint8 [H, W] that viewers show in their colours.

    Raises:
        DataError: if the file cannot be written.
    """
    colours = np.full((256, 3), IGNORED, np.uint8)
    colours[: len(palette)] = palette
    # Of mode P, without a copy in colours.
    stored = Image.fromarray(np.ascontiguousarray(label), "L")
    stored.putpalette(colours.tobytes())
    content = io.BytesIO()
    stored.save(content, "png")
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be written ({reason})") from error


def summarize_prediction(prediction: dict[str, np.ndarray], info: DatasetInfo) -> dict:
    """Classes in an image, largest first."""
    label, confidence = prediction["label"], prediction["confidence"]
    counts = np.bincount(label.ravel(), minlength=info.num_classes)
    sums = np.bincount(label.ravel(), confidence.ravel(), minlength=info.num_classes)
    return summarize_counts(label.shape, counts, sums, info)


def summarize_counts(
    size: tuple[int, ...], counts: np.ndarray, sums: np.ndarray, info: DatasetInfo
) -> dict:
    """The same from pixels of each class, int [K], and their sums of confidence."""
    total = max(1, int(counts.sum()))
    order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    return {
        "height": int(size[0]),
        "width": int(size[1]),
        "mean_confidence": round(float(sums.sum() / total), 4),
        "classes": [
            {
                "id": int(index),
                "name": info.class_names[index],
                "pixels": int(counts[index]),
                "share": round(float(counts[index] / total), 6),
                "mean_confidence": round(float(sums[index] / counts[index]), 4),
            }
            for index in order
        ],
    }
