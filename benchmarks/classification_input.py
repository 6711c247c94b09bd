"""Images per second of our ImageNet samples and of a PyTorch DataLoader.

    python -m benchmarks.classification_input --workers=2 --library=pillow

Both sides make training samples of the published recipe from the same generated
photographs (JPEG of 500x375, about 80 kB; ImageNet's have 500x375 and 110 kB on average),
resized by the same library, with one thread in each of the same number of worker
processes: decode, draw a window, cut it out, resize it to 224x224, mirror half of them.
Ours decodes with OpenCV in both cases and hands over bytes, which the device normalises.
The peer is a PyTorch data set with the operations of torchvision's `RandomResizedCrop`,
`RandomHorizontalFlip`, `ToTensor` and `Normalize` on the files:

* `--library=pillow`: Pillow, antialiased, as torchvision does it;
* `--library=opencv`: OpenCV for decoding and resizing, not antialiased.

`--scaled_decoding=2` is an option of ours that the peer does not have. Turns, workers and
warm-up as in `input_pipeline`.
"""

import argparse
import functools
import math
import os
import random
import statistics
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL
from PIL import Image

from benchmarks import streams
from hrnet_jax.classification import transforms
from hrnet_jax.data import records, registry
from hrnet_jax.data.stream import batches

SIDE = 224
HEIGHT, WIDTH = 375, 500
JPEG_QUALITY = 90
CLASSES = 4
DATA_SET = "classification_benchmark"


def write_photographs(folder: Path, args: argparse.Namespace) -> None:
    """Writes shaded scenes with grain, in folders of classes."""
    for index in range(args.images):
        rng = np.random.default_rng(index)
        shape = round(args.scale * HEIGHT), round(args.scale * WIDTH)
        coarse = rng.integers(0, 256, (16, 20, 3)).astype(np.uint8)
        size = shape[::-1]
        scene = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).astype(float)
        scene += rng.normal(0, 9, (*shape, 1))
        pixels = np.clip(np.rint(scene), 0, 255).astype(np.uint8)
        path = folder / "train" / f"class{index % CLASSES}" / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def random_window(height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width, as torchvision draws them."""
    for _ in range(10):
        area = height * width * random.uniform(0.08, 1.0)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, height - h), random.randint(0, width - w), h, w
    return 0, 0, height, width  # photographs of 4:3 have windows that fit


class PeerRecipe:
    """The peer's data set: torchvision's operations, one sample at a time.

    Args:
        folder: of the photographs.
        library: `pillow` or `opencv`.
    """

    def __init__(self, folder: Path, library: str):
        self._files = sorted((folder / "train").glob("*/*.jpg"))
        self._library = library

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int):
        path = self._files[index]
        crop = self.opencv_crop if self._library == "opencv" else self.pillow_crop
        return self.normalised(crop(path)), int(path.parent.name[-1])

    def pillow_crop(self, path: Path) -> np.ndarray:
        """uint8 RGB [224, 224, 3]."""
        with path.open("rb") as file:
            image = Image.open(file).convert("RGB")
        top, left, height, width = random_window(image.height, image.width)
        image = image.crop((left, top, left + width, top + height))
        image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.array(image)

    def opencv_crop(self, path: Path) -> np.ndarray:
        """uint8 RGB [224, 224, 3]."""
        image = streams.decode(path.read_bytes(), cv2.IMREAD_COLOR_RGB)
        top, left, height, width = random_window(*image.shape[:2])
        image = image[top : top + height, left : left + width]
        image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        return cv2.flip(image, 1) if random.random() < 0.5 else image

    @staticmethod
    def normalised(image: np.ndarray):
        """What `ToTensor` and `Normalize` make of it: float32 [3, 224, 224]."""
        import torch

        tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous().float().div(255)
        mean, std = (
            torch.as_tensor(values)[:, None, None]
            for values in (streams.MEAN, streams.STD)
        )
        return tensor.sub_(mean).div_(std)


def our_transform(args: argparse.Namespace):
    """The same recipe in this package."""
    return transforms.make_train_transform(
        transforms.AugmentationOptions(
            (SIDE, SIDE), library=args.library, scaled_decoding=args.scaled_decoding
        )
    )


def our_stream(opened: records.Records, args: argparse.Namespace) -> Iterator:
    """Endless batches of this package."""
    return batches.train_batches(
        opened,
        our_transform(args),
        batch_size=args.batch_size,
        seed=0,
        workers=args.workers,
    )


def stage_times(
    recipe: PeerRecipe, opened: records.Records, args: argparse.Namespace
) -> dict[str, float]:
    """Mean milliseconds of each step of one sample, in this process."""
    cv2.setNumThreads(1)
    random.seed(0)
    rng = np.random.default_rng(0)
    path = recipe._files[0]
    data = path.read_bytes()
    crop = recipe.pillow_crop(path)
    sample = opened[0]
    transform = our_transform(args)
    steps = {
        "decode, Pillow": lambda: Image.open(path).load(),
        "decode, OpenCV": lambda: streams.decode(data, cv2.IMREAD_COLOR_RGB),
        "peer: decode and crop, Pillow": lambda: recipe.pillow_crop(path),
        "peer: decode and crop, OpenCV": lambda: recipe.opencv_crop(path),
        "peer: normalise": lambda: recipe.normalised(crop),
        "ours: read record": lambda: opened[0],
        "ours: decode and crop": lambda: transform(sample, rng),
    }
    return {
        name: streams.mean_milliseconds(step, args.stage_repeats)
        for name, step in steps.items()
    }


def measure(args: argparse.Namespace, work: Path) -> dict:
    """Generates the data, runs both sides in turn, returns all figures."""
    folder = work / "photographs"
    write_photographs(folder, args)
    prepared = work / "prepared"
    registry.prepare("classification_folder", prepared, folder, save_as=DATA_SET)
    opened = records.open_records(DATA_SET, prepared, "train").encoded()
    recipe = PeerRecipe(folder, args.library)
    sizes = [path.stat().st_size for path in recipe._files]
    result = {
        "arguments": {key: str(value) for key, value in vars(args).items()},
        "cores": os.cpu_count(),
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "mean_jpeg_bytes": round(statistics.mean(sizes)),
        "milliseconds_per_sample": stage_times(recipe, opened, args),
    }
    sides = {
        "ours": functools.partial(our_stream, opened),
        "peer": functools.partial(streams.torch_stream, recipe),
    }
    return result | streams.rates_by_turns(sides, args)


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # Fewer records take Grain longer to shuffle than they would in a whole set.
    streams.add_arguments(parser, images=1000, batch_size=64)
    parser.add_argument(
        "--library",
        choices=("pillow", "opencv"),
        default="pillow",
        help="of both sides",
    )
    parser.add_argument(
        "--scaled_decoding", type=float, default=0.0, help="option of our transform"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor on the sides of photographs"
    )
    return streams.parse(parser)


def main() -> None:
    """Measures and prints."""
    streams.report(measure, parse_arguments())


if __name__ == "__main__":
    main()
