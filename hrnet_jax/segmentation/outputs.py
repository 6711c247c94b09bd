"""Files that a labelled image leaves behind."""

import pathlib
from collections.abc import Collection

import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.imaging.pictures import write_picture
from hrnet_jax.segmentation.drawing import color_map, draw_panels, overlay

KINDS = ("label", "color", "overlay", "panels")


def save_prediction(
    folder: pathlib.Path,
    name: str,
    image: np.ndarray,
    prediction: dict[str, np.ndarray],
    info: DatasetInfo,
    kinds: Collection[str] = KINDS,
) -> dict:
    """Writes the pictures of one labelled image.

    `<name>_label.png` holds the raw class numbers, `_color.png` the class
    colours, `_overlay.png` the colours over the image and `_panels.png` all of
    it side by side with a legend.

    Args:
        folder: where to; made if missing.
        name: start of the file names.
        image: uint8 [H, W, 3] RGB.
        prediction: `label` uint8 [H, W] and `confidence` float32 [H, W].
        info: class names and colours.
        kinds: which of the pictures to write.

    Returns:
        Size, share of each class present, and mean confidence, for JSON.
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
        write_picture(folder / f"{name}_{kind}.png", draw[kind]())
    return summarize_prediction(prediction, info)


def summarize_prediction(prediction: dict[str, np.ndarray], info: DatasetInfo) -> dict:
    """Classes in an image, largest first."""
    label, confidence = prediction["label"], prediction["confidence"]
    counts = np.bincount(label.ravel(), minlength=info.num_classes)
    order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    return {
        "height": int(label.shape[0]),
        "width": int(label.shape[1]),
        "mean_confidence": round(float(confidence.mean()), 4),
        "classes": [
            {
                "id": int(index),
                "name": info.class_names[index],
                "pixels": int(counts[index]),
                "share": round(float(counts[index] / label.size), 6),
                "mean_confidence": round(float(confidence[label == index].mean()), 4),
            }
            for index in order
        ],
    }
