"""Times this project against the same network in PyTorch, in one process.

    python -m benchmarks.compare_torch
    python -m benchmarks.compare_torch --case w18:infer:1x256x512 --json result.json

Outputs (and the first training loss) must agree before anything is timed.
Ratios are speeds: 1.25x means that we are a quarter faster.
"""

import argparse
import json
import os
import pathlib
import sys

# Both frameworks share the card; JAX would otherwise take most of it at once.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import numpy as np
import torch

from benchmarks.jax_program import make_program
from benchmarks.throughput import memory
from benchmarks.timing import (
    Case,
    alternate,
    environment,
    parse_case,
    seconds,
    speed_ratio,
    summary,
)
from benchmarks.torch_program import (
    AUTOCAST_VARIANTS,
    VARIANTS,
    TorchProgram,
    Variant,
    prepare_torch,
)
from hrnet_jax.errors import HRNetError

DEFAULT_CASES = ("w18:infer:1x256x512", "w48:infer:1x256x512", "w18:train:4x128x128")

# Largest difference of outputs in standard deviations, and of losses relative.
TOLERANCE = 1e-4


def main(argv: list[str] | None = None) -> dict:
    """Compares what the command line asks for, prints it and returns it."""
    options = _parse(argv)
    gpu = prepare_torch(tf32=True) == "cuda"
    compiled = gpu if options.torch_compile is None else options.torch_compile
    results = []
    try:
        for case in map(parse_case, options.case or DEFAULT_CASES):
            for dtype in ("float32", "bfloat16") if gpu else ("float32",):
                result = compare(case, dtype, options.rounds, options.calls, compiled)
                results.append(result)
                _print(result)
    except (HRNetError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    report = {
        "environment": environment() | {"torch": torch.__version__},
        "rounds": options.rounds,
        "calls": options.calls,
        "cases": results,
    }
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    return report


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
    parser.add_argument("--rounds", type=int, default=5, help="turns per program")
    parser.add_argument("--calls", type=int, default=3, help="timed calls per turn")
    parser.add_argument(
        "--torch-compile",
        action=argparse.BooleanOptionalAction,
        help="also time torch.compile (default: on a GPU only; on a CPU it "
        "compiles for minutes)",
    )
    parser.add_argument("--json", help="file to write the results to")
    return parser.parse_args(argv)


def compare(case: Case, dtype: str, rounds: int, calls: int, compiled: bool) -> dict:
    """Times one case in both frameworks.

    Args:
        case: model, mode, batch and size.
        dtype: compute type; `bfloat16` meets PyTorch under autocast.
        rounds: turns per program.
        calls: timed calls per turn.
        compiled: whether `torch.compile` takes part.

    Returns:
        Times in seconds and memory in bytes by program, agreement, and
        `speed_ratio`: ours over theirs, by PyTorch variant.

    Raises:
        ValueError: if the two networks do not agree.
    """
    variants = VARIANTS if dtype == "float32" else AUTOCAST_VARIANTS
    variants = {k: v for k, v in variants.items() if compiled or not v.compiled}
    result: dict = {"case": str(case), "dtype": dtype}
    result["output_difference_in_std"] = check_outputs(case)
    program = make_program(case, dtype)
    ours = {"compile_s": program.compile()}
    runners = {"jax": program}
    losses = {"jax": program} if case.mode == "train" and dtype == "float32" else {}
    if losses:
        losses["jax"] = float(program()["loss"])
    ours["first_call_s"] = seconds(program)
    ours["memory"] = memory(program)
    result["programs"] = {"jax": ours}
    for name, variant in variants.items():
        theirs = TorchProgram(case, variant, program, _device())
        if losses and not variant.compiled:
            losses[name] = float(theirs())
        theirs.warm_up()
        runners[name] = theirs
        result["programs"][name] = {
            "first_call_s": theirs.first_call_s,
            "memory": {"peak": theirs.peak_bytes},
        }
    _check_losses(case, losses)
    times = alternate(runners, rounds=rounds, calls=calls)
    for name, turn in times.items():
        result["programs"][name] |= summary(turn) | {"rounds_s": turn}
    result["speed_ratio"] = {
        name: speed_ratio(times["jax"], times[name]) for name in variants
    }
    return result


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_outputs(case: Case) -> float:
    """Difference of the outputs in evaluation, in full float32.

    Returns:
        The largest difference in standard deviations of PyTorch's outputs.

    Raises:
        ValueError: if it is above the tolerance.
    """
    case = Case(case.model, "infer", 1, case.height, case.width)
    with jax.default_matmul_precision("highest"):
        program = make_program(case)
        program.compile()
        ours = np.asarray(program())
    prepare_torch(tf32=False)
    theirs = TorchProgram(case, Variant(), program, _device()).outputs()
    prepare_torch(tf32=True)
    theirs = theirs.cpu().numpy()
    if theirs.ndim == 4:
        theirs = theirs.transpose(0, 2, 3, 1)
    difference = float(np.abs(ours - theirs).max() / theirs.std())
    if not difference <= TOLERANCE:
        raise ValueError(
            f"{case}: outputs differ from PyTorch's by {difference:.1e} standard "
            f"deviations, expected at most {TOLERANCE:.0e}"
        )
    return difference


def _check_losses(case: Case, losses: dict[str, float]) -> None:
    """The first losses in training mode agree, where TF32 does not blur them."""
    if jax.default_backend() != "cpu":
        return
    for name, value in losses.items():
        if not abs(value - losses["jax"]) <= TOLERANCE * abs(losses["jax"]):
            raise ValueError(
                f"{case}: the first loss is {losses['jax']:.6f} with JAX and "
                f"{value:.6f} with {name}"
            )


def _print(result: dict) -> None:
    print(f"{result['case']} {result['dtype']}", flush=True)
    for name, program in result["programs"].items():
        line = f"  {name:30s} {program['median_s'] * 1e3:9.2f} ms"
        line += f"  (min {program['min_s'] * 1e3:.2f})"
        if name in result["speed_ratio"]:
            line += f"  ratio to {name.removeprefix('torch_')}: "
            line += f"{result['speed_ratio'][name]:.2f}x"
        else:
            line += f"  compiled in {program['compile_s']:.1f} s"
        print(line, flush=True)


if __name__ == "__main__":
    main()
