"""The command line of all launchers: options, `--`, and the command that they start."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from hrnet_jax.config.command_line import reporting_errors
from hrnet_jax.launching.job import EXTRAS, Job, make_job
from hrnet_jax.launching.shell import Shell

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all launchers have.

    Args:
        description: docstring of the script.
    """
    parser = argparse.ArgumentParser(
        usage="%(prog)s [options] -- SCRIPT.py [arguments]",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", required=True, help="of what is rented, such as w48")
    parser.add_argument(
        "--topology", required=True, help="slice, such as v5e:4x4 or v5litepod-16"
    )
    parser.add_argument("--spot", action="store_true", help="cheaper, may be preempted")
    parser.add_argument(
        "--extras",
        default=EXTRAS,
        help=f"of the project, to be installed there (default: {EXTRAS})",
    )
    parser.add_argument(
        "--dry_run",
        action="store_true",
        help="print every command and file, run and write nothing",
    )
    return parser


def launch(
    parser: argparse.ArgumentParser,
    options: type[Options],
    start: Callable[[Job, Options, Shell], int],
) -> None:
    """Reads the command line, launches its job, and ends with the exit code.

    Args:
        parser: of `make_parser`, with an option for each field of `options`.
        options: dataclass of the launcher.
        start: launches a job, or shows how, and returns an exit code.
    """
    arguments, command = _parse(parser, sys.argv[1:])
    with reporting_errors():
        job = make_job(
            arguments.name, arguments.topology, arguments.extras, tuple(command)
        )
        chosen = {
            field.name: getattr(arguments, field.name)
            for field in dataclasses.fields(options)
        }
        code = start(job, options(**chosen), Shell(arguments.dry_run))
    sys.exit(code)


def _parse(
    parser: argparse.ArgumentParser, argv: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """Options of a launcher and, after `--`, the command that it starts."""
    cut = argv.index("--") if "--" in argv else len(argv)
    arguments, command = parser.parse_args(argv[:cut]), [*argv[cut + 1 :]]
    if not command:
        parser.error("expected a command after --, such as scripts/train.py ...")
    return arguments, command
