"""Writes tiny sets of images with classes in the layouts that people have."""

import io
import json
import tarfile

import cv2
import numpy as np
import scipy.io
from PIL import Image

SIZE = (12, 16)  # height, width
IDS = ("n01440764", "n02102040", "n03000684")
WORDS = ("tench, Tinca tinca", "English springer", "chain saw")


def picture(seed, size=SIZE):
    """An RGB image; another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return Image.fromarray(pixels)


def photograph(height=90, width=120):
    """Smooth, as photographs are."""
    rng = np.random.default_rng([height, width])
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(image, file_format="JPEG", **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def write_image(path, seed=0, data=None):
    """A JPEG file, or other bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed)) if data is None else data)


def write_folders(folder, names):
    """Images of their own at `cat/a.jpg` and the like."""
    for seed, name in enumerate(names):
        write_image(folder / name, seed)
    return folder


def tar_bytes(members, **options):
    """A tar archive of (name, bytes)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def jpeg(seed):
    return encoded(picture(seed))


def train_archive():
    """An archive of archives, as that of ImageNet: two images of each class."""
    return tar_bytes(
        (
            f"{identity}.tar",
            tar_bytes((f"{identity}_{k}.JPEG", jpeg([label, k])) for k in (3, 18)),
        )
        for label, identity in enumerate(IDS)
    )


def val_name(number):
    return f"ILSVRC2012_val_{number:08d}.JPEG"


# Of validation images 1, 2, 3, 4, in numbers of the devkit, which has another order.
TRUTH = (2, 3, 1, 3)
NUMBERS = (3, 1, 2)


def val_archive():
    # In another order than that of the numbers.
    return tar_bytes((val_name(k), jpeg([9, k])) for k in (3, 1, 4, 2))


def devkit_files():
    """The two files of the devkit that are read, by name."""
    kinds = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object)]
    kinds += [("gloss", object), ("children", object)]
    synsets = np.zeros((4, 1), kinds)
    rows = [*zip(NUMBERS, IDS, WORDS, strict=True), (1001, "n00001740", "entity")]
    for row, (number, identity, words) in enumerate(rows):
        synsets[row, 0] = (float(number), identity, words, "a gloss", np.zeros((1, 0)))
    file = io.BytesIO()
    scipy.io.savemat(file, {"synsets": synsets}, do_compression=True)
    truth = "".join(f"{number}\n" for number in TRUTH)
    return {
        "meta.mat": file.getvalue(),
        "ILSVRC2012_validation_ground_truth.txt": truth.encode(),
    }


def devkit_archive():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in devkit_files().items():
            member = tarfile.TarInfo(f"ILSVRC2012_devkit_t12/data/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def write_archives(folder):
    """The three official files of ImageNet, of three classes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ILSVRC2012_img_train.tar").write_bytes(train_archive())
    (folder / "ILSVRC2012_img_val.tar").write_bytes(val_archive())
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit_archive())
    return folder


def write_real(path, entries=([1], [1, 2], [], [0])):
    path.write_text(json.dumps(entries))
    return path
