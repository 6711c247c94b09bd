"""Time of the test protocol of segmentation against what it should be.

    python benchmarks/segmentation_protocol.py
    python benchmarks/segmentation_protocol.py --model w48 --size 1024x2048

Two ratios. Several scales with flip: measured time over the time at one scale times the
ratio of the networks' multiply-adds, so 1 if scaling, averaging and all else cost as
little as at one scale. Twenty sizes: pixels a second of photographs of twenty sizes, which
share at most four programs, over those of as many of one size; compilation aside.
"""

import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

    from hrnet_jax.config import arenas

    arenas.share_one_arena()

import argparse
import re
import statistics
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.ending import wrong_input_ends
from hrnet_jax import runtime
from hrnet_jax.config.tables import columns
from hrnet_jax.costs.multiply_adds import multiply_adds
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.inference import Predictor
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.framing import Framing
from hrnet_jax.segmentation.options import InferenceOptions
from hrnet_jax.segmentation.task import SegmentationTask

# Of Cityscapes.
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
MOST_TIME, LEAST_RATE = 1.15, 0.9

# Of photographs with a longer side of 640 pixels: aspect ratios of cameras, some cut.
_SHORT_SIDES = (360, 400, 424, 425, 426, 427, 428, 450, 480, 512)
SIZES = (
    *((side, 640) for side in _SHORT_SIDES),
    *((640, side) for side in _SHORT_SIDES),
)


def main(argv: list[str] | None = None) -> None:
    """Prints both ratios.

    Raises:
        SystemExit: with code 2 for wrong input.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="w18_small_v1", help="width, or w48_ocr")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--size", default="512x1024", help="HxW at scale 1")
    parser.add_argument(
        "--shrink", type=int, default=1, help="divides the twenty sizes"
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    with wrong_input_ends():
        size = parse_size(options.size)
        if min(options.classes, options.shrink, options.repeats) < 1:
            raise ValueError("--classes, --shrink and --repeats must be at least 1")
        runtime.enable_compilation_cache()
        model = create_model(
            f"segmentation/{options.model}", num_classes=options.classes
        )
        variables = initial_variables(model, 0)
        rows = [
            ["", "ratio", "should be"],
            [
                f"{len(SCALES)} scales and flip, time over multiply-adds",
                f"{scales_ratio(model, variables, size, options.repeats):.2f}",
                f"<= {MOST_TIME}",
            ],
        ]
        sizes = [(h // options.shrink, w // options.shrink) for h, w in SIZES]
        ratio, programs = sizes_ratio(model, variables, sizes, options.repeats)
        name = f"{len(set(sizes))} sizes in {programs} programs, rate over one size"
        rows.append([name, f"{ratio:.2f}", f">= {LEAST_RATE}"])
    sys.stdout.writelines(f"{line}\n" for line in columns(rows, "lrr"))


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of `HxW`.

    Raises:
        ValueError: saying what was expected.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise ValueError(f"cannot read size {text!r}; expected HxW, such as 512x1024")
    return int(match[1]), int(match[2])


def predictor_with(model, variables, inference: InferenceOptions) -> Predictor:
    """What is timed."""
    names = tuple(f"class {k}" for k in range(model.num_classes))
    info = DatasetInfo("benchmark", model.num_classes, names, ())
    return Predictor(SegmentationTask(model, info, inference=inference), variables)


def scales_ratio(model, variables, size: tuple[int, int], repeats: int) -> float:
    """Time at `SCALES` with flip over what the time at one scale predicts."""
    several = InferenceOptions(scales=SCALES, flip=True)
    image = _images([size])[0]
    one = predictor_with(model, variables, InferenceOptions())
    all_scales = predictor_with(model, variables, several)
    times = in_turns(
        [lambda: one.predict(image), lambda: all_scales.predict(image)], repeats
    )
    views = Framing(several, aligned=False).own_canvas(size).views
    expected = 2 * sum(_work(model, variables, view) for view in views)
    return times[1] / (times[0] * expected / _work(model, variables, size))


def _work(model, variables, size: tuple[int, int]) -> int:
    """Multiply-adds of the network for one image."""
    inputs = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    return multiply_adds(lambda x: model.apply(variables, x), inputs)


def sizes_ratio(
    model, variables, sizes: Sequence[tuple[int, int]], repeats: int
) -> tuple[float, int]:
    """Pixels a second of images of these sizes over those of one size; programs."""
    predictor = predictor_with(model, variables, InferenceOptions())
    shared = predictor.for_sizes(np.array(sizes))
    middle = sizes[len(sizes) // 4]
    mixed, alike = _images(sizes), _images([middle] * len(sizes))
    times = in_turns(
        [lambda: shared.predict(mixed), lambda: predictor.predict(alike)], repeats
    )
    pixels = [sum(image[..., 0].size for image in images) for images in (mixed, alike)]
    programs = len(set(shared.task.eval_groups(np.array(sizes))))
    return (pixels[0] / times[0]) / (pixels[1] / times[1]), programs


def _images(sizes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def in_turns(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of each, one after the other, after a call that compiles."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


if __name__ == "__main__":
    main()
