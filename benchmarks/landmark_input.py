"""Images per second of our landmark samples and of a PyTorch DataLoader.

    python -m benchmarks.landmark_input --workers=2 --out=landmark_input.json

All sides make the training samples of the landmark recipe from the same generated
photographs (JPEG, one face in each) with the same OpenCV, one OpenCV thread in each of
the same number of worker processes: decode, draw scale, rotation and flip, cut the face
out as 256x256 pixels with one bilinear warp. Nobody makes targets. Ours hands over
bytes, which the device normalises. The peer is a PyTorch data set that does the same
with OpenCV; it is not the published code, which resizes and rotates with SciPy:

* `peer` hands over normalised float32 in NCHW, as PyTorch code does;
* `peer, bytes` hands over bytes as ours, so its ratio is that of decoding, cutting out
  and handing over alone.

Turns, workers and warm-up as in `input_pipeline`.
"""

import argparse
import csv
import functools
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks import streams
from hrnet_jax.data import records, registry
from hrnet_jax.data.generated import faces
from hrnet_jax.data.stream import batches
from hrnet_jax.keypoints import transforms

SIDE = 256
JPEG_QUALITY = 90
# Names are of no importance here.
DATA_SET = "landmark_benchmark"


def write_photographs(folder: Path, args: argparse.Namespace) -> None:
    """Writes drawn faces as JPEG files and their points as the CSV of a user.

    The table names the files again and again until it has as many faces as 300W: Grain
    takes 0.26 ms to shuffle a sample of 64 and 0.01 ms for one of 1912.
    """
    (folder / "images").mkdir(parents=True)
    with (folder / "train.csv").open("w", newline="") as file:
        table = csv.writer(file)
        axes = (f"p{index}_{axis}" for index in range(68) for axis in "xy")
        table.writerow(["image_name", *axes])
        rows = []
        for index in range(args.images):
            face = faces.draw_face(0, "train", index, args.side)
            name = f"{index:04d}.jpg"
            quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            cv2.imwrite(str(folder / "images" / name), face.image[..., ::-1], quality)
            rows.append([name, *np.asarray(face.points).ravel()])
        table.writerows(itertools.islice(itertools.cycle(rows), args.faces))


class OpenCVRecipe:
    """The peer's data set: the same sample by the same library, one at a time.

    Args:
        folder: of the images.
        rows: centre, scale and points of each face; more of them than images go
            through the images again.
        normalise: whether crops are normalised float32 [3, S, S], or BGR uint8
            [S, S, 3].
    """

    def __init__(self, folder: Path, rows: list[tuple], *, normalise: bool = True):
        self._normalise = normalise
        self._images = sorted((folder / "images").iterdir())
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        data = self._images[index % len(self._images)].read_bytes()
        image = streams.decode(data, cv2.IMREAD_COLOR)
        crop, points = opencv_crop(image, *self._rows[index])
        if self._normalise:
            crop = streams.official_normalise(crop).transpose(2, 0, 1)
        return np.ascontiguousarray(crop), points.astype(np.float32)


def opencv_crop(
    image: np.ndarray, center: np.ndarray, scale: float, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scale 0.75 to 1.25, up to 30 degrees with probability 0.6, a flip for half."""
    side = 1.25 * 200 * scale * random.uniform(0.75, 1.25)
    angle = random.uniform(-30, 30) if random.random() <= 0.6 else 0.0
    matrix = cv2.getRotationMatrix2D(tuple(map(float, center)), angle, SIDE / side)
    matrix[:, 2] += SIDE / 2 - center
    if random.random() <= 0.5:
        matrix[0] *= -1
        matrix[0, 2] += SIDE - 1
    crop = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return crop, points @ matrix[:, :2].T + matrix[:, 2]


def our_stream(opened: records.Records, args: argparse.Namespace) -> Iterator:
    """Endless batches of this package."""
    return batches.train_batches(
        opened,
        transforms.make_train_transform(
            transforms.AugmentationOptions(crop_size=(SIDE, SIDE)), opened.info
        ),
        batch_size=args.batch_size,
        seed=0,
        workers=args.workers,
    )


def peer_stream(recipe: OpenCVRecipe, args: argparse.Namespace) -> Iterator:
    """Batches of a PyTorch DataLoader."""
    return streams.torch_stream(recipe, args)


def stage_times(
    recipe: OpenCVRecipe, opened: records.Records, repeats: int
) -> dict[str, float]:
    """Mean milliseconds of each step of one sample, in this process."""
    cv2.setNumThreads(1)
    random.seed(0)
    rng = np.random.default_rng(0)
    data = recipe._images[0].read_bytes()
    image = streams.decode(data, cv2.IMREAD_COLOR)
    crop, _ = opencv_crop(image, *recipe._rows[0])
    sample = opened[0]
    transform = transforms.make_train_transform(
        transforms.AugmentationOptions(crop_size=(SIDE, SIDE)), opened.info
    )
    steps = {
        "decode": lambda: streams.decode(data, cv2.IMREAD_COLOR),
        "peer: warp": lambda: opencv_crop(image, *recipe._rows[0]),
        "peer: normalise": lambda: np.ascontiguousarray(
            streams.official_normalise(crop).transpose(2, 0, 1)
        ),
        "ours: read record and decode": lambda: opened[0],
        "ours: transform": lambda: transform(sample, rng),
    }
    return {
        name: streams.mean_milliseconds(step, repeats) for name, step in steps.items()
    }


def measure(args: argparse.Namespace, work: Path) -> dict:
    """Generates the data, runs all sides in turn, returns all figures."""
    folder = work / "photographs"
    write_photographs(folder, args)
    registry.prepare(
        "landmarks_csv",
        work / "prepared",
        folder,
        save_as=DATA_SET,
        flip_pairs=("none",),
    )
    opened = records.open_records(DATA_SET, work / "prepared", "train")
    samples = (opened[index] for index in range(len(opened)))
    rows = [
        (np.array(row["center"]), float(row["scale"]), np.array(row["points"]))
        for row in samples
    ]
    recipe = OpenCVRecipe(folder, rows)
    result = {
        "arguments": {key: str(value) for key, value in vars(args).items()},
        "cores": os.cpu_count(),
        "opencv": cv2.__version__,
        "milliseconds_per_sample": stage_times(recipe, opened, args.stage_repeats),
    }
    sides = {
        "ours": functools.partial(our_stream, opened),
        "peer": functools.partial(peer_stream, recipe),
        "peer, bytes": functools.partial(
            peer_stream, OpenCVRecipe(folder, rows, normalise=False)
        ),
    }
    return result | streams.rates_by_turns(sides, args)


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    streams.add_arguments(parser, images=64, batch_size=16)
    parser.add_argument(
        "--side", type=int, default=512, help="side of the photographs, in pixels"
    )
    parser.add_argument(
        "--faces", type=int, default=1912, help="samples; as many as 300W's training"
    )
    return streams.parse(parser)


def main() -> None:
    """Measures and prints."""
    streams.report(measure, parse_arguments())


if __name__ == "__main__":
    main()
