"""Serves a page on this machine to drop an image on, and see what a model makes of it.

    python scripts/demo.py runs/mine
    python scripts/demo.py hrnet_cs_8090_torch11.pth --port=8000

Takes the work directory of a run or conversion, a file of PyTorch weights, or a file of
scripts/export.py. The page shows classes over the image with a slider, a legend with
shares and confidence, or the points of faces, and has buttons for the label map, the
picture and the numbers. Images come from files, the clipboard or a camera; they stay on
this machine, and nothing is fetched from elsewhere. Needs the extra [page].

Only this machine can open the page; --host=0.0.0.0 lets others in.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import os
import pathlib
import sys
import tempfile

from hrnet_jax.config import command_line


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model",
        metavar="RUN|WEIGHTS",
        help="work directory, a file of PyTorch weights, or an exported file",
    )
    parser.add_argument("--port", type=int, default=7860, help="of the page (7860)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (127.0.0.1)"
    )
    parser.add_argument("--step", default="best", help="best, latest or a number")
    parser.add_argument(
        "--max_side",
        type=int,
        default=2048,
        help="reduce larger images to this many pixels for the network (2048)",
    )
    parser.add_argument(
        "--pad_multiple",
        type=int,
        default=32,
        help="pad sides to multiples of this, so that similar sizes compile once (32)",
    )
    return command_line.parse_with_changes(parser)


def main() -> None:
    """Serves the page until Ctrl-C."""
    arguments = parse_arguments()
    with (
        command_line.reporting_errors(),
        tempfile.TemporaryDirectory(prefix="hrnet_jax-") as folder,
    ):
        # What is dropped on the page goes with the rest.
        os.environ["GRADIO_TEMP_DIR"] = folder
        # Late, so that help need not wait for them.
        from hrnet_jax.pages.address import check_port

        check_port(arguments.host, arguments.port)
        from hrnet_jax.pages import demo

        answerer = open_answerer(arguments, pathlib.Path(folder))
        demo.serve(answerer, pathlib.Path(folder), arguments.host, arguments.port)


def open_answerer(arguments: argparse.Namespace, folder: pathlib.Path):
    """The model, compiled for images of a camera."""
    from hrnet_jax import runtime
    from hrnet_jax.errors import DataError
    from hrnet_jax.export.opening import open_any
    from hrnet_jax.pages.answers import Answerer

    runtime.enable_compilation_cache()
    runtime.report_unused_accelerator()
    run = open_any(
        arguments.model,
        arguments.step,
        pad_multiple=arguments.pad_multiple,
        changes=arguments.changes,
    )
    answerer = Answerer(run, folder, arguments.max_side)
    sys.stdout.write(f"{run.about['model']}: compiling for images of 640x480 ...\n")
    sys.stdout.flush()
    try:
        sys.stdout.write(f"compiled in {answerer.warm_up():.1f} s\n")
    except DataError as error:  # an exported file that takes another size
        sys.stdout.write(f"not compiled yet: {error}\n")
    return answerer


if __name__ == "__main__":
    main()
