"""Draws the curves of one or several runs.

    python scripts/plot.py --workdir runs/a runs/b --out=ab.png
    python scripts/plot.py --workdir runs/a --metric loss mean_iou iou/Car --out=a.svg
    python scripts/plot.py --workdir runs/a --list

Without --metric: the training loss, the metric that ranks the checkpoints of each run,
and the learning rate. Runs may be of different tasks, and may still be training. Every
finished run also has its own curves.png.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys

from hrnet_jax.config import command_line


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", nargs="+", required=True, help="runs to compare")
    parser.add_argument(
        "--metric",
        nargs="+",
        default=[],
        metavar="NAME",
        help="what to draw, a panel for each: mean_iou, loss, eval/iou/Car, ...",
    )
    parser.add_argument("--out", help="picture to write, .png, .svg or .pdf")
    parser.add_argument(
        "--smooth",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="average training metrics with this weight of the past, 0.9 say (0: not)",
    )
    parser.add_argument(
        "--list", action="store_true", help="list the metrics of the runs, and stop"
    )
    arguments = parser.parse_args()
    if not arguments.out and not arguments.list:
        parser.error("give --out, the picture to write, or --list")
    return arguments


def main() -> None:
    """Draws one picture, or lists what could be drawn."""
    arguments = parse_arguments()
    with command_line.reporting_errors():
        # Late, so that help need not wait for matplotlib.
        from hrnet_jax.training.curves import draw_curves
        from hrnet_jax.training.recorded import list_metrics, read_recorded

        if arguments.list:
            runs = [read_recorded(workdir) for workdir in arguments.workdir]
            sys.stdout.write(f"{list_metrics(runs)}\n")
            return
        remarks = draw_curves(
            arguments.workdir,
            arguments.out,
            arguments.metric,
            smooth=arguments.smooth,
        )
        sys.stderr.writelines(f"note: {remark}\n" for remark in remarks)
    sys.stdout.write(f"{arguments.out}\n")


if __name__ == "__main__":
    main()
