"""Shows what a prepared set holds, before training on it.

    python scripts/dataset_report.py --name=my_set --data_dir=data --out=report

Of a segmentation set it prints pixels and images of each class in each split, and
weights of the classes by three rules, and warns of classes that never occur; of a
landmark set on how many faces each point is annotated and in sight, and warns of points
that never are, or are outside their image.
Writes into the folder: shares of the classes (classes.png) or points (points.png),
sizes of the images, and of boxes (sizes.png), images with their labels, or faces with
their points (contact_sheet_SPLIT.png), and all counts (report.json).
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys

from hrnet_jax.config import command_line


def main() -> None:
    """Writes the report and prints its table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--name", required=True, help="name it was prepared under")
    parser.add_argument(
        "--data_dir", required=True, help="folder of all prepared data sets"
    )
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument(
        "--images", type=int, default=24, help="images on a contact sheet (24)"
    )
    arguments = parser.parse_args()
    # Late, so that help need not wait for matplotlib.
    with command_line.reporting_errors():
        from hrnet_jax.inspection.dataset_report import write_dataset_report

        text = write_dataset_report(
            arguments.name, arguments.data_dir, arguments.out, shown=arguments.images
        )
        sys.stdout.write(f"{text}\n\nwritten to {arguments.out}\n")


if __name__ == "__main__":
    main()
