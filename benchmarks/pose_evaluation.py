"""Persons a second of a whole evaluation of poses, over those of its predict step alone.

    python benchmarks/pose_evaluation.py
    python benchmarks/pose_evaluation.py --model w18_small_v1 --photographs 512

Evaluation is what `scripts/evaluate.py` does with COCO: drawn photographs are read and
decoded, persons cut out, predicted with the flip test, decoded, moved back into the
photograph, rescored, suppressed by OKS and given to the evaluator. The step alone takes
one batch that is on the device already. Both take turns; compilation is aside.
"""

import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

    from hrnet_jax.config import arenas

    arenas.share_one_arena()

import argparse
import tempfile

import jax

from benchmarks.ending import wrong_input_ends
from benchmarks.segmentation_protocol import in_turns, parse_size
from hrnet_jax import runtime
from hrnet_jax.config.tables import columns
from hrnet_jax.data.registry import prepare
from hrnet_jax.data.stream.feeding import device_part
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.training import evaluation
from hrnet_jax.training.build import build_task, open_split

LEAST_RATE = 0.9
SIDE = 640  # of the photographs, in pixels


def main(argv: list[str] | None = None) -> None:
    """Prints the ratio.

    Raises:
        SystemExit: with code 2 for wrong input.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="w32", help="variant")
    parser.add_argument("--size", default="256x192", help="HxW of the crops")
    parser.add_argument("--photographs", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16, help="persons in a batch")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    with wrong_input_ends():
        size = parse_size(options.size)
        if min(options.photographs, options.batch, options.repeats) < 1:
            raise ValueError("--photographs, --batch and --repeats must be at least 1")
        with tempfile.TemporaryDirectory() as folder:
            persons, rates = measure(options, size, folder)
    rows = [
        ["", "persons/s", "ratio", "should be"],
        ["predict step", f"{rates[0]:.2f}", "", ""],
        [
            f"evaluation of {persons} persons",
            f"{rates[1]:.2f}",
            f"{rates[1] / rates[0]:.2f}",
            f">= {LEAST_RATE}",
        ],
    ]
    sys.stdout.writelines(f"{line}\n" for line in columns(rows, "lrrr"))


def measure(
    options: argparse.Namespace, size: tuple[int, int], folder: str
) -> tuple[int, list[float]]:
    """Number of persons; persons a second of the step and of the evaluation.

    Args:
        options: of the command line.
        size: (height, width) of crops.
        folder: for the data.
    """
    prepare("figures", folder, image_size=SIDE, train=1, val=options.photographs)
    config = default_config("pose")
    config.model.name = f"pose/{options.model}"
    config.dataset.update({"name": "figures", "data_dir": folder})
    config.dataset.augmentation.crop_size = size
    config.eval.batch_size = options.batch
    config.eval.inference.flip = True
    config.logging.progress = False
    read = read_config(config)
    runtime.enable_compilation_cache()
    mesh = runtime.make_mesh(1, 1)
    records = open_split(read, "val")
    task = build_task(read, records.info)
    predict = evaluation.make_predict_step(task, mesh)
    variables = initial_variables(task.model, 0)
    seen = (predict, task, variables, records, mesh)
    reading = evaluation.reading_options(read, "")
    batch, _ = next(evaluation.predictions_over(*seen, **reading))
    resident = device_part(batch)

    times = in_turns(
        [
            lambda: jax.block_until_ready(predict(variables, resident)),
            lambda: evaluation.evaluator_over(*seen, **reading).compute(),
        ],
        options.repeats,
    )
    # A last batch that is not full takes the device as long.
    batches = -(-len(records) // options.batch)
    return len(records), [
        len(records) / (times[0] * batches),
        len(records) / times[1],
    ]


if __name__ == "__main__":
    main()
