"""The table of speeds in docs/speed.md, from the results that are on disk.

    python benchmarks/results_table.py            # prints it
    python benchmarks/results_table.py --write    # puts it into docs/speed.md
    python benchmarks/results_table.py --check    # fails where docs/speed.md differs

The table stands between the comments `<!-- results: compare_torch -->` and
`<!-- end of results -->`; everything between them is generated from
`benchmarks/results/compare_torch_*.json`.
"""

import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

import argparse

from benchmarks.ending import wrong_input_ends
from benchmarks.reports import FOLDER, ROOT, read_report
from hrnet_jax.config.tables import markdown
from hrnet_jax.errors import ConfigError

BEGIN = "<!-- results: compare_torch -->"
END = "<!-- end of results -->"

_NONE = "-"


def main(argv: list[str] | None = None) -> None:
    """Prints, writes or checks the table.

    Raises:
        SystemExit: with code 2 for wrong input, with 1 if the check fails.
    """
    options = _parse(argv)
    with wrong_input_ends(OSError):
        text = page_section(options.results)
        if options.check or options.write:
            page = options.page.read_text()
            wanted = replaced(page, text)
    if options.write:
        options.page.write_text(wanted)
    elif options.check:
        if page != wanted:
            print(
                f"error: the table in {options.page.name} differs from the results "
                "in benchmarks/results; run benchmarks/results_table.py --write",
                file=sys.stderr,
            )
            raise SystemExit(1)
    else:
        print(text)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="The table of speeds in docs/speed.md, from the results on disk."
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="fail if it differs")
    action.add_argument("--write", action="store_true", help="put it into the page")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs" / "speed.md")
    parser.add_argument(
        "--results", type=pathlib.Path, default=FOLDER, help="folder of JSON files"
    )
    return parser.parse_args(argv)


def replaced(page: str, section: str) -> str:
    """The page with the section between the two comments.

    Raises:
        ConfigError: if the comments are not there once each, in order.
    """
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end or BEGIN in old + after or END in before + after:
        raise ConfigError(f"the page needs the lines {BEGIN!r} and {END!r}, once each")
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def page_section(folder: pathlib.Path) -> str:
    """One table per backend, each with a line that says where it was measured.

    Raises:
        ConfigError: if there are no results.
    """
    paths = sorted(folder.glob("compare_torch_*.json"))
    if not paths:
        raise ConfigError(f"no compare_torch_*.json in {folder}")
    return "\n\n".join(_section(read_report(path)) for path in paths)


def _section(report: dict) -> str:
    rows = [_page_row(result) for result in report["cases"]]
    header = (
        "case",
        "ours, ms",
        "best of PyTorch, ms",
        "speed to best",
        "to eager",
        "compiling, s: ours",
        "PyTorch",
        "memory, MB: ours",
        "PyTorch",
    )
    return "\n\n".join([describe(report), markdown(header, rows), *_failures(report)])


def _failures(report: dict) -> list[str]:
    """Why cases and programs did not run, a paragraph each."""
    reasons = []
    for result in report["cases"]:
        name = case_name(result)
        if "failed" in result:
            reasons.append(f"{name} failed: {result['failed']}")
        for program, figures in result.get("programs", {}).items():
            if "failed" in figures:
                reasons.append(f"{name} with {program} failed: {figures['failed']}")
    return reasons


def describe(report: dict) -> str:
    """One sentence: machine, versions, date, commit and command."""
    where = report["environment"]
    device = where["device_kind"]
    if where["backend"] == "cpu":
        device = f"{where['cpu_count']} CPU cores ({where['processor']})"
    commit = (report["commit"] or "unknown")[:7]
    commit += " with changes" if report["modified"] else ""
    return (
        f"{device}, JAX {where['jax']}, PyTorch {where['torch']}, "
        f"{report['date'][:10]}, commit {commit}, `{report['command']}`:"
    )


def _page_row(result: dict) -> list[str]:
    name = case_name(result)
    if "failed" in result:
        return [name, "failed", *[_NONE] * 7]
    programs, ratios = result["programs"], result["speed_ratio"]
    ours, best = programs[result["ours"]], programs[result["best_torch"]]
    eager = ratios.get("torch_eager")
    return [
        name,
        _ms(ours),
        f"{_ms(best)} ({_variant(result['best_torch'])})",
        f"**{result['speed_ratio_to_best']:.2f}x**",
        f"{eager:.2f}x" if eager else _NONE,
        f"{ours['compile_s']:.1f}",
        f"{best['first_call_s']:.1f}",
        _mb(ours),
        _mb(best),
    ]


def full_table(report: dict) -> str:
    """Every program of every case: a line for each, for the terminal."""
    header = (
        "case",
        "program",
        "median, ms",
        "speed of ours to it",
        "compiling, s",
        "memory, MB",
        "FLOP/s, share of matmul",
        "difference, std",
    )
    rows = []
    for result in report["cases"]:
        rows += _rows(result)
    return "\n\n".join([markdown(header, rows), *_failures(report)])


def _rows(result: dict) -> list[list[str]]:
    name = case_name(result)
    if "failed" in result:
        return [[name, "failed", *[_NONE] * 6]]
    rows = []
    for program, figures in result["programs"].items():
        if "failed" in figures:
            rows.append([name, program, "failed", *[_NONE] * 5])
            continue
        ratio = result["speed_ratio"].get(program)
        is_ours, is_best = program == result["ours"], program == result["best_torch"]
        rows.append(
            [
                name,
                program + (" (ours)" if is_ours else " (best)" if is_best else ""),
                _ms(figures),
                f"{ratio:.2f}x" if ratio else _NONE,
                f"{figures.get('compile_s', figures['first_call_s']):.1f}",
                _mb(figures),
                f"{result['flops_per_s'] / 1e9:.1f} G, "
                f"{100 * result['share_of_matmul_peak']:.0f} %"
                if is_ours
                else _NONE,
                f"{result['output_difference_in_std']:.1e}" if is_ours else _NONE,
            ]
        )
    return rows


def case_name(result: dict) -> str:
    """`segmentation/w18 inference 1x256x512`, with the dtype unless float32."""
    model, mode, size = result["case"].split(":")
    mode = {"infer": "inference", "train": "training"}[mode]
    suffix = "" if result["dtype"] == "float32" else f" {result['dtype']}"
    return f"{model} {mode} {size}{suffix}"


def _variant(name: str) -> str:
    return name.removeprefix("torch_")


def _ms(figures: dict) -> str:
    return f"{figures['median_s'] * 1e3:.1f}"


def _mb(figures: dict) -> str:
    """What our compiled program needs, or the most that PyTorch held."""
    memory = figures["memory"]
    return f"{memory.get('program', memory.get('peak')) / 1e6:.0f}"


if __name__ == "__main__":
    main()
