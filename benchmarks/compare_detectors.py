"""Times Faster R-CNN beside the same detector in PyTorch with torchvision's operators.

    python benchmarks/compare_detectors.py --torch-python=ENVIRONMENT/bin/python
    python benchmarks/compare_detectors.py --torch-python=ENVIRONMENT/bin/python \\
        --case w18:train:1x320x320 --json result.json

PyTorch runs in a process of its own, of any Python that has torch and torchvision, with
as many threads; the two take turns. Before anything is timed, both must compute the same
for the same weights: outputs of the proposal network, detections and losses. Ratios are
speeds: 1.25x means that we are a quarter faster. Without cases all are taken and written
to `benchmarks/results/compare_detectors_<backend>.json`, one after the other, as one may
never end.
"""

import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

    from hrnet_jax.config import arenas

    # As every script begins.
    arenas.share_one_arena()

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Callable, Sequence

import jax

from benchmarks import detector_check
from benchmarks.detector_peer import LAYOUTS, PREFIX, open_peer
from benchmarks.ending import attempt, ended, wrong_input_ends
from benchmarks.jax_program import make_program
from benchmarks.peer import Peer, limit_threads
from benchmarks.reports import FOLDER, provenance, write_report
from benchmarks.results_table import case_name, describe
from benchmarks.throughput import memory
from benchmarks.timing import (
    Case,
    alternate,
    parse_case,
    seconds,
    speed_ratio,
    summary,
)
from hrnet_jax.config.tables import markdown

CASES = tuple(
    f"w18:{mode}:{batch}x{size}"
    for size in ("320x320", "800x1344")
    for mode in ("infer", "train")
    for batch in (1, 2)
)
# Calls that take longer are timed once a turn, and need no call before. Of these there
# are as many turns as this leaves, of one program, and two at least: the heap may grow
# once more in the second call.
_LONG_CALL_S, _TURNS_S, _LEAST_TURNS = 1.5, 60.0, 2


def main(argv: list[str] | None = None) -> dict:
    """Compares what the command line asks for, prints it and returns it.

    Raises:
        SystemExit: with code 2 for wrong input, with 1 if a case failed.
    """
    options = _parse(argv)
    limit_threads(options.threads)
    with wrong_input_ends():
        cases = [detector_case(text) for text in options.case or CASES]
        report = _compare_all(cases, options, argv)
    return ended(report, f"{describe(report)}\n\n{table(report)}")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Times Faster R-CNN beside the same in PyTorch with torchvision."
    )
    parser.add_argument(
        "--torch-python", required=True, help="a Python that has torchvision"
    )
    parser.add_argument(
        "--case",
        action="append",
        help=f"variant:mode:BxHxW; repeatable (default: {' '.join(CASES)})",
    )
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="cores for each side"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns per program")
    parser.add_argument("--calls", type=int, default=3, help="timed calls per turn")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args(argv)
    for name in ("threads", "rounds", "calls"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    return options


def detector_case(text: str) -> Case:
    """Reads `variant:mode:BxHxW`, of Faster R-CNN.

    Raises:
        ValueError: saying what was expected.
    """
    case = parse_case(text if "/" in text else f"{PREFIX}{text}")
    if not case.model.startswith(PREFIX):
        raise ValueError(
            f"no PyTorch counterpart of {case.model!r}; expected a case such as "
            f"{CASES[0]}"
        )
    return case


def _compare_all(
    cases: list[Case], options: argparse.Namespace, argv: list[str] | None
) -> dict:
    """The report, printed and written case by case."""
    path = options.json
    if path is None and not options.case:
        path = FOLDER / f"compare_detectors_{jax.default_backend()}.json"
    report = provenance("compare_detectors", sys.argv[1:] if argv is None else argv)
    report |= {
        "threads": options.threads,
        "rounds": options.rounds,
        "calls": options.calls,
        "agreement": {},
        "cases": [],
    }
    layouts: dict[tuple, tuple[str, ...]] = {}
    for case in cases:
        what = f"{case.model}:{case.mode}"
        if what not in report["agreement"]:
            found, torch = detector_check.check(case, options.torch_python)
            report["agreement"][what] = found
            report["environment"]["torch"] = torch
            print(f"{what} agrees: {detector_check.as_text(found)}", flush=True)
        start = time.perf_counter()
        # What is faster for one image is not asked again for two.
        same = case.model, case.mode, case.height, case.width
        tried = layouts.get(same, LAYOUTS)
        result = attempt(
            case, "float32", functools.partial(compare, case, options, tried)
        )
        if "failed" not in result:
            layouts[same] = (result["best_torch"].removeprefix("torch_"),)
        result["took_s"] = time.perf_counter() - start
        report["cases"].append(result)
        _print(result)
        if path:
            write_report(path, report)
    return report


def compare(
    case: Case, options: argparse.Namespace, layouts: Sequence[str] = LAYOUTS
) -> dict:
    """Times one case in both frameworks.

    Args:
        case: a Faster R-CNN, mode, batch and size.
        options: of the command line.
        layouts: memory formats in which PyTorch is tried.

    Returns:
        Times in seconds and memory in bytes by program, and `speed_ratio_to_best`:
        theirs over ours, in the memory format that is faster there.
    """
    infer = case.mode == "infer"
    # What users get, see `compare_torch.OURS`.
    ours = "jax_folded" if infer else "jax"
    plain = make_program(case)
    program = make_program(case, folded=True) if infer else plain
    with tempfile.TemporaryDirectory(prefix="hrnet-jax-detector-") as folder:
        peer = open_peer(
            options.torch_python, pathlib.Path(folder), plain, case, options.threads
        )
        try:
            programs = {f"torch_{layout}": _warm_up(peer, layout) for layout in layouts}
            best = min(programs, key=lambda name: programs[name]["warm_s"])
            program.compile(whole=infer)
            programs[ours] = {
                "compile_s": program.compile_s,
                "first_call_s": seconds(program),
            }
            # The peer counts its own seconds; those of asking are a millisecond more.
            theirs = functools.partial(peer.ask, best.removeprefix("torch_"))
            slowest = max(programs[name]["first_call_s"] for name in (ours, best))
            times = _in_turns({ours: program, best: theirs}, slowest, options)
            programs[ours]["memory"] = memory(program)
            resident = int(float(peer.ask("memory")))
            programs[best]["memory"] = {"process_max_resident": resident}
        finally:
            peer.close()
    for name, turns in times.items():
        programs[name] |= summary(turns) | {"rounds_s": turns}
    return {
        "case": str(case),
        "dtype": "float32",
        "ours": ours,
        "programs": programs,
        "best_torch": best,
        "speed_ratio_to_best": speed_ratio(times[ours], times[best]),
    }


def _warm_up(peer: Peer, layout: str) -> dict[str, float]:
    """Seconds of the first call, and of the second where there is time for it."""
    first = peer.seconds(layout)
    is_long = first > _LONG_CALL_S
    return {
        "first_call_s": first,
        "warm_s": first if is_long else peer.seconds(layout),
    }


def _in_turns(
    runners: dict[str, Callable[[], object]],
    call_s: float,
    options: argparse.Namespace,
) -> dict[str, list[float]]:
    """Seconds of both, by name; see `alternate`."""
    if call_s <= _LONG_CALL_S:
        return alternate(runners, rounds=options.rounds, calls=options.calls)
    rounds = min(options.rounds, max(_LEAST_TURNS, int(_TURNS_S / call_s)))
    return alternate(runners, rounds=rounds, calls=1, settle=False)


def table(report: dict) -> str:
    """One row a case."""
    header = (
        "case",
        "ours, ms",
        "PyTorch, ms",
        "speed to it",
        "compiling, s",
        "memory, MB: our program",
        "PyTorch's process",
    )
    rows = []
    for result in report["cases"]:
        name = case_name(result).removeprefix("detection/")
        if "failed" in result:
            rows.append([name, f"failed: {result['failed']}", *["-"] * 5])
            continue
        ours = result["programs"][result["ours"]]
        theirs = result["programs"][result["best_torch"]]
        layout = result["best_torch"].removeprefix("torch_")
        resident = theirs["memory"]["process_max_resident"]
        rows.append(
            [
                name,
                f"{1e3 * ours['median_s']:.0f}",
                f"{1e3 * theirs['median_s']:.0f} ({layout})",
                f"**{result['speed_ratio_to_best']:.2f}x**",
                f"{ours['compile_s']:.1f}",
                f"{ours['memory']['program'] / 1e6:.0f}",
                f"{resident / 1e6:.0f}",
            ]
        )
    return markdown(header, rows)


def _print(result: dict) -> None:
    """Figures of a case as they come."""
    say = functools.partial(print, flush=True)
    say(f"{result['case']}  ({result['took_s']:.0f} s)")
    if "failed" in result:
        say(f"  failed: {result['failed']}")
        return
    for name, program in result["programs"].items():
        if "median_s" not in program:
            say(f"  {name:20s} {program['warm_s'] * 1e3:9.1f} ms, one call")
            continue
        line = f"  {name:20s} {program['median_s'] * 1e3:9.1f} ms"
        line += f"  (min {program['min_s'] * 1e3:.1f})"
        if name == result["ours"]:
            line += f"  compiled in {program['compile_s']:.1f} s"
        else:
            line += f"  ratio {result['speed_ratio_to_best']:.2f}x"
        say(line)


if __name__ == "__main__":
    main()
