"""Images per second of our samples of persons and of a PyTorch DataLoader.

    python -m benchmarks.pose_input --workers=2 --out=pose_input.json

All sides make the training samples of the pose recipe from the same drawn photographs
(JPEG of 640x640 pixels, one to three persons in each) with the same OpenCV, one OpenCV
thread in each of the same number of worker processes: decode, draw half body, scale,
rotation and flip, cut the person out as 256x192 pixels with one bilinear warp. Nobody
makes targets. Ours hands over bytes, which the device normalises. The peer is a PyTorch
data set that does what `JointsDataset` does:

* `peer` hands over normalised float32 in NCHW, as PyTorch code does;
* `peer, bytes` hands over bytes as ours, so its ratio is that of decoding, cutting out
  and handing over alone.

Turns, workers and warm-up as in `input_pipeline`.
"""

import argparse
import functools
import itertools
import json
import math
import os
import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks import streams
from hrnet_jax.data import records, registry
from hrnet_jax.data.generated import figures
from hrnet_jax.data.persons.view import PersonRecords
from hrnet_jax.data.points.person_sets import COCO17
from hrnet_jax.data.stream import batches
from hrnet_jax.keypoints import persons

SIZE = (256, 192)
JPEG_QUALITY = 90
# Names are of no importance here.
DATA_SET = "pose_benchmark"
_UPPER = 11  # joints, of COCO's 17


def write_photographs(folder: Path, args: argparse.Namespace) -> None:
    """Writes drawn persons as JPEG files and their joints as COCO's JSON."""
    (folder / "images").mkdir(parents=True)
    drawn = []
    for index in range(args.images):
        shown = figures.random_figures(0, "train", index, args.side, 3)
        image = figures.draw_figures(shown, 0, "train", index, args.side)
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        name = f"{index:04d}.jpg"
        cv2.imwrite(str(folder / "images" / name), image[..., ::-1], quality)
        drawn.append([_annotation(figure, args.side) for figure in shown])
    document: dict[str, list] = {"images": [], "annotations": []}
    document["categories"] = [
        {"id": 1, "name": "person", "keypoints": list(COCO17.names), "skeleton": []}
    ]
    for number in range(args.images):
        size = {"height": args.side, "width": args.side}
        entry = {"id": number + 1, "file_name": f"{number:04d}.jpg", **size}
        document["images"].append(entry)
        for annotation in drawn[number]:
            identity = len(document["annotations"]) + 1
            places = {"id": identity, "image_id": number + 1, "category_id": 1}
            document["annotations"].append(annotation | places)
    (folder / "annotations").mkdir()
    (folder / "annotations" / "train.json").write_text(json.dumps(document))


def _annotation(figure: figures.Figure, side: int) -> dict:
    points = np.array([figure.joints[name] for name in COCO17.names]) - 0.5
    inside = ((points >= 0) & (points < side)).all(1)
    low, high = np.clip(points.min(0), 0, side - 1), np.clip(points.max(0), 0, side - 1)
    triples = np.concatenate([points, 2 * inside[:, None]], 1) * inside[:, None]
    return {
        "keypoints": triples.ravel().tolist(),
        "num_keypoints": int(inside.sum()),
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": float(np.prod(high - low)),
        "iscrowd": 0,
    }


class OpenCVRecipe:
    """The peer's data set: the same sample by the same library, one at a time.

    Args:
        folder: of the images.
        rows: number of the image, box, joints and which of them are annotated, of each
            person.
        normalise: whether crops are normalised float32 [3, H, W], or BGR uint8
            [H, W, 3].
    """

    def __init__(self, folder: Path, rows: list[tuple], *, normalise: bool = True):
        self._normalise = normalise
        self._images = sorted((folder / "images").iterdir())
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        number, *person = self._rows[index]
        image = streams.decode(self._images[number].read_bytes(), cv2.IMREAD_COLOR)
        crop, points = opencv_crop(image, *person)
        if self._normalise:
            crop = streams.official_normalise(crop).transpose(2, 0, 1)
        return np.ascontiguousarray(crop), points.astype(np.float32)


def opencv_crop(
    image: np.ndarray, box: np.ndarray, points: np.ndarray, annotated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The published augmentation and one warp; a flip mirrors the image first."""
    height, width = SIZE
    center, side = (box[:2] + box[2:]) / 2, 1.25 * _side(box)
    if annotated.sum() > 8 and random.random() < 0.3:
        upper = np.arange(len(points)) < _UPPER
        half = points[annotated & (upper == (random.random() < 0.5))]
        if len(half) > 2:
            center = half.mean(0)
            side = 1.5 * _side(np.concatenate([half.min(0), half.max(0)]))
    side *= np.clip(1 + 0.35 * random.gauss(0, 1), 0.65, 1.35)
    angle = 0.0
    if random.random() <= 0.6:
        angle = float(np.clip(45 * random.gauss(0, 1), -90, 90))
    if random.random() <= 0.5:
        image, last = image[:, ::-1], image.shape[1] - 1
        points = points * [-1, 1] + [last, 0]
        center = center * [-1, 1] + [last, 0]
    cos = math.cos(math.radians(angle)) * width / side
    sin = math.sin(math.radians(angle)) * width / side
    matrix = np.array([[cos, sin, 0.0], [-sin, cos, 0.0]])
    matrix[:, 2] = np.array([width, height]) / 2 - matrix[:, :2] @ center
    crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return crop, points @ matrix[:, :2].T + matrix[:, 2]


def _side(box: np.ndarray) -> float:
    """Width of a box that is extended to the shape of a crop."""
    width, height = box[2:] - box[:2]
    return float(max(width, height * SIZE[1] / SIZE[0], 1.0))


def our_stream(opened: PersonRecords, args: argparse.Namespace) -> Iterator:
    """Endless batches of this package."""
    return batches.train_batches(
        opened,
        persons.make_train_transform(
            persons.PoseCropOptions(crop_size=SIZE), opened.info
        ),
        batch_size=args.batch_size,
        seed=0,
        workers=args.workers,
    )


def peer_stream(recipe: OpenCVRecipe, args: argparse.Namespace) -> Iterator:
    """Batches of a PyTorch DataLoader."""
    return streams.torch_stream(recipe, args)


def stage_times(
    recipe: OpenCVRecipe, opened: PersonRecords, repeats: int
) -> dict[str, float]:
    """Mean milliseconds of each step of one sample, in this process."""
    cv2.setNumThreads(1)
    random.seed(0)
    rng = np.random.default_rng(0)
    number, *person = recipe._rows[0]
    data = recipe._images[number].read_bytes()
    image = streams.decode(data, cv2.IMREAD_COLOR)
    crop, _ = opencv_crop(image, *person)
    sample = opened[0]
    transform = persons.make_train_transform(
        persons.PoseCropOptions(crop_size=SIZE), opened.info
    )
    # Persons of other images by turns: the last image read is kept.
    turns = itertools.cycle(range(0, len(opened), max(1, len(opened) // 16)))
    steps = {
        "decode": lambda: streams.decode(data, cv2.IMREAD_COLOR),
        "peer: warp": lambda: opencv_crop(image, *person),
        "peer: normalise": lambda: np.ascontiguousarray(
            streams.official_normalise(crop).transpose(2, 0, 1)
        ),
        "ours: read record and decode": lambda: opened[next(turns)],
        "ours: transform": lambda: transform(sample, rng),
    }
    return {
        name: streams.mean_milliseconds(step, repeats) for name, step in steps.items()
    }


def measure(args: argparse.Namespace, work: Path) -> dict:
    """Generates the data, runs all sides in turn, returns all figures."""
    folder = work / "photographs"
    write_photographs(folder, args)
    registry.prepare("keypoints_coco", work / "prepared", folder, save_as=DATA_SET)
    opened = PersonRecords(records.open_records(DATA_SET, work / "prepared", "train"))
    samples = (opened[index] for index in range(len(opened)))
    rows = [
        (
            int(sample["image_number"]) - 1,
            np.array(sample["box"]),
            np.array(sample["points"]),
            np.array(sample["annotated"], bool),
        )
        for sample in samples
    ]
    recipe = OpenCVRecipe(folder, rows)
    result = {
        "arguments": {key: str(value) for key, value in vars(args).items()},
        "cores": os.cpu_count(),
        "opencv": cv2.__version__,
        "persons": len(rows),
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
    streams.add_arguments(parser, images=512, batch_size=32)
    parser.add_argument(
        "--side", type=int, default=640, help="side of the photographs, in pixels"
    )
    return streams.parse(parser)


def main() -> None:
    """Measures and prints."""
    streams.report(measure, parse_arguments())


if __name__ == "__main__":
    main()
