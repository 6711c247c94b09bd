"""Images per second of our input pipeline and of a PyTorch DataLoader.

    python benchmarks/input_pipeline.py --workers=2 --out=input_pipeline.json

Both sides run the Cityscapes recipe (2048x1024 PNG images with label PNGs,
scale 0.5 to 2.1, crop 512x1024, flip) on the same generated files with the same
OpenCV, one OpenCV thread in each of the same number of worker processes. Ours:
records, pipeline and transforms of this package, uint8 batches; preparing the
records re-encoded the PNG files without loss. The peer: the operations of the
official PyTorch code in a DataLoader on the files themselves, that is, resize
the whole image, pad, crop, normalise to float32, flip. They
take turns within one call, each turn with fresh workers whose first batches are
not timed. Run it on an idle machine with at least as many cores as workers.
"""

import argparse
import functools
import os
import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks import streams
from hrnet_jax.data import records, registry
from hrnet_jax.data.stream import batches
from hrnet_jax.segmentation import transforms

HEIGHT, WIDTH = 1024, 2048
BASE_SIZE = 2048
CROP = (512, 1024)
NUM_CLASSES = 19
IGNORE_LABEL = 255
# What PNG writers do by default; OpenCV's own default is quicker and larger.
PNG_ENCODING = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 6),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT),
]


def write_images(folder: Path, count: int) -> None:
    """Writes a folder data set of textured street-like scenes.

    Smooth shading, sharp-edged regions and a little grain give PNG files of
    about 2 MB, which decode like those of Cityscapes, and labels of 50 kB.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    names = [f"scene_{index:03d}" for index in range(count)]
    for index, name in enumerate(names):
        image, label = _scene(np.random.default_rng(index))
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image, PNG_ENCODING)
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), label, PNG_ENCODING)
    classes = [f"class {index}" for index in range(NUM_CLASSES)]
    (folder / "classes.txt").write_text("\n".join(classes))
    (folder / "train.txt").write_text("\n".join(names))


def _scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    coarse = rng.integers(0, 160, (9, 17, 3)).astype(np.uint8)
    image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    label = np.full((HEIGHT, WIDTH), 0, np.uint8)
    for _ in range(150):
        centre = rng.integers(0, (WIDTH, HEIGHT))
        corners = cv2.convexHull((centre + rng.normal(0, 60, (7, 2))).astype(np.int32))
        colour = rng.integers(-40, 60, 3)
        left, top, width, height = cv2.boundingRect(corners)
        left, top = max(left, 0), max(top, 0)
        box = np.s_[top : top + height, left : left + width]
        mask = np.zeros(label[box].shape, np.uint8)
        cv2.fillPoly(mask, [corners - (left, top)], 1)
        inside = mask.astype(bool)
        image[box][inside] = np.clip(image[box][inside] + colour, 0, 255)
        label[box][inside] = rng.choice([*range(NUM_CLASSES), IGNORE_LABEL])
    grain = rng.normal(0, 0.45, (HEIGHT, WIDTH, 1))
    return np.clip(np.rint(image + grain), 0, 255).astype(np.uint8), label


class OfficialRecipe:
    """The peer's data set: official operations, one sample at a time.

    Reads the files the package's records were made of. No faster and no slower than
    it has to be: labels need no id table, and everything is OpenCV or NumPy.
    """

    def __init__(self, folder: Path):
        self._images = sorted((folder / "images").iterdir())
        self._labels = sorted((folder / "masks").iterdir())

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image = streams.decode(self._images[index].read_bytes(), cv2.IMREAD_COLOR)
        label = streams.decode(self._labels[index].read_bytes(), cv2.IMREAD_GRAYSCALE)
        image, label = official_scale(image, label)
        image, label = official_crop(image, label)
        image = streams.official_normalise(image).transpose(2, 0, 1)
        flip = random.choice([1, -1])
        return image[:, :, ::flip].copy(), label[:, ::flip].astype(np.int32)


def official_scale(image: np.ndarray, label: np.ndarray) -> tuple:
    """Resizes the whole image and label by 0.5, 0.6, ... or 2.1."""
    scale = 0.5 + random.randint(0, 16) / 10
    width = int(BASE_SIZE * scale + 0.5)
    size = (width, int(HEIGHT * width / WIDTH + 0.5))
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return image, cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)


def official_crop(image: np.ndarray, label: np.ndarray) -> tuple:
    """Pads up to the crop size where needed, and cuts a random crop."""
    bottom = max(CROP[0] - image.shape[0], 0)
    right = max(CROP[1] - image.shape[1], 0)
    if bottom or right:
        border = (0, bottom, 0, right, cv2.BORDER_CONSTANT)
        image = cv2.copyMakeBorder(image, *border, value=(0, 0, 0))
        label = cv2.copyMakeBorder(label, *border, value=(IGNORE_LABEL,))
    left = random.randint(0, image.shape[1] - CROP[1])
    top = random.randint(0, image.shape[0] - CROP[0])
    kept = np.s_[top : top + CROP[0], left : left + CROP[1]]
    return image[kept], label[kept]


def peer_stream(folder: Path, args: argparse.Namespace) -> Iterator:
    """Batches of a PyTorch DataLoader over the files."""
    return streams.torch_stream(OfficialRecipe(folder), args)


def our_transform() -> Callable:
    """The same recipe in this package."""
    options = transforms.AugmentationOptions(crop_size=CROP, base_size=BASE_SIZE)
    return transforms.make_train_transform(options)


def our_stream(opened: records.Records, args: argparse.Namespace) -> Iterator:
    """Endless batches of this package."""
    return batches.train_batches(
        opened,
        our_transform(),
        batch_size=args.batch_size,
        seed=0,
        workers=args.workers,
    )


def stage_times(folder: Path, opened: records.Records, repeats: int) -> dict:
    """Mean milliseconds of each step of one sample, in this process."""
    cv2.setNumThreads(1)
    random.seed(0)
    peer = OfficialRecipe(folder)
    image_file = peer._images[0].read_bytes()
    label_file = peer._labels[0].read_bytes()
    image = streams.decode(image_file, cv2.IMREAD_COLOR)
    label = streams.decode(label_file, cv2.IMREAD_GRAYSCALE)
    crop, _ = official_crop(image, label)
    sample = opened[0]
    rng = np.random.default_rng(0)
    transform = our_transform()
    steps = {
        "decode image": lambda: streams.decode(image_file, cv2.IMREAD_COLOR),
        "decode label": lambda: streams.decode(label_file, cv2.IMREAD_GRAYSCALE),
        "peer: resize, pad, crop": lambda: official_crop(*official_scale(image, label)),
        "peer: normalise, flip": lambda: (
            streams.official_normalise(crop).transpose(2, 0, 1)[:, :, ::-1].copy()
        ),
        "ours: read record and decode": lambda: opened[0],
        "ours: transform": lambda: transform(sample, rng),
    }
    return {
        name: streams.mean_milliseconds(step, repeats) for name, step in steps.items()
    }


def measure(args: argparse.Namespace, work: Path) -> dict:
    """Generates the data, runs both sides in turn, returns all figures."""
    folder = work / "scenes"
    write_images(folder, args.images)
    registry.prepare("segmentation_folder", work / "prepared", folder)
    opened = records.open_records("segmentation_folder", work / "prepared", "train")
    sizes = [path.stat().st_size for path in (folder / "images").iterdir()]
    shards = (work / "prepared").rglob("*.array_record*")
    records_bytes = sum(path.stat().st_size for path in shards)
    result = {
        "arguments": {key: str(value) for key, value in vars(args).items()},
        "cores": os.cpu_count(),
        "opencv": cv2.__version__,
        "mean_png_bytes": round(statistics.mean(sizes)),
        "mean_record_bytes": round(records_bytes / args.images),
        "milliseconds_per_sample": stage_times(folder, opened, args.stage_repeats),
    }
    sides = {
        "ours": functools.partial(our_stream, opened),
        "peer": functools.partial(peer_stream, folder),
    }
    return result | streams.rates_by_turns(sides, args)


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    streams.add_arguments(parser, images=24, batch_size=12)
    return streams.parse(parser)


def main() -> None:
    """Measures and prints."""
    streams.report(measure, parse_arguments())


if __name__ == "__main__":
    main()
