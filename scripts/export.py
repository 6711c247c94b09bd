"""Writes a trained model as one file that runs without this package.

    python scripts/export.py --workdir=runs/camvid --out=camvid.stablehlo
    python scripts/export.py --workdir=runs/camvid --out=camvid.onnx --size=360x480
    python scripts/export.py --workdir=hf://OWNER/NAME --out=theirs.stablehlo

StableHLO files take images of any size and run on CPUs, CUDA GPUs and TPUs through
`jax.export.deserialize`, ONNX files take images of one size; both any batch. Files of
detectors hold detections and take images on a canvas of one size:

    python scripts/export.py --workdir=runs/pets --out=pets.onnx --size=800x1344

Norms are folded into the convolutions. The file is checked against the model before
it is kept; <out>.json beside it describes inputs and outputs.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys

from hrnet_jax.config import command_line
from hrnet_jax.errors import ConfigError


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workdir",
        required=True,
        help="work directory of a run or conversion, a file of PyTorch weights (.pth, "
        ".safetensors, ...), its https:// address or hf://OWNER/NAME",
    )
    parser.add_argument("--out", required=True, help="a .stablehlo or .onnx file")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file that is there already"
    )
    parser.add_argument("--step", default="best", help="best, latest or a number")
    _add_form(parser)
    return command_line.parse_with_changes(parser)


def _add_form(parser: argparse.ArgumentParser) -> None:
    """Adds the options of inputs and outputs, and of the check."""
    parser.add_argument(
        "--input",
        default="uint8",
        metavar="TYPE",
        help="uint8 images, normalised by the model, or float32 normalised ones",
    )
    parser.add_argument(
        "--upsample",
        action=argparse.BooleanOptionalAction,
        help="whether logits of segmentation have the size of the image (default) or "
        "a quarter",
    )
    parser.add_argument(
        "--auxiliary",
        action="store_true",
        help="also export the outputs of auxiliary heads",
    )
    parser.add_argument(
        "--layout",
        default="nhwc",
        help="nhwc or, for ONNX alone, nchw; of images and maps",
    )
    parser.add_argument(
        "--size",
        type=image_size,
        help="HxW of the images, of detectors of the canvas; ONNX and detectors need it",
    )
    parser.add_argument(
        "--check_size",
        type=image_size,
        default=(256, 256),
        help="HxW of the images of the check where --size is not given",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        help="largest error accepted, in standard deviations of an output "
        "(default: 1e-5; of detectors 5e-5)",
    )
    parser.add_argument(
        "--nms",
        default="operator",
        help="of detectors: operator, the file holds what non-maximum suppression "
        "leaves; or caller, all candidates before it",
    )
    parser.add_argument(
        "--platforms", default="cpu,cuda,tpu", help="that a StableHLO file runs on"
    )


def image_size(text: str) -> tuple[int, int]:
    """Height and width from text such as 360x480."""
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected 360x480")
    return int(height), int(width)


def main() -> None:
    """Exports and says how well the file does."""
    arguments = parse_arguments()
    with command_line.reporting_errors():
        # Late, so that help need not wait for JAX.
        from hrnet_jax import runtime
        from hrnet_jax.conversion.opening import load_run
        from hrnet_jax.export.opening import is_exported, named_model
        from hrnet_jax.export.writing import ExportOptions, check_request, export_model

        options = ExportOptions(
            input=arguments.input,
            size=arguments.size,
            upsample=arguments.upsample,
            auxiliary=arguments.auxiliary,
            layout=arguments.layout,
            nms=arguments.nms,
            platforms=tuple(arguments.platforms.split(",")),
        )
        if is_exported(arguments.workdir):
            raise ConfigError(
                f"{arguments.workdir} is an exported file already; expected the run that "
                "it was exported from"
            )
        request = arguments.out, options
        check_request(None, *request, overwrite=arguments.overwrite)
        model = named_model(arguments.workdir)
        check_request(model, *request, overwrite=arguments.overwrite)
        runtime.enable_compilation_cache()
        runtime.report_unused_accelerator()
        run = load_run(arguments.workdir, arguments.step, changes=arguments.changes)
        check = export_model(
            run,
            *request,
            check_size=arguments.check_size,
            tolerance=arguments.tolerance,
            overwrite=arguments.overwrite,
        )
    sys.stdout.write(f"{arguments.out}: {check}\n")


if __name__ == "__main__":
    main()
