"""The command line of `profile.py`."""

import argparse
import pathlib
import sys

from benchmarks.ending import wrong_input_ends
from benchmarks.profiling.drawing import check_format, draw_profiles
from benchmarks.profiling.measure import Options, profile_case
from benchmarks.profiling.report import case_lines, machine_lines
from benchmarks.profiling.torch_probes import make_torch_probes
from benchmarks.reports import provenance, write_report
from benchmarks.timing import parse_case
from hrnet_jax.costs.machine import measure_machine
from hrnet_jax.errors import ConfigError
from hrnet_jax.registry import create_model

DEFAULT_CASES = ("w18:infer:1x512x1024", "w18:train:1x512x1024")

# Sizes of the papers. Batches for training are large enough for batch norm.
ALL_CASES = tuple(
    f"{family}/{variant}:{mode}:{batch}x{size}"
    for family, size, train_batch in (
        ("segmentation", "512x1024", 1),
        ("landmarks", "256x256", 4),
        ("classification", "224x224", 4),
    )
    for variant in ("w18", "w32", "w48")
    for mode, batch in (("infer", 1), ("train", train_batch))
)


def main(argv: list[str] | None = None) -> dict:
    """Profiles what the command line asks for, prints it and returns it."""
    options = _parse(argv)
    cases = ALL_CASES if options.all else options.case or DEFAULT_CASES
    how = Options(options.dtype, options.folded, options.whole, options.compile_whole)
    results: list[dict] = []
    with wrong_input_ends():
        # All of them first: a typing error should not come after minutes.
        parsed = [parse_case(text) for text in cases]
        for case in parsed:
            create_model(case.model)
        for path in filter(None, (options.json, options.picture)):
            _check_folder(path)
        if options.picture:
            check_format(options.picture)
        origin = provenance("profile", sys.argv[1:] if argv is None else argv)
        machine = measure_machine(options.dtype, more=make_torch_probes)
        print(machine_lines(machine.as_dict()), flush=True)
        for case in parsed:
            result = profile_case(case, how, machine)
            results.append(result)
            print(f"\n{case_lines(result)}", flush=True)
            report = origin | {"machine": machine.as_dict(), "cases": results}
            if options.json:
                write_report(options.json, report)
            if options.picture:
                draw_profiles(results, report["machine"], options.picture)
    return report


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Shows where the time of a model goes, by stage and by kind."
    )
    parser.add_argument(
        "--case",
        action="append",
        help="[family/]variant:mode:BxHxW; repeatable "
        f"(default: {' '.join(DEFAULT_CASES)})",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help=f"{len(ALL_CASES)} cases: W18, W32, W48 for segmentation, landmarks, "
        "classification, inference and training",
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument(
        "--folded",
        action="store_true",
        help="inference with norms merged into the convolutions",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="run one program where it would run in pieces (on a CPU)",
    )
    parser.add_argument(
        "--compile-whole",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also time the compilation as one program",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything there")
    parser.add_argument("--picture", metavar="FILE", help="draw it: .png, .svg, .pdf")
    options = parser.parse_args(argv)
    if options.all and options.case:
        parser.error("give either --all or --case, not both")
    return options


def _check_folder(path: str) -> None:
    folder = pathlib.Path(path).absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"cannot write {path}: there is no folder {folder}")
