"""Turns an official PyTorch checkpoint into a work directory, or back.

    python scripts/convert.py --weights=hrnet_w48_cityscapes.pth \
        --model=segmentation/w48 --classes=cityscapes --workdir=runs/w48
    python scripts/predict.py --workdir=runs/w48 --images=street.jpg --out=out

    python scripts/convert.py --workdir=runs/camvid --to_torch=camvid.pth

Nothing in a .pth file is ever executed; a file that needs that is refused.
"""

import argparse
import pathlib
import sys

from hrnet_jax import command_line
from hrnet_jax.inference.conversion import export_torch, import_torch


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, help="work directory")
    parser.add_argument("--weights", help="official .pth file to read")
    parser.add_argument("--to_torch", help=".pth file to write")
    parser.add_argument("--model", help="for example segmentation/w48")
    parser.add_argument(
        "--classes",
        help="data set whose class names and colours apply (cityscapes, camvid), or "
        "a text file with one name a line; by default classes are numbered",
    )
    parser.add_argument(
        "--align_corners",
        action="store_true",
        help="the weights were trained with aligned corners (ADE20K, COCO-Stuff)",
    )
    parser.add_argument(
        "--inplace_abn",
        action="store_true",
        help="trained with InPlaceABN (master branch, files ending in _torch04)",
    )
    parser.add_argument("--step", default="best", help="checkpoint to write from")
    arguments = parser.parse_args()
    if bool(arguments.weights) == bool(arguments.to_torch):
        parser.error("give one of --weights and --to_torch")
    if arguments.weights and not arguments.model:
        parser.error("--weights needs --model")
    return arguments


def main() -> None:
    """Converts in the direction asked for."""
    arguments = parse_arguments()
    with command_line.reporting_errors():
        if arguments.to_torch:
            count = export_torch(arguments.workdir, arguments.step, arguments.to_torch)
            sys.stdout.write(f"{count} tensors written to {arguments.to_torch}\n")
            return
        count = import_torch(
            pathlib.Path(arguments.weights),
            arguments.workdir,
            arguments.model,
            classes=arguments.classes or "",
            align_corners=arguments.align_corners,
            inplace_abn=arguments.inplace_abn,
        )
        sys.stdout.write(f"{count} of {count} tensors converted\n")


if __name__ == "__main__":
    main()
