"""Command lines that take an experiment file: `--config=FILE:options --config.key=value`."""

import re
import sys

import ml_collections
from absl import flags
from ml_collections import config_flags

from hrnet_jax.config import command_line
from hrnet_jax.config.assignments import check_key
from hrnet_jax.errors import ConfigError

# `--config.key=value`, `--config.key value`, `--noconfig.key`.
_CHANGE = re.compile(r"--?(?:no)?config\.([^=]*)")


def parse(argv: list[str], description: str) -> list[str]:
    """Reads the flags; help exits with 0, a mistake with one line and 2.

    Args:
        argv: the command line, the program's name first.
        description: what `--help` says above the list of flags.

    Returns:
        The program's name, and what `with_changes` takes.
    """
    if {"--help", "-h"} & set(argv[1:]):
        sys.stdout.write(f"{description}\n{flags.FLAGS.main_module_help()}\n")
        sys.exit()
    flags.FLAGS.set_gnu_getopt(True)  # what comes after a change is read as well
    try:
        rest = flags.FLAGS(argv, known_only=True)
        flags.FLAGS([argv[0], *(text for text in rest[1:] if _is_unknown(text))])
    except flags.Error as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(command_line.INPUT_ERROR)
    return rest


def with_changes(
    config: ml_collections.ConfigDict, changes: list[str]
) -> ml_collections.ConfigDict:
    """The configuration with changes of the command line.

    Args:
        config: has every key that may be changed.
        changes: `--config.batch_size=4`, as `parse` returns them.

    Raises:
        ConfigError: for a key that is not there, a value of another type, or an
            argument that changes nothing.
    """
    for key in changed_keys(changes):
        check_key(key, config)
    values, line = flags.FlagValues(), ["", *changes]
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=line)
    try:
        rest = values(line)
    except (flags.Error, TypeError, ValueError) as error:
        raise ConfigError(" ".join(str(error).split())) from None
    if len(rest) > 1:
        raise ConfigError(f"unexpected argument {rest[1]!r}")
    return values.config


def changed_keys(changes: list[str]) -> tuple[str, ...]:
    """The dotted keys that changes of a command line name, as `parse` returns them."""
    return tuple(change[1] for change in map(_CHANGE.match, changes) if change)


def _is_unknown(text: str) -> bool:
    """Whether an argument that was not read is a flag, but none of a configuration."""
    return text.startswith("--") and not _CHANGE.match(text)
