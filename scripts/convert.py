"""Turns PyTorch weights of any code base into a work directory, or back.

    python scripts/convert.py hrnet_w48_cityscapes.pth runs/w48
    python scripts/predict.py --workdir=runs/w48 --images=street.jpg --out=out

    python scripts/convert.py runs/camvid camvid.pth
    python scripts/convert.py runs/camvid camvid.safetensors --convention=mmseg

    python scripts/convert.py --list             # released files that are known
    python scripts/convert.py --list cityscapes

The model is recognised from the names and shapes of the tensors: official
repositories, timm, mmsegmentation, mmdetection, mmpose, mmpretrain, HRNet-FCOS,
HRNet-MaskRCNN-Benchmark. What they cannot tell comes from the record of the file, by
its name, or from the options below; further attributes of the model are set by
--config.model.options.KEY=VALUE, for example --config.model.options.stride=2. Nothing
in a .pth file is ever executed; a file that needs that is refused.
"""

import argparse
import json
import pathlib
import sys
from typing import TYPE_CHECKING

from hrnet_jax.config import assignments, command_line, ctrl_c
from hrnet_jax.config.tables import columns
from hrnet_jax.errors import ConfigError

if TYPE_CHECKING:
    from hrnet_jax.pretrained.known import KnownFile

# Of the configuration, what a weights file leaves to the user.
_MODEL_OPTIONS = "model.options."


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", help="weights file, or work directory")
    parser.add_argument("target", nargs="?", help="new work directory, or file")
    parser.add_argument(
        "--list",
        nargs="?",
        const="",
        metavar="TEXT",
        help="list known released files whose record contains the text, and stop",
    )
    reading = parser.add_argument_group("reading a file")
    reading.add_argument("--model", help="model, instead of the recognised one")
    reading.add_argument(
        "--record",
        metavar="FILE",
        help="name of the released file, if it was renamed; empty: none",
    )
    reading.add_argument(
        "--labels",
        default="",
        help="data set whose class names and colours apply (cityscapes, camvid), or "
        "a text file with one name a line; by default outputs are numbered",
    )
    reading.add_argument(
        "--upsample",
        metavar="METHOD",
        help="upsampling in the exchange: bilinear, align_corners, nearest, ...",
    )
    reading.add_argument(
        "--inplace_abn",
        action=argparse.BooleanOptionalAction,
        help="weights were trained with InPlaceABN (master branch, *_torch04 files)",
    )
    reading.add_argument(
        "--partial",
        action="store_true",
        help="take tensors of the right name and shape, and report every tensor",
    )
    writing = parser.add_argument_group("writing a file")
    writing.add_argument("--step", default="best", help="best, latest or a number")
    writing.add_argument(
        "--convention",
        default="official",
        help="naming convention: official, mmseg, ...",
    )
    arguments = command_line.parse_with_changes(parser)
    if arguments.list is None and not arguments.target:
        parser.error("give a source and a target, or --list")
    return arguments


def list_files(text: str) -> str:
    """A table of the records that contain a text."""
    from hrnet_jax.pretrained.known import known_files

    found = [record for record in known_files() if text in _searchable(record)]
    rows = [
        (
            record.file or "(no file name)",
            record.model,
            "" if record.outputs is None else str(record.outputs),
            record.upsample + (", InPlaceABN" if record.inplace_abn else ""),
            record.licence,
            record.published,
            record.source,
        )
        for record in found
    ]
    head = ("file", "model", "outputs", "upsampling", "licence", "published", "source")
    lines = columns([head, *rows])
    return "\n".join([*lines, f"{len(found)} of {len(known_files())} released files"])


def _searchable(record: "KnownFile") -> str:
    return json.dumps(record.to_json())


def model_options(changes: list[str]) -> dict:
    """`["model.options.stride=2", "levels=5"]` -> {"stride": 2, "levels": 5}.

    Raises:
        ConfigError: for what is not KEY=VALUE, or another key of a configuration.
    """
    names = [change.removeprefix(_MODEL_OPTIONS) for change in changes]
    for name in names:
        if "." in name.partition("=")[0]:
            raise ConfigError(
                f"cannot set {name!r}: a weights file has no configuration yet; "
                f"expected {_MODEL_OPTIONS}KEY=VALUE"
            )
    return assignments.parse(names, "model option")


def main() -> None:
    """Converts in the direction that the source asks for."""
    arguments = parse_arguments()
    if arguments.list is not None:
        sys.stdout.write(list_files(arguments.list) + "\n")
        return
    with command_line.reporting_errors():
        # Late, so that help need not wait for JAX.
        from hrnet_jax.conversion.importing import (
            ImportOptions,
            export_weights,
            import_weights,
        )

        if pathlib.Path(arguments.source).is_dir():
            count = export_weights(
                arguments.source,
                arguments.step,
                arguments.target,
                arguments.convention,
                arguments.changes,
            )
            sys.stdout.write(f"{count} tensors written to {arguments.target}\n")
            return
        options = ImportOptions(
            model=arguments.model,
            record=arguments.record,
            labels=arguments.labels,
            upsample=arguments.upsample,
            inplace_abn=arguments.inplace_abn,
            options=model_options(arguments.changes),
            partial=arguments.partial,
        )
        imported = import_weights(arguments.source, arguments.target, options)
        if arguments.partial:
            sys.stdout.write(imported.moved.report() + "\n")
        sys.stdout.write(f"{imported}\n")


if __name__ == "__main__":
    ctrl_c.ends_this_script()
    main()
