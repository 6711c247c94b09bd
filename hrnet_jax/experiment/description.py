"""Every key of a configuration in words, for the terminal."""

import textwrap

import ml_collections

from hrnet_jax.experiment.defaults import value_of
from hrnet_jax.experiment.schema import keys_of_run

_WIDTH = 88
_INDENT = "    "


def describe(config: ml_collections.ConfigDict) -> str:
    """A line for every key with its value and its type, and below it what it means.

    Args:
        config: of a whole run.

    Raises:
        ConfigError: for an unknown task.
    """
    lines = []
    for key in keys_of_run(config.task):
        lines.append(f"{key.dotted}: {key.kind} = {value_of(config, key.dotted)!r}")
        lines += textwrap.wrap(
            key.meaning, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT
        )
    return "\n".join([*lines, ""])
