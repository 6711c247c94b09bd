"""Lists models with sizes and costs, shows one's parameters, or draws it.

    python scripts/models.py
    python scripts/models.py 'segmentation/*' --size=512x1024
    python scripts/models.py landmarks/w18 --num_outputs=98 --json=w18.json
    python scripts/models.py segmentation/w48 --names
    python scripts/models.py segmentation/w48 --svg=network.svg

The table compares every figure with what is published for the same input size and
number of outputs. Nothing is computed, models are only traced: a second each.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import json
import pathlib
import sys
from collections.abc import Callable

from hrnet_jax.config import command_line
from hrnet_jax.errors import ConfigError
from hrnet_jax.whole_files import write_whole


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "models", nargs="?", help="a name or a pattern, such as 'segmentation/*'"
    )
    parser.add_argument(
        "--size",
        metavar="HxW",
        help="input in pixels (default: published size of the family)",
    )
    parser.add_argument(
        "--num_outputs", type=int, help="classes or points (default: the family's)"
    )
    parser.add_argument(
        "--representation", help="v1, v1h, v2 or v2p (default: the family's)"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write the table to this file"
    )
    parser.add_argument(
        "--names", action="store_true", help="print one model's parameters instead"
    )
    parser.add_argument("--svg", metavar="FILE", help="draw one model instead")
    arguments = parser.parse_args()
    if arguments.json and (arguments.names or arguments.svg):
        parser.error("--json is for the table, without --names and --svg")
    return arguments


def main() -> None:
    """Prints the table, or what is asked for instead."""
    arguments = parse_arguments()
    # Late, so that help need not wait for JAX.
    from tqdm import tqdm

    from hrnet_jax.inspection import inspection, model_table

    with command_line.reporting_errors():
        names = inspection.matching_names(arguments.models)
        size = inspection.parse_size(arguments.size) if arguments.size else None
        options = (arguments.num_outputs, arguments.representation)
        if arguments.names or arguments.svg:
            name = _the_one(names, "--names" if arguments.names else "--svg")
            draw = _drawing() if arguments.svg else None
            if arguments.names:
                model = inspection.build(name, *options)
                sys.stdout.write(
                    model_table.format_parameters(inspection.parameters(model))
                )
            if draw:
                found = inspection.inspect_model(name, size, *options)
                _write(arguments.svg, draw(found))
            return
        bar = tqdm(names, desc="models", unit="model", leave=False, disable=None)
        rows = [inspection.inspect_model(name, size, *options) for name in bar]
        if arguments.json:
            _write(arguments.json, json.dumps(model_table.as_json(rows), indent=2))
    sys.stdout.write(model_table.format_table(rows))


def _the_one(names: list[str], option: str) -> str:
    if len(names) > 1:
        raise ConfigError(
            f"{option} needs one model; these are {len(names)}: {', '.join(names)}"
        )
    return names[0]


def _drawing() -> Callable[..., str]:
    """What draws a network; `tools/` is not installed, but beside this folder.

    Raises:
        ConfigError: if it is not there.
    """
    root = pathlib.Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(root))
    try:
        from tools.draw_network import draw
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "tools":
            raise
        raise ConfigError(
            f"--svg needs the folder tools/draw_network of the repository in {root}"
        ) from error
    finally:
        sys.path.remove(str(root))
    return draw


def _write(path: str, text: str) -> None:
    try:
        write_whole(path, text + "\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
