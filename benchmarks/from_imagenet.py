"""Steps of an experiment from ImageNet-shaped weights: seconds and memory.

    python benchmarks/from_imagenet.py
    python benchmarks/from_imagenet.py \
        --config experiments/segmentation/cityscapes.py:variant=w18 --batch_size 4

Random weights of the classifier of the same variant are written as a PyTorch file
with the official names, which the run reads through `model.init_from` as it would read
the released ones. It trains on generated `shapes` and leaves nothing behind; the crops,
the loss and the optimizer are the experiment's own. Memory is the most that the process
(on an accelerator, the device) held while training, in 10^9 bytes.
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

import numpy as np

from benchmarks.ending import wrong_input_ends
from hrnet_jax.config.tables import markdown
from hrnet_jax.data.registry import prepare
from hrnet_jax.experiment.loading import load_config
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.pretrained.convert import to_torch
from hrnet_jax.pretrained.files import write_weights_file
from hrnet_jax.registry import create_model
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import train

EXPERIMENT = "experiments/segmentation/cityscapes.py:variant=w48,ocr"


def main(argv: list[str] | None = None) -> None:
    """Trains, and prints a table of one row.

    Raises:
        SystemExit: with code 2 for wrong input.
    """
    parser = argparse.ArgumentParser(
        description="Steps of an experiment from ImageNet-shaped weights."
    )
    parser.add_argument("--config", default=EXPERIMENT, help="FILE:OPTIONS")
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--crop", default="", help="HxW; the experiment's own without")
    options = parser.parse_args(argv)
    with wrong_input_ends(), tempfile.TemporaryDirectory() as folder:
        rows = steps_of(options, pathlib.Path(folder))
    first, last = rows[0], rows[-1]
    seconds = [1 / row["train/steps_per_second"] for row in rows[1:] or rows]
    header = ["steps", "seconds a step (median)", "most GB", "loss, first and last"]
    shown = [
        str(last["step"]),
        f"{np.median(seconds):.3g}",
        f"{max(row['train/memory_gb'] for row in rows):.1f}",
        f"{first['train/loss']:.3f}, {last['train/loss']:.3f}",
    ]
    print(markdown(header, [shown]))


def steps_of(options: argparse.Namespace, folder: pathlib.Path) -> list[dict]:
    """The scalars of each step of a run.

    Args:
        options: `config`, `batch_size`, `steps` and `crop`.
        folder: for weights, data and the run.

    Raises:
        HRNetError: for an experiment or a crop that there is not.
    """
    config = load_config(options.config)
    variant = config.model.name.split("/")[1].removesuffix("_ocr")
    weights = folder / f"imagenet_{variant}.pth"
    classifier = create_model(f"classification/{variant}")
    tensors = to_torch(initial_variables(classifier), classifier)
    write_weights_file(weights, tensors)
    # Enlarged by the scale of the crops; small images are quick to evaluate.
    data = folder / "data"
    prepare("shapes", data, image_size=256, train=8, val=1)
    config.model.init_from = str(weights)
    config.dataset.name, config.dataset.data_dir = "shapes", str(data)
    config.dataset.train_split, config.dataset.eval_split = "train", "val"
    config.dataset.test_split = ""
    config.loss.class_weights = ()
    config.batch_size, config.num_steps = options.batch_size, options.steps
    config.mesh.data = 1
    config.eval.update(every_steps=0, every_epochs=0, batch_size=1, pictures=0)
    config.logging.update(every_steps=1, tensorboard=False)
    if options.crop:
        height, _, width = options.crop.partition("x")
        config.dataset.augmentation.crop_size = int(height), int(width)
    workdir = folder / "run"
    train(config, workdir)
    return [row for row in read_metrics(workdir) if "train/loss" in row]


if __name__ == "__main__":
    main()
