"""Draws the curves of one or several runs.

    python scripts/plot.py --workdir runs/a runs/b --metric=mean_iou --out=ab.png

Every finished run also has its own curves.png.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys

from hrnet_jax.config import command_line


def main() -> None:
    """Draws one picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", nargs="+", required=True, help="runs to compare")
    parser.add_argument("--metric", default="mean_iou", help="evaluation metric")
    parser.add_argument("--out", required=True, help="picture to write")
    arguments = parser.parse_args()
    with command_line.reporting_errors():
        # Late, so that help need not wait for matplotlib.
        from hrnet_jax.training.curves import draw_curves

        draw_curves(arguments.workdir, arguments.metric, arguments.out)
    sys.stdout.write(f"{arguments.out}\n")


if __name__ == "__main__":
    main()
