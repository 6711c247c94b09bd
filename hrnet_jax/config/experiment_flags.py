"""Command lines that take an experiment file: `--config=FILE:options --config.key=value`."""

import os
import sys

from absl import flags
from ml_collections import config_flags

from hrnet_jax.config import command_line
from hrnet_jax.config.options import unknown_key_message


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
        _check_file(config_flags.get_config_filename(flags.FLAGS["config"]))
    except (flags.Error, AttributeError, KeyError, OSError) as error:
        lines = str(error).strip('"').replace("\\n", "\n").strip().splitlines()
        # An experiment's own error comes with the traceback that led to it.
        own = [line for line in lines if "ConfigError: " in line]
        if not own:
            _check_overrides(argv)
        _refuse(own[-1].partition("ConfigError: ")[2] if own else " ".join(lines))
    return rest


def _check_file(path: str) -> None:
    path = path.partition(":")[0]
    if not os.path.isfile(path):
        _refuse(f"--config={path}: no such file")


def _check_overrides(argv: list[str]) -> None:
    """Refuses the first key that the experiment does not have, if any.

    The library's own message does not name the whole key.
    """
    overrides = [argument for argument in argv if argument.startswith("--config.")]
    rest = [argument for argument in argv if argument not in overrides]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=rest)
    try:
        values(rest, known_only=True)
        _check_file(config_flags.get_config_filename(values["config"]))
    except (flags.Error, AttributeError):
        return  # without an experiment there are no keys
    for override in overrides:
        section, path = values.config, []
        for key in override.removeprefix("--config.").partition("=")[0].split("."):
            path.append(key)
            known = section if hasattr(section, "to_dict") else {}
            if key not in known:
                _refuse(unknown_key_message(".".join(path), key, known))
            section = section[key]


def _refuse(text: str) -> None:
    sys.stderr.write(f"error: {text}\n")
    sys.exit(command_line.INPUT_ERROR)
