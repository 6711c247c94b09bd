"""Writes one HTML file about runs, to look at in a browser and to send to somebody.

    python scripts/report.py runs/mine
    python scripts/report.py runs/mine runs/again --out=both.html
    python scripts/report.py runs/mine --no_evaluation

Metrics, curves that can be zoomed, tables of classes (or points), the confusion matrix
(or the error distribution), the worst examples beside their truth, what differs from
the default configuration, versions and devices, and the commands that repeat it; of
several runs, side by side. The file holds all its pictures and opens without a network.

The best checkpoint of each run is evaluated on the test split of its configuration, or
on --split. With --no_evaluation the page has what the work directory records: then the
data need not be there, and the run may still train.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys

from hrnet_jax.config import command_line

# As in `hrnet_jax.pages.report`, which takes long to import.
WORST = 20


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="work directories")
    parser.add_argument(
        "--out", default="report.html", help="the file to write (report.html)"
    )
    parser.add_argument("--step", help="best (the default), latest or a number")
    parser.add_argument(
        "--split",
        metavar="NAME[,NAME...]",
        help="splits to evaluate (default: the test split of the configuration)",
    )
    parser.add_argument(
        "--worst",
        type=_count,
        metavar="NUMBER",
        help=f"pictures of the worst examples of each run and split ({WORST})",
    )
    parser.add_argument(
        "--no_evaluation",
        action="store_true",
        help="show what is recorded, without the data and without evaluating",
    )
    arguments = command_line.parse_with_changes(parser)
    if arguments.no_evaluation:
        for name in ("step", "split", "worst", "changes"):
            if getattr(arguments, name) not in (None, []):
                option = "config.KEY=VALUE" if name == "changes" else name
                parser.error(f"--{option} goes with an evaluation")
    return arguments


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {text}")
    return int(text)


def main() -> None:
    """Writes the page and prints its name."""
    arguments = parse_arguments()
    with command_line.reporting_errors():
        # Late, so that help need not wait for JAX.
        from hrnet_jax.pages.report import write_report

        splits = [name.strip() for name in (arguments.split or "").split(",")]
        out = write_report(
            arguments.runs,
            arguments.out,
            step=arguments.step or "best",
            splits=[*filter(None, splits)],
            worst=WORST if arguments.worst is None else arguments.worst,
            changes=arguments.changes,
            evaluation=not arguments.no_evaluation,
        )
    sys.stdout.write(f"{out}\n")


if __name__ == "__main__":
    main()
