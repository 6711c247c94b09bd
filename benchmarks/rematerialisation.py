"""Memory against time of a train step, by rematerialisation policy.

    python benchmarks/rematerialisation.py --picture rematerialisation.png
    python benchmarks/rematerialisation.py --model segmentation/w48 --batch 8 \\
        --size 512x1024 --dtype bfloat16

The policies (`model.remat`, see `hrnet_jax/models/rematerialisation.py`) take turns
in one process. On a CPU the program is the one that `train` runs, cut at the
modules. `--whole` adds the memory of the uncut program, in which XLA's CPU compiler
merges what is computed again with what was computed before.
"""

import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

    from hrnet_jax.config import arenas

    arenas.share_one_arena()

import argparse

from benchmarks.ending import wrong_input_ends
from benchmarks.jax_program import Program, make_program
from benchmarks.reports import FOLDER, provenance, write_report
from benchmarks.throughput import memory
from benchmarks.timing import Case, alternate, parse_case, seconds, summary
from hrnet_jax.config.tables import markdown
from hrnet_jax.models.rematerialisation import POLICIES, remat_policy

DEFAULT_MODELS = ("segmentation/w18", "segmentation/w48")


def main(argv: list[str] | None = None) -> dict:
    """Measures what the command line asks for, prints it and returns it.

    Raises:
        SystemExit: with code 2 for wrong input.
    """
    options = _parse(argv)
    report = provenance("rematerialisation", sys.argv[1:] if argv is None else argv)
    report |= {"dtype": options.dtype, "cases": []}
    path = options.json
    if path is None and not options.model:
        backend = report["environment"]["backend"]
        path = FOLDER / f"rematerialisation_{backend}.json"
    with wrong_input_ends():
        policies = [remat_policy(policy) for policy in options.policy or POLICIES]
        for model in options.model or DEFAULT_MODELS:
            case = parse_case(f"{model}:train:{options.batch}x{options.size}")
            report["cases"].append(measure(case, policies, options))
            print(f"{case}\n{case_table(report['cases'][-1])}\n", flush=True)
    if path:
        write_report(path, report)
    if options.picture:
        draw(report, options.picture)
    return report


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Memory against time of a train step, by what is computed again."
    )
    parser.add_argument(
        "--model",
        action="append",
        help=f"repeatable (default: {' '.join(DEFAULT_MODELS)})",
    )
    parser.add_argument(
        "--policy", action="append", help="repeatable (default: all of them)"
    )
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", default="256x256", help="HxW in pixels")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=5, help="turns per policy")
    parser.add_argument("--calls", type=int, default=2, help="timed calls per turn")
    parser.add_argument(
        "--whole", action="store_true", help="also the memory of the uncut program"
    )
    parser.add_argument("--json", help="file to write the results to")
    parser.add_argument("--picture", help="file to draw the curve into (.png, .svg)")
    return parser.parse_args(argv)


def measure(case: Case, policies: list[str], options: argparse.Namespace) -> dict:
    """Times and memory of one model.

    Returns:
        By policy: `memory` in bytes, `median_s` and `min_s` of a step, `compile_s`,
        `multiply_adds` of a step, the first `loss`, and with `--whole` the
        `whole_program_bytes`.

    Raises:
        ValueError: if a policy changes the loss.
    """
    programs: dict[str, Program] = {}
    results: dict[str, dict] = {}
    for policy in policies:
        program = make_program(case, options.dtype, remat=policy)
        result = {}
        if options.whole:
            program.compile(whole=True)
            result["whole_program_bytes"] = program.memory_bytes()
        program.compile()
        programs[policy] = program
        results[policy] = result | {
            "compile_s": program.compile_s,
            "multiply_adds": program.multiply_adds(),
            "memory": memory(program),
            "loss": float(program()["loss"]),
            "second_step_s": seconds(program),
        }
    _check_losses(case, results)
    times = alternate(programs, rounds=options.rounds, calls=options.calls)
    for policy, turns in times.items():
        results[policy] |= summary(turns) | {"rounds_s": turns}
    return {"case": str(case), "policies": results}


def _check_losses(case: Case, results: dict[str, dict]) -> None:
    losses = {policy: result["loss"] for policy, result in results.items()}
    first = next(iter(losses.values()))
    for policy, loss in losses.items():
        # Bfloat16 has 8 bits; recomputation may round in other places.
        if not abs(loss - first) <= 1e-2 * abs(first):
            raise ValueError(f"{case}: the loss is {first} and with {policy} {loss}")


def case_table(result: dict) -> str:
    """One line per policy; percentages are of the first."""
    header = ["policy", "memory, MB", "", "median step, ms", "", "multiply-adds"]
    header += ["compiling, s"]
    policies = result["policies"]
    has_whole = any("whole_program_bytes" in each for each in policies.values())
    if has_whole:
        header.append("uncut, MB")
    first = next(iter(policies.values()))
    rows = []
    for policy, figures in policies.items():
        bytes_, step = figures["memory"]["program"], figures["median_s"]
        row = [
            policy,
            f"{bytes_ / 1e6:.0f}",
            f"{100 * bytes_ / first['memory']['program']:.0f} %",
            f"{step * 1e3:.0f}",
            f"{100 * step / first['median_s']:.0f} %",
            f"{100 * figures['multiply_adds'] / first['multiply_adds']:.0f} %",
            f"{figures['compile_s']:.1f}",
        ]
        if has_whole:
            row.append(f"{figures['whole_program_bytes'] / 1e6:.0f}")
        rows.append(row)
    return markdown(header, rows)


def draw(report: dict, path: str) -> None:
    """Draws memory against time, a line per model; both relative to no policy."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for case in report["cases"]:
        policies = case["policies"]
        first = next(iter(policies.values()))
        points = [
            (
                figures["memory"]["program"] / first["memory"]["program"],
                figures["median_s"] / first["median_s"],
                policy,
            )
            for policy, figures in policies.items()
        ]
        points.sort()
        model, _, size = case["case"].split(":")
        label = f"{model}, {size}: {first['memory']['program'] / 1e6:.0f} MB"
        label += f", {first['median_s'] * 1e3:.0f} ms"
        (line,) = axes.plot(*zip(*(point[:2] for point in points), strict=True), "o-")
        line.set_label(label)
        for x, y, policy in points:
            axes.annotate(
                policy,
                (x, y),
                xytext=(4, 6),
                textcoords="offset points",
                color=line.get_color(),
                fontsize=9,
            )
    axes.set_xlabel("memory of a train step")
    axes.set_ylabel("time of a step")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.margins(0.15)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(title="100 % is", frameon=False, loc="outside lower center")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
