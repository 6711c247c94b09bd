"""Predicts for images with a trained, converted or exported model.

    python scripts/predict.py --workdir=runs/camvid --images=street.jpg --out=out
    python scripts/predict.py --workdir=runs/camvid --images='photos/*.png' --out=out
    python scripts/predict.py --workdir=camvid.onnx --images=street.jpg --out=out

Takes a file, a folder or a glob, images of any size. Writes pictures of what was
found in each image (segmentation: the raw label map, a colour map, an overlay and
panels with a legend) and one summary.json. Official .pth files: see
scripts/convert.py.
"""

import argparse
import pathlib
import sys

from hrnet_jax import command_line, runtime
from hrnet_jax.inference.exported import FORMATS, open_exported
from hrnet_jax.inference.folder import SUMMARY_FILE, find_images, predict_files
from hrnet_jax.inference.workdir import load_run


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workdir",
        required=True,
        help="work directory of a run or conversion, or a file of scripts/export.py",
    )
    parser.add_argument("--images", required=True, help="file, folder or glob")
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--step", default="best", help="best, latest or a number")
    parser.add_argument(
        "--pad_multiple",
        type=int,
        default=1,
        help="pad sides to multiples of this, so that similar sizes compile once",
    )
    return parser.parse_args()


def main() -> None:
    """Predicts and says where the results are."""
    arguments = parse_arguments()
    with command_line.reporting_errors():
        images = find_images(arguments.images)
        runtime.enable_compilation_cache()
        if pathlib.Path(arguments.workdir).suffix in FORMATS:
            run = open_exported(arguments.workdir)
        else:
            run = load_run(
                arguments.workdir, arguments.step, pad_multiple=arguments.pad_multiple
            )
        predict_files(run, images, arguments.out)
    sys.stdout.write(
        f"{len(images)} images labelled, see {arguments.out}/{SUMMARY_FILE}\n"
    )


if __name__ == "__main__":
    main()
