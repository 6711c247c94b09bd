"""Shared parts of benchmarks of the host side: batch streams and their rates."""

import argparse
import functools
import itertools
import json
import pathlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sized

import cv2
import numpy as np

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
# Batches per worker that pass before the clock starts.
WARM_UP = 2
# Batches per worker that a DataLoader prepares ahead (its own default).
TORCH_READ_AHEAD = 2


def decode(data: bytes, mode: int) -> np.ndarray:
    """Decodes the bytes of an image file with OpenCV."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), mode)


def official_normalise(image: np.ndarray) -> np.ndarray:
    """BGR uint8 to normalised RGB float32."""
    image = image.astype(np.float32)[:, :, ::-1]
    image = image / 255.0
    image -= MEAN
    image /= STD
    return image


def _start_peer_worker(index: int) -> None:
    cv2.setNumThreads(1)
    random.seed(index)


def torch_stream(dataset: Sized, args: argparse.Namespace) -> Iterator:
    """Batches of a PyTorch DataLoader, more than are taken by the read-ahead."""
    import torch.utils.data

    batches = args.batches + (WARM_UP + TORCH_READ_AHEAD) * args.workers
    sampler = torch.utils.data.RandomSampler(
        dataset, num_samples=batches * args.batch_size
    )
    loader = torch.utils.data.DataLoader(
        dataset,
        args.batch_size,
        sampler=sampler,
        num_workers=args.workers,
        prefetch_factor=TORCH_READ_AHEAD,
        worker_init_fn=_start_peer_worker,
        multiprocessing_context="spawn",
    )
    return iter(loader)


def images_per_second(start_stream: Callable, args: argparse.Namespace) -> float:
    """Rate of a fresh stream while nothing else runs.

    Batches are taken as fast as they come, so none wait in a queue when the
    clock starts.
    """
    stream = start_stream(args)
    _skip(stream, WARM_UP * args.workers)
    start = time.perf_counter()
    _skip(stream, args.batches)
    seconds = time.perf_counter() - start
    if hasattr(stream, "close"):
        stream.close()
    else:
        _skip(stream, None)  # a DataLoader stops its workers quietly at the end
    return args.batches * args.batch_size / seconds


def _skip(stream: Iterator, count: int | None) -> None:
    for _ in itertools.islice(stream, count):
        pass


def rates_by_turns(
    sides: dict[str, Callable], args: argparse.Namespace
) -> dict[str, object]:
    """Images per second of `ours` and the peers, by turns, and ours over each's.

    Args:
        sides: name -> what starts a stream; one is `ours`, and one `peer`.
        args: of the command line.

    Returns:
        The rates; `ratio` is that to `peer`, `ratio_to` those to any other peers.
    """
    rates = {name: [] for name in sides}
    for _ in range(args.repetitions):
        for name, start_stream in sides.items():
            rates[name].append(images_per_second(start_stream, args))
    median = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {name: median["ours"] / value for name, value in median.items()}
    result = {
        "images_per_second": rates,
        "images_per_second_per_worker": {
            name: value / args.workers for name, value in median.items()
        },
        "ratio": ratios.pop("peer"),
    }
    del ratios["ours"]
    return result | ({"ratio_to": ratios} if ratios else {})


def mean_milliseconds(step: Callable, repeats: int) -> float:
    """Mean time of one call."""
    step()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return 1e3 * (time.perf_counter() - start) / repeats


def add_arguments(parser: argparse.ArgumentParser, **defaults: int) -> None:
    """The arguments of every benchmark here; each must be positive."""
    add = functools.partial(parser.add_argument, type=int)
    add("--images", default=defaults["images"], help="number of generated images")
    add("--workers", default=2, help="worker processes of each side")
    add("--batch_size", default=defaults["batch_size"], help="images per batch")
    add("--batches", default=12, help="timed batches of one repetition")
    add("--repetitions", default=3, help="turns of each side; medians are compared")
    add("--stage_repeats", default=20, help="samples timed step by step")


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line, with `--out` as well; ends with a message where it is wrong."""
    parser.add_argument("--out", type=pathlib.Path, help="JSON file for all figures")
    args = parser.parse_args()
    check_arguments(parser, args)
    return args


def report(
    measure: Callable[[argparse.Namespace, pathlib.Path], dict],
    args: argparse.Namespace,
) -> None:
    """Measures in a folder that is gone afterwards; prints the figures, writes `--out`."""
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args, pathlib.Path(folder))
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends with a message if a whole number is not positive."""
    for name, value in vars(args).items():
        if isinstance(value, int) and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
