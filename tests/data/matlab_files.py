"""MATLAB 7.3 files as COFW has them, made by tests."""

import h5py
import numpy as np

from tests.data.landmark_files import random_points

KEYS = {"train": ("IsTr", "phisTr"), "test": ("IsT", "phisT")}


def image_of(index):
    """Grey for even indices, RGB for odd ones; 30 rows, 40 columns."""
    rng = np.random.default_rng(index)
    shape = (30, 40, 3) if index % 2 else (30, 40)
    return rng.integers(0, 256, shape, np.uint8)


def annotation_of(index):
    points = random_points(29, index)
    hidden = (np.arange(29) % 4 == index % 4).astype(float)
    return np.concatenate([points[:, 0], points[:, 1], hidden])


def write_matlab(path, split, annotations, images):
    """As MATLAB does: every array transposed, cells as references."""
    image_key, point_key = KEYS[split]
    with h5py.File(path, "w", userblock_size=512) as file:
        references = np.empty((1, len(images)), h5py.ref_dtype)
        for index, image in enumerate(images):
            stored = file.create_dataset(f"#refs#/{index}", data=image.T)
            references[0, index] = stored.ref
        file.create_dataset(image_key, data=references, dtype=h5py.ref_dtype)
        file.create_dataset(point_key, data=np.asarray(annotations).T)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
