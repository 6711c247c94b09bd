"""Shared parts of all command lines: overrides, readable logs, one-line errors."""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging as absl_logging

from hrnet_jax.config.script import INPUT_ERROR
from hrnet_jax.errors import ConfigError, in_one_line

_OVERRIDE = "--config."


def parse_with_changes(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Reads a command line that may change keys of a run's configuration.

    They are written as `scripts/train.py` takes them, `--config.KEY=VALUE`; `--set
    KEY=VALUE` is the same. `changes` of the result lists them as `KEY=VALUE`.
    """
    group = parser.add_argument_group(
        "configuration",
        "--config.KEY=VALUE changes a key of the run's configuration, for example "
        "--config.eval.inference.flip=true; may be repeated.",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="the same as --config.KEY=VALUE",
    )
    return parser.parse_args([_as_set(argument) for argument in sys.argv[1:]])


def _as_set(argument: str) -> str:
    if argument.startswith(_OVERRIDE):
        return f"--set={argument.removeprefix(_OVERRIDE)}"
    return argument


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Shows our log lines; turns a user's error into one line and exit code 2.

    For commands that work alone: started as one of several processes they refuse,
    as each would do all of the work.
    """
    show_log()
    with _ending_in_one_line():
        _refuse_company()
        yield


@contextlib.contextmanager
def reporting_errors_together(*, saves_on_sigterm: bool = False) -> Iterator[None]:
    """Like `reporting_errors`, for commands that may be one of several processes.

    Joins the others, if the environment says so, before JAX is used; see
    `hrnet_jax.runtime.processes` and `hrnet_jax.runtime.failures`.

    Args:
        saves_on_sigterm: SIGTERM asks for a stop instead of ending the process.
    """
    # Not above: reading a command line should not have to wait for JAX.
    from hrnet_jax.runtime import failures, processes

    show_log()
    with _ending_in_one_line():
        processes.join(saves_on_sigterm=saves_on_sigterm)
        with failures.ending_together():
            yield


@contextlib.contextmanager
def _ending_in_one_line() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        message = in_one_line(error)
        if message is None:
            raise
        sys.stderr.write(f"error: {message}\n")
        sys.exit(INPUT_ERROR)


def _refuse_company() -> None:
    count = os.environ.get("HRNET_JAX_PROCESSES", "")
    if count not in ("", "1"):
        raise ConfigError(
            f"HRNET_JAX_PROCESSES={count}, but this command works in one process; "
            "only train.py and evaluate.py know what to do in several"
        )


def show_log() -> None:
    """Prints this package's log to standard error and quiets the libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it announces itself
    absl_logging.set_verbosity(absl_logging.ERROR)
    if not isinstance(sys.unraisablehook, _WithoutAbandoned):
        sys.unraisablehook = _WithoutAbandoned(sys.unraisablehook)
    logger = logging.getLogger("hrnet_jax")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)


class _WithoutAbandoned:
    """Keeps back what Orbax cannot catch: answers to reads and writes it gave up.

    After one of many failed, on a full disk say, it closes the loop that waits for
    the others. The failure itself has reached the caller.
    """

    def __init__(self, before: Callable[[Any], object]):
        self._before = before

    def __call__(self, unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            self._before(unraisable)
