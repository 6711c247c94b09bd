"""Times this project against the same network in PyTorch, in one process.

    python benchmarks/compare_torch.py --all
    python -m benchmarks.compare_torch --case w18:infer:1x256x512 --json result.json

Outputs (and the first training loss) must agree before anything is timed.
Ratios are speeds: 1.25x means that we are a quarter faster. `--all` takes the cases
that are published, with `torch.compile`, and writes them to
`benchmarks/results/compare_torch_<backend>.json`.
"""

import os
import pathlib
import sys

if __name__ == "__main__":
    # The folder of a script comes first on the path, where its neighbours would
    # shadow modules of the same name (`profile`).
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

    from hrnet_jax.config import arenas

    # As every script begins.
    arenas.share_one_arena()

# Both frameworks share the card; JAX would otherwise take most of it at once.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import argparse
import dataclasses
import functools
import time

import jax
import torch

from benchmarks.ending import attempt, ended, short_reason, wrong_input_ends
from benchmarks.jax_program import Program, make_program
from benchmarks.output_check import check_losses, check_outputs
from benchmarks.reports import FOLDER, provenance, write_report
from benchmarks.results_table import full_table
from benchmarks.throughput import matmul_flops_per_s, memory
from benchmarks.timing import (
    Case,
    alternate,
    parse_case,
    seconds,
    speed_ratio,
    summary,
)
from benchmarks.torch_program import TorchProgram, Variant, prepare_torch, variants
from hrnet_jax import runtime

DEFAULT_CASES = ("w18:infer:1x256x512", "w48:infer:1x256x512", "w18:train:4x128x128")

_COMMON_CASES = (
    *(f"{variant}:infer:1x256x512" for variant in ("w18", "w32", "w48")),
    "landmarks/w18:infer:1x256x256",
    "classification/w18:infer:1x224x224",
    "classification/w48:infer:8x224x224",
    "landmarks/w18:train:8x256x256",
    "pose/w32:infer:1x256x192",
    "pose/w32:train:4x256x192",
    "classification/w18:train:8x224x224",
)
# What finishes: on a CPU torch.compile takes a minute or more for each program, so
# there crops are small and few; a GPU gets what it is bought for.
ALL_CASES = {
    "cpu": (*_COMMON_CASES, "w18:train:4x128x128", "w48:train:2x128x128"),
    "cuda": (
        *_COMMON_CASES,
        "classification/w18:infer:8x224x224",
        "classification/w48:infer:1x224x224",
        *(f"{variant}:infer:8x512x1024" for variant in ("w18", "w32", "w48")),
        *(f"{variant}:train:8x512x1024" for variant in ("w18", "w32", "w48")),
    ),
}

# Our program that users get: what `load_run(workdir).predict` and `train` run.
# A test asks a `Predictor` whether this is still so.
OURS = {"infer": "jax_folded", "train": "jax"}

# Calls that take longer are timed once a turn.
_LONG_CALL_S = 1.5


def main(argv: list[str] | None = None) -> dict:
    """Compares what the command line asks for, prints it and returns it.

    Raises:
        SystemExit: with code 2 for wrong input, with 1 if a case failed.
    """
    options = _parse(argv)
    device = prepare_torch(tf32=True)
    if options.cache:
        runtime.enable_compilation_cache(options.cache)
    with wrong_input_ends():
        cases = [parse_case(text) for text in options.case or _default_cases(options)]
        report = _compare_all(cases, options, device, argv)
    return ended(report, full_table(report))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Times this project against the same network in PyTorch."
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
        help="the published cases, against torch.compile as well",
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns per program")
    parser.add_argument("--calls", type=int, default=3, help="timed calls per turn")
    parser.add_argument(
        "--dtype",
        action="append",
        choices=("float32", "bfloat16"),
        help="repeatable (default: float32 on a CPU, both on a GPU, where --all "
        "takes bfloat16 alone)",
    )
    parser.add_argument(
        "--torch-compile",
        action=argparse.BooleanOptionalAction,
        help="also time torch.compile (default: with --all and on a GPU; on a CPU "
        "it compiles for minutes)",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="programs to time, repeatable (default: all): jax, jax_folded, or one of "
        "PyTorch such as torch_autocast_compile_max_autotune",
    )
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        help="take compiled programs of both frameworks from there, or leave them "
        "there; compilation is then not cold",
    )
    parser.add_argument("--json", help="file to write the results to")
    return parser.parse_args(argv)


def _default_cases(options: argparse.Namespace) -> tuple[str, ...]:
    return ALL_CASES[_device()] if options.all else DEFAULT_CASES


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _compare_all(
    cases: list[Case],
    options: argparse.Namespace,
    device: str,
    argv: list[str] | None,
) -> dict:
    """The report, printed and written case by case, as one may never end."""
    on_gpu = device == "cuda"
    compiled = options.torch_compile
    compiled = (on_gpu or options.all) if compiled is None else compiled
    both = ("bfloat16",) if options.all else ("float32", "bfloat16")
    dtypes = options.dtype or (both if on_gpu else ("float32",))
    path = options.json
    if options.all and not path:
        path = FOLDER / f"compare_torch_{jax.default_backend()}.json"
    report = provenance("compare_torch", sys.argv[1:] if argv is None else argv)
    report["environment"]["torch"] = torch.__version__
    report |= {"rounds": options.rounds, "calls": options.calls}
    report["matmul_flops_per_s"] = dict.fromkeys(dtypes, 0.0)
    report["cases"] = []
    for case in cases:
        for dtype in dtypes:
            start = time.perf_counter()
            result = _attempt(case, dtype, options, compiled)
            result["took_s"] = time.perf_counter() - start
            report["cases"].append(result)
            _add_shares(report, dtype)
            _print(result)
            if path:
                write_report(path, report)
    return report


def _add_shares(report: dict, dtype: str) -> None:
    """Measures the peak of matrix products again; the largest one counts."""
    peaks = report["matmul_flops_per_s"]
    peaks[dtype] = max(peaks[dtype], matmul_flops_per_s(dtype))
    for result in report["cases"]:
        if "flops_per_s" in result:
            share = result["flops_per_s"] / peaks[result["dtype"]]
            result["share_of_matmul_peak"] = share


def _attempt(
    case: Case, dtype: str, options: argparse.Namespace, compiled: bool
) -> dict:
    """A case's result, or why there is none, see `ending.attempt`."""
    how = How(options.rounds, options.calls, compiled, options.only, options.cache)
    try:
        return attempt(case, dtype, lambda: compare(case, dtype, how))
    finally:
        torch.cuda.empty_cache()


@dataclasses.dataclass(frozen=True)
class How:
    """How a case is timed.

    Attributes:
        rounds: turns per program.
        calls: timed calls per turn.
        compiled: whether `torch.compile` takes part.
        only: names of programs to time, all if None.
        cache: folder in which PyTorch finds or leaves what it compiles.
    """

    rounds: int
    calls: int
    compiled: bool
    only: list[str] | None = None
    cache: str | None = None


def compare(case: Case, dtype: str, how: How) -> dict:
    """Times one case in both frameworks.

    Args:
        case: model, mode, batch and size.
        dtype: compute type; `bfloat16` meets PyTorch under autocast.
        how: turns, and which programs take part.

    Returns:
        Times in seconds and memory in bytes by program, agreement, `speed_ratio`
        (theirs over ours, by PyTorch variant) and `speed_ratio_to_best`. A variant
        that does not run has `failed`, the reason, instead of times.

    Raises:
        ValueError: if the two networks do not agree.
    """
    result: dict = {"case": str(case), "dtype": dtype, "ours": OURS[case.mode]}
    result["output_difference_in_std"] = check_outputs(case, _device())
    program, runners = _our_programs(case, dtype, how.only)
    result["flops"] = 2 * program.multiply_adds()
    has_losses = case.mode == "train" and dtype == "float32"
    losses: dict[str, float] = {}
    result["programs"] = {}
    for name, ours in runners.items():
        start = time.perf_counter()
        first = ours()
        took = time.perf_counter() - start
        if has_losses:
            losses[name] = float(first["loss"])
        result["programs"][name] = {
            "compile_s": ours.compile_s,
            "first_call_s": took,
            "memory": memory(ours),
        }
    for name, variant in variants(case.mode, dtype, _device(), how.compiled).items():
        if how.only and name not in how.only:
            continue
        try:
            theirs, first, figures = _warmed_up(case, variant, program, how.cache)
        except (RuntimeError, OSError) as error:
            # No compiler, no memory, ...: torch.compile has many reasons.
            result["programs"][name] = {"failed": short_reason(error)}
            continue
        if has_losses and not variant.compiled:
            losses[name] = float(first)
        runners[name], result["programs"][name] = theirs, figures
    check_losses(case, losses)
    # Of long calls noise averages out within one.
    is_long = seconds(runners[result["ours"]]) > _LONG_CALL_S
    times = alternate(runners, rounds=how.rounds, calls=1 if is_long else how.calls)
    for name, turns in times.items():
        result["programs"][name] |= summary(turns) | {"rounds_s": turns}
    return result | _ratios(result, times)


def _warmed_up(
    case: Case, variant: Variant, program: Program, cache: str | None
) -> tuple[TorchProgram, torch.Tensor, dict]:
    """PyTorch's program, what its first call returned, and what that took."""
    theirs = TorchProgram(case, variant, program, _device(), cache)
    first = theirs.warm_up()
    memory = {"peak": theirs.peak_bytes()}
    return theirs, first, {"first_call_s": theirs.first_call_s, "memory": memory}


def _our_programs(
    case: Case, dtype: str, only: list[str] | None
) -> tuple[Program, dict]:
    """The program with norms as they are, and by name those that are timed, compiled.

    To infer there is one whose norms are folded.
    """
    plain = make_program(case, dtype)
    programs = {"jax": plain}
    if case.mode == "infer":
        programs["jax_folded"] = make_program(case, dtype, folded=True)
    programs = {name: programs[name] for name in programs if not only or name in only}
    if OURS[case.mode] not in programs:
        raise ValueError(f"{case}: --only lacks {OURS[case.mode]}, which users get")
    for program in programs.values():
        # A `Predictor` compiles one program, `train` cuts it on a CPU.
        program.compile(whole=case.mode == "infer")
    return plain, programs


def _ratios(result: dict, times: dict[str, list[float]]) -> dict:
    """Speeds relative to PyTorch's, and to the arithmetic of the network."""
    programs, ours = result["programs"], result["ours"]
    theirs = [name for name in times if name.startswith("torch")]
    if not theirs:
        raise ValueError(f"{result['case']}: PyTorch did not run in any way")
    best = min(theirs, key=lambda name: programs[name]["median_s"])
    ratios = {name: speed_ratio(times[ours], times[name]) for name in theirs}
    return {
        "speed_ratio": ratios,
        "best_torch": best,
        "speed_ratio_to_best": ratios[best],
        "flops_per_s": result["flops"] / programs[ours]["median_s"],
    }


def _print(result: dict) -> None:
    say = functools.partial(print, flush=True)
    say(f"{result['case']} {result['dtype']}  ({result['took_s']:.0f} s)")
    if "failed" in result:
        say(f"  failed: {result['failed']}")
        return
    for name, program in result["programs"].items():
        if "failed" in program:
            say(f"  {name:36s} failed: {program['failed']}")
            continue
        line = f"  {name:36s} {program['median_s'] * 1e3:9.2f} ms"
        line += f"  (min {program['min_s'] * 1e3:.2f})"
        if name in result["speed_ratio"]:
            line += f"  ratio {result['speed_ratio'][name]:.2f}x"
            line += f"  first call {program['first_call_s']:.1f} s"
        else:
            line += f"  compiled in {program['compile_s']:.1f} s"
        say(line)


if __name__ == "__main__":
    main()
