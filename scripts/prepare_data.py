"""Prepares a data set: reads the original files once, writes records.

Examples:
  python scripts/prepare_data.py --dataset=shapes --data_dir=data
  python scripts/prepare_data.py --dataset=shapes --data_dir=data \\
      --option image_size=64 --option train=256 --name=small_shapes
  python scripts/prepare_data.py --dataset=camvid --source=CamVid --data_dir=data
  python scripts/prepare_data.py --dataset=segmentation_folder \\
      --source=my_images --name=my_set --data_dir=data \\
      --option ratios=0.7,0.15,0.15
  python scripts/prepare_data.py --dataset=segmentation_folder \\
      --source=my_masks --name=binary --data_dir=data \\
      --option classes=background,object --option label_map=0:0,255:1
  python scripts/prepare_data.py --dataset=w300 --source=300w --data_dir=data
  python scripts/prepare_data.py --dataset=landmarks_csv \\
      --source=my_faces --name=my_faces --data_dir=data
  python scripts/prepare_data.py --dataset=landmarks_coco \\
      --source=cvat_export --name=hands --data_dir=data \\
      --option annotations=annotations/person_keypoints_default.json

Preparing twice is harmless: the second call finds the records and only prints
the summary.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys
from collections.abc import Sequence

from hrnet_jax.config import assignments, command_line
from hrnet_jax.storage.paths import as_path


def make_parser() -> argparse.ArgumentParser:
    """The command line of this script."""
    from hrnet_jax.data.sources import SOURCES

    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=_options_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--dataset", required=True, help=f"one of: {', '.join(SOURCES)}"
    )
    parser.add_argument(
        "--data_dir", required=True, help="folder of all prepared data sets"
    )
    parser.add_argument("--source", help="folder of the original files")
    parser.add_argument(
        "--name", help="store under this name instead of that of the data set"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the data set, may be repeated; see below",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="prepare again and replace"
    )
    return parser


def run(argv: Sequence[str] | None = None) -> None:
    """Prepares what the command line asks for and prints the summary.

    Raises:
        HRNetError: if an argument or a source file is wrong.
    """
    args = make_parser().parse_args(argv)
    # Late, as in all scripts: what takes long to import can be interrupted.
    from hrnet_jax.data import registry
    from hrnet_jax.data.records import find_prepared
    from hrnet_jax.data.summary import summarize

    name = args.name or args.dataset
    before = find_prepared(name, args.data_dir)
    info = registry.prepare(
        args.dataset,
        args.data_dir,
        args.source,
        args.overwrite,
        save_as=args.name,
        progress=True,
        **assignments.parse(
            args.option, "--option", registry.option_kinds(args.dataset)
        ),
    )
    now = find_prepared(name, args.data_dir)
    if before is not None and not args.overwrite:
        print(f"{name} is already prepared in {now} (--overwrite prepares it again)")
    else:
        print(f"{name} is prepared in {now}")
    print()
    print(summarize(info))
    print()
    print(f"in a configuration: dataset.name={name} dataset.data_dir={_shown(args)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs; a mistake of the user becomes one line and exit code 2."""
    try:
        with command_line.reporting_errors():
            run(argv)
    except SystemExit as error:
        if error.code != command_line.INPUT_ERROR:
            raise
        return command_line.INPUT_ERROR
    return 0


def _shown(args: argparse.Namespace) -> str:
    return str(as_path(args.data_dir).expanduser())


def _options_help() -> str:
    from hrnet_jax.data import registry
    from hrnet_jax.data.sources import SOURCES

    lines = ["options of the data sets (--option KEY=VALUE):"]
    for name in SOURCES:
        defaults = registry.option_defaults(name)
        lines.append(f"  {name}:" + ("" if defaults else " none"))
        for key, default in defaults.items():
            if isinstance(default, tuple):
                default = ",".join(map(str, default))
            lines.append(f"    {key}={default}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
