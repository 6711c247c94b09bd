"""A user's folder of images and masks, made by tests."""

import cv2
import numpy as np

from hrnet_jax.data import registry
from hrnet_jax.data.records import open_records

CLASSES = ("road", "car", "tree", "wall")


def add(folder, name, values=None, suffix=".png"):
    """Writes one 12x8 image with its mask."""
    if values is None:
        values = np.arange(96, dtype=np.uint8).reshape(8, 12) % 4
    image, mask = folder / "images" / name, folder / "masks" / name
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.full((*values.shape[:2], 3), len(name), np.uint8)
    cv2.imwrite(str(image) + suffix, grey)
    cv2.imwrite(str(mask) + ".png", values)
    return folder / "masks" / f"{name}.png"


def add_ten(folder, values=None):
    """Writes `img0.png`, `img1.jpg`, ..., `img9.jpg` with their masks."""
    for number in range(10):
        add(folder, f"img{number}", values, ".jpg" if number % 2 else ".png")


def make_set(folder):
    """A folder of ten images and masks with a list of the classes."""
    add_ten(folder)
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return folder


def prepare(source, tmp_path, **options):
    return registry.prepare(
        "segmentation_folder", tmp_path / "data", source, True, **options
    )


def read(tmp_path, split="train", name="segmentation_folder"):
    return open_records(name, tmp_path / "data", split)
