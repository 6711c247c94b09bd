"""Command lines that take an experiment file: `--config=FILE:options --config.key=value`."""

import os
import sys

from absl import flags
from ml_collections import config_flags

from hrnet_jax.config import command_line


def parse(argv: list[str], description: str) -> list[str]:
    """Reads the flags; help exits with 0, a mistake with one line and 2.

    The flag `config` has to be defined by `config_flags.DEFINE_config_file`.

    Args:
        argv: the command line, the program's name first.
        description: what `--help` says above the list of flags.

    Returns:
        What is no flag, the program's name first.
    """
    if {"--help", "-h"} & set(argv[1:]):
        sys.stdout.write(f"{description}\n{flags.FLAGS.main_module_help()}\n")
        sys.exit()
    try:
        rest = flags.FLAGS(argv)
        path = config_flags.get_config_filename(flags.FLAGS["config"])
    except (flags.Error, AttributeError) as error:
        lines = str(error).strip('"').replace("\\n", "\n").strip().splitlines()
        # An experiment's own error comes with the traceback that led to it.
        own = [line for line in lines if "ConfigError: " in line]
        text = own[-1].partition("ConfigError: ")[2] if own else " ".join(lines)
        _refuse(text)
    path = path.partition(":")[0]
    if not os.path.isfile(path):
        _refuse(f"--config={path}: no such file")
    return rest


def _refuse(text: str) -> None:
    sys.stderr.write(f"error: {text}\n")
    sys.exit(command_line.INPUT_ERROR)
