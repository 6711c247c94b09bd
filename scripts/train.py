"""Trains a model from an experiment file.

    python scripts/train.py --config=experiments/quickstart.py --workdir=runs/a

Any key of the experiment can be set: --config.batch_size=4. The same command
goes on after an interruption. Exit codes: 0 finished, 2 wrong input (one line
says what), 75 stopped by SIGTERM with everything saved: run it again.
"""

import os
import sys

from absl import app, flags
from ml_collections import config_flags

from hrnet_jax import command_line
from hrnet_jax.training.interruption import EXIT_CODE, Interrupted
from hrnet_jax.training.train import train

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment file, with options after a colon."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything of the run goes.")


def parse_flags(argv: list[str]) -> list[str]:
    """Reads the flags; help exits with 0, a mistake with one line and 2."""
    if {"--help", "-h"} & set(argv[1:]):
        sys.stdout.write(f"{__doc__}\n{flags.FLAGS.main_module_help()}\n")
        sys.exit()
    try:
        rest = flags.FLAGS(argv)
        path = config_flags.get_config_filename(flags.FLAGS["config"])
    except (flags.Error, AttributeError) as error:
        lines = str(error).strip('"').replace("\\n", "\n").strip().splitlines()
        # An experiment's own error comes with the traceback that led to it.
        own = [line for line in lines if "ConfigError: " in line]
        text = own[-1].partition("ConfigError: ")[2] if own else " ".join(lines)
        sys.stderr.write(f"error: {text}\n")
        sys.exit(command_line.INPUT_ERROR)
    path = path.partition(":")[0]
    if not os.path.isfile(path):
        sys.stderr.write(f"error: --config={path}: no such file\n")
        sys.exit(command_line.INPUT_ERROR)
    return rest


def main(argv: list[str]) -> None:
    """Runs the experiment."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}")
    with command_line.reporting_errors():
        try:
            metrics = train(_CONFIG.value, _WORKDIR.value)
        except Interrupted as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(EXIT_CODE)
    for name, value in metrics.items():
        sys.stdout.write(f"{name:24} {value:.4f}\n")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    app.run(main, flags_parser=parse_flags)
