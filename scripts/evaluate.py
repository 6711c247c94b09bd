"""Evaluates a checkpoint of a run on its test split.

    python scripts/evaluate.py --workdir=runs/camvid --step=best

The run's own configuration is used; any of its keys can be changed, for example
--set dataset.data_dir=/data --set eval.inference.flip=true.
"""

import argparse
import json
import pathlib
import sys

from hrnet_jax import command_line
from hrnet_jax.training.config import override
from hrnet_jax.training.train import CONFIG_FILE, evaluate, read_json


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, help="work directory of a run")
    parser.add_argument("--step", default="best", help="best, latest or a number")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the configuration; may be repeated",
    )
    parser.add_argument("--out", type=pathlib.Path, help="JSON file for the metrics")
    return parser.parse_args()


def main() -> None:
    """Prints the metrics, one a line."""
    arguments = parse_arguments()
    with command_line.reporting_errors():
        config = read_json(pathlib.Path(arguments.workdir) / CONFIG_FILE)
        config = override(config, arguments.set)
        metrics = evaluate(config, arguments.workdir, arguments.step)
    for name, value in metrics.items():
        sys.stdout.write(f"{name:24} {value:.4f}\n")
    if arguments.out:
        arguments.out.write_text(json.dumps(metrics, indent=2) + "\n")


if __name__ == "__main__":
    main()
