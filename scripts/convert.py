"""Turns PyTorch weights of any code base into a work directory, or back.

    python scripts/convert.py hrnet_w48_cityscapes.pth runs/w48
    python scripts/predict.py --workdir=runs/w48 --images=street.jpg --out=out

    python scripts/convert.py timm.pth.tar runs/w48 --entry=state_dict_ema --overwrite

    python scripts/convert.py encoder_epoch_30.pth decoder_epoch_30.pth runs/ade

    python scripts/convert.py runs/camvid camvid.pth
    python scripts/convert.py runs/camvid camvid.safetensors --convention=mmseg

    python scripts/convert.py --list             # released files that are known
    python scripts/convert.py --list cityscapes
    python scripts/convert.py --fetch hrnet_cs_8090_torch11.pth    # prints its path

    python scripts/convert.py hf://OWNER/NAME runs/theirs    # or an https:// address
    python scripts/convert.py runs/camvid hf://OWNER/camvid --license=apache-2.0

The model is recognised from the names and shapes of the tensors: official
repositories, timm, mmsegmentation, mmdetection, mmpose, mmpretrain, MIT's scene
parsing, HRNet-FCOS, HRNet-MaskRCNN-Benchmark. What they cannot tell comes from the record of the file, by
its name, or from the options below; further attributes of the model are set by
--config.model.options.KEY=VALUE, for example --config.model.options.stride=2. Nothing
in a .pth file is ever executed; a file that needs that is refused.

Fetched files are kept in ~/.cache/hrnet_jax/weights ($HRNET_JAX_WEIGHTS), those of the
hub in its own cache. A run goes to the hub with a model card; that needs a token that
may write, in HF_TOKEN or from `hf auth login`.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import json
import pathlib
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hrnet_jax.config import assignments, command_line
from hrnet_jax.config.tables import columns
from hrnet_jax.errors import ConfigError
from hrnet_jax.storage import paths

if TYPE_CHECKING:
    from hrnet_jax.pretrained.known import KnownFile

# Of the configuration, what a weights file leaves to the user.
_MODEL_OPTIONS = "model.options."
_HUB = "hf://"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source",
        nargs="*",
        metavar="SOURCE... TARGET",
        help="weights file, its https:// address or hf://OWNER/NAME, or several files "
        "that are parts of a network, and new work directory; or work directory and new "
        "weights file, or hf://OWNER/NAME to publish it",
    )
    parser.add_argument(
        "--list",
        nargs="?",
        const="",
        metavar="TEXT",
        help="list known released files whose record contains the text, with the page "
        "that publishes each and the address that --fetch takes it from, and stop",
    )
    parser.add_argument(
        "--fetch",
        nargs="+",
        metavar="FILE",
        help="fetch known released files, or addresses, into the cache, print where "
        "they are, and stop",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a target that is there already: a weights file, or a work "
        "directory that was converted from one before; a repository on the hub gets "
        "another commit",
    )
    add_reading(parser.add_argument_group("reading a file"))
    add_writing(parser)
    arguments = command_line.parse_with_changes(parser)
    if arguments.list is not None or arguments.fetch:
        return arguments
    if len(arguments.source) < 2:
        parser.error("give a source and a target, or --list, or --fetch")
    *arguments.source, arguments.target = arguments.source
    _check_target(parser, arguments)
    return arguments


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Options of the direction from a work directory to a file, or to the hub."""
    writing = parser.add_argument_group("writing a file")
    writing.add_argument("--step", default="best", help="best, latest or a number")
    writing.add_argument(
        "--convention",
        default="official",
        help="naming convention: official, mmseg, ...",
    )
    publishing = parser.add_argument_group("publishing a run on the hub")
    publishing.add_argument(
        "--license",
        default="",
        help="for the model card, as the hub writes it: mit, ...",
    )
    publishing.add_argument(
        "--private", action="store_true", help="a new repository is its owner's alone"
    )


def _check_target(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> None:
    """Refuses sources and targets that do not go together."""
    folders = [source for source in arguments.source if _is_folder(source)]
    if folders and len(arguments.source) > 1:
        parser.error(f"{folders[0]} is a folder; expected files, or one work directory")
    if arguments.target.startswith(("https://", "http://")):
        parser.error(f"{arguments.target}: expected hf://OWNER/NAME to publish to")
    publishes = arguments.target.startswith(_HUB)
    if publishes and not folders:
        parser.error(f"{arguments.source[0]} is no work directory, so not published")
    if publishes and (arguments.changes or arguments.convention != "official"):
        parser.error("a run is published as it is, without --config and --convention")
    if (arguments.license or arguments.private) and not publishes:
        parser.error("--license and --private go with hf://OWNER/NAME as the target")


def _is_folder(source: str) -> bool:
    # Late, as help needs none of it.
    from hrnet_jax.pretrained.sources import is_address

    return not is_address(source) and paths.as_path(source).is_dir()


def add_reading(reading: argparse._ArgumentGroup) -> None:
    """Options of the direction from a file to a work directory."""
    reading.add_argument("--model", help="model, instead of the recognised one")
    reading.add_argument(
        "--record",
        metavar="FILE",
        help="name of the released file, if it was renamed; empty: none",
    )
    reading.add_argument(
        "--entry",
        metavar="NAME",
        help="which network, where a file holds several: the weights and their average, "
        "teacher and student",
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


def list_files(text: str, width: int | None = None) -> str:
    """A table of the records that contain a text.

    Args:
        text: part of a record.
        width: of the terminal; where the table is wider, the facts of each file stand
            below its name. None: a line for each file, however long.
    """
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
            record.address,
            record.source,
            record.page,
        )
        for record in found
    ]
    head = ("file", "model", "outputs", "upsampling", "licence", "published")
    lines = columns([(*head, "address", "source", "page"), *rows])
    if width is not None and max(map(len, lines)) > width:
        lines = [line for row in rows for line in _paragraph(row, width)]
    return "\n".join([*lines, f"{len(found)} of {len(known_files())} released files"])


def _paragraph(row: Sequence[str], width: int) -> list[str]:
    """The name of a file, and its facts and its pages below; only words may be longer."""
    file, model, outputs, *facts, address, source, page = row
    facts.append(source)
    facts = [model, f"{outputs} outputs" if outputs else "", *facts]
    text = "; ".join(filter(None, facts))
    indent = {"initial_indent": "    ", "subsequent_indent": "    "}
    whole = {"break_long_words": False, "break_on_hyphens": False}
    pages = [f"    {place}" for place in (page, address) if place]
    return [file, *textwrap.wrap(text, width, **indent, **whole), *pages]


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


def fetch(names: Sequence[str]) -> Iterator[pathlib.Path]:
    """Fetches released files by their names or addresses; yields where each is.

    Raises:
        WeightsError: for one that cannot be had.
    """
    from hrnet_jax.pretrained.sources import address_of, is_address, locate

    for name in names:
        yield locate(name if is_address(name) else address_of(name)).path


def _publish(arguments: argparse.Namespace) -> None:
    """A work directory to the hub."""
    from hrnet_jax.conversion.publishing import publish

    page, count = publish(
        arguments.source[0],
        arguments.target,
        step=arguments.step,
        licence=arguments.license,
        private=arguments.private,
        overwrite=arguments.overwrite,
    )
    sys.stdout.write(f"{count} tensors published at {page}\n")


def main() -> None:
    """Converts in the direction that the source asks for."""
    arguments = parse_arguments()
    if arguments.list is not None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        sys.stdout.write(list_files(arguments.list, width) + "\n")
        return
    with command_line.reporting_errors():
        if arguments.fetch:
            for path in fetch(arguments.fetch):
                sys.stdout.write(f"{path}\n")
            return
        if arguments.target.startswith(_HUB):
            _publish(arguments)
            return
        # Late, so that help need not wait for JAX.
        from hrnet_jax.conversion.importing import (
            ImportOptions,
            export_weights,
            import_weights,
        )

        if _is_folder(arguments.source[0]):
            count = export_weights(
                arguments.source[0],
                arguments.step,
                arguments.target,
                arguments.convention,
                arguments.changes,
                overwrite=arguments.overwrite,
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
            entry=arguments.entry,
        )
        imported = import_weights(
            arguments.source, arguments.target, options, overwrite=arguments.overwrite
        )
        if arguments.partial:
            sys.stdout.write(imported.moved.report() + "\n")
        sys.stdout.write(f"{imported}\n")


if __name__ == "__main__":
    main()
