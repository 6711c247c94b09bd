"""Share of a landmark training step that targets and decoding take on the device.

    python -m benchmarks.landmark_targets --model landmarks/w18 --batch 8

Times, in turns in one process: the whole training step of the recipe (normalisation,
network, targets, loss, Adam), making the target heatmaps alone, and each decoding
alone. Inside the step, targets are fused with the loss and cost less than alone.
"""

import argparse
import functools
import json
import pathlib
import statistics

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import streams
from benchmarks.timing import alternate
from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.point_sets import POINT_SETS
from hrnet_jax.experiment.sections import OptimizerOptions, ScheduleOptions
from hrnet_jax.keypoints.decoding import METHODS, decode
from hrnet_jax.keypoints.landmarks import LandmarkTask
from hrnet_jax.keypoints.losses import LossOptions
from hrnet_jax.keypoints.transforms import AugmentationOptions
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.registry import create_model
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.schedules import make_schedule
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step


def make_task(args: argparse.Namespace) -> LandmarkTask:
    """The task of the benchmark."""
    chosen = POINT_SETS[args.points]
    info = DatasetInfo("benchmark", 0, (), (), point_names=chosen.names)
    return LandmarkTask(
        create_model(args.model, num_points=args.points),
        info,
        AugmentationOptions(crop_size=(args.size, args.size)),
        LossOptions(sigma=1.5),
    )


def make_batch(args: argparse.Namespace) -> dict[str, jax.Array]:
    """Noise with points anywhere."""
    rng = np.random.default_rng(0)
    shape = (args.batch, args.points)
    images = rng.integers(0, 256, (args.batch, args.size, args.size, 3), np.uint8)
    return {
        "image": jnp.asarray(images),
        "points": jnp.asarray(rng.uniform(0, args.size, (*shape, 2)), jnp.float32),
        "visible": jnp.ones(shape, jnp.uint8),
        "annotated": jnp.ones(shape, jnp.uint8),
    }


def measure(args: argparse.Namespace) -> dict:
    """Times everything in turns."""
    task, batch = make_task(args), make_batch(args)
    mesh = runtime.make_mesh(1)
    schedule = make_schedule(ScheduleOptions(name="constant", learning_rate=1e-4), 1)
    optimizer = make_optimizer(OptimizerOptions(name="adam", weight_decay=0), schedule)
    state = create_state(initial_variables(task.model, 0), optimizer)
    step = make_train_step(task.loss, optimizer, schedule, mesh)
    _, compiled = runtime.compile_ahead(step, state, batch)
    held = [state]

    def train():
        held[0], scalars = compiled(held[0], batch)
        jax.block_until_ready(scalars)

    side = args.size // 4
    targets = runtime.jit(lambda batch: task.targets(batch, (side, side)))
    heatmaps = targets(batch)[0]
    runners = {"training step": train}
    runners["targets"] = lambda: jax.block_until_ready(targets(batch))
    for method in METHODS:
        function = runtime.jit(functools.partial(decode, method=method))
        runners[f"decode, {method}"] = functools.partial(_wait, function, heatmaps)
    times = alternate(runners, rounds=args.rounds, calls=args.calls)
    median = {name: statistics.median(values) for name, values in times.items()}
    whole = median["training step"]
    return {
        "arguments": {key: str(value) for key, value in vars(args).items()},
        "device": jax.devices()[0].device_kind,
        "milliseconds": {name: 1e3 * value for name, value in median.items()},
        "percent_of_a_training_step": {
            name: 100 * value / whole for name, value in median.items()
        },
    }


def _wait(function, heatmaps: jax.Array) -> None:
    jax.block_until_ready(function(heatmaps))


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = functools.partial(parser.add_argument, type=int)
    parser.add_argument("--model", default="landmarks/w18")
    add("--batch", default=8, help="images of a step")
    add("--size", default=256, help="side of the crops in pixels")
    add("--points", default=68, choices=sorted(POINT_SETS), help="landmarks")
    add("--rounds", default=5, help="turns of each program")
    add("--calls", default=3, help="calls of a turn")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file for all figures")
    args = parser.parse_args()
    streams.check_arguments(parser, args)
    return args


def main() -> None:
    """Measures and prints."""
    args = parse_arguments()
    text = json.dumps(measure(args), indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
