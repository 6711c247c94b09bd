"""What a user waits for before the first step, cold and from the cache.

    python benchmarks/compile_time.py
    python benchmarks/compile_time.py --all --json compile_time.json
    python benchmarks/compile_time.py --case w48:train:2x128x128

Every case runs in two fresh processes, as a user's command does: the first finds an
empty compilation cache, the second what the first left there. Each imports the
package, draws initial variables, traces, compiles and runs one step.
"""

import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

import argparse
import json
import os
import subprocess
import tempfile
import time

# Nothing that imports jax may be imported up here: a child takes the time of that.

DEFAULT_CASES = (
    "w18:infer:1x256x512",
    "w32:infer:1x256x512",
    "w48:infer:1x256x512",
    "w18:train:4x128x128",
    "w32:train:2x128x128",
    "w48:train:2x128x128",
    "landmarks/w18:infer:1x256x256",
    "landmarks/w18:train:8x256x256",
    "classification/w18:infer:1x224x224",
    "classification/w18:train:8x224x224",
    "segmentation/w48_ocr:infer:1x256x512",
    "pose/w32:infer:1x256x192",
    "pyramid/w18:infer:1x256x512",
)
# Of the sweep over all models: small, as the time to compile hardly depends on it.
_SIZES = {"pose": "256x192"}
_SIZE = "128x128"

# Issue targets for trace + compilation of train steps, in seconds: start of the case,
# backend -> cold, from the cache.
TARGETS = {
    ("segmentation/w48:train:", "cpu"): {"cold": 20.0, "cached": 6.0},
    ("segmentation/w48:train:", "gpu"): {"cold": 60.0, "cached": 6.0},
    ("detection/faster_rcnn_w18:train:", "cpu"): {"cold": 60.0},
}

# Cases whose variables are also drawn by `jit(model.init)`.
INIT_CASES = ("w18:infer:1x256x512", "w48:infer:1x256x512")

_PHASES = ("start_s", "import_s", "build_s", "trace_s", "compile_s", "first_step_s")


def main(argv: list[str] | None = None) -> dict:
    """Measures what the command line asks for, prints it and returns it.

    Raises:
        SystemExit: with code 2 for wrong input, with 1 if a case failed.
    """
    options = _parse(argv)
    if options.child:
        print(json.dumps(_child(options)))
        return {}
    from benchmarks.ending import ended, wrong_input_ends
    from benchmarks.reports import FOLDER, provenance, write_report
    from benchmarks.timing import parse_case

    with wrong_input_ends():
        cases = [parse_case(text) for text in options.case or _default_cases(options)]
    report = provenance("compile_time", sys.argv[1:] if argv is None else argv)
    backend = report["environment"]["backend"]
    path = options.json
    if path is None and (options.all or not options.case):
        path = FOLDER / f"compile_time_{backend}.json"
    report |= {"dtype": options.dtype, "cases": [], "initialisation": []}
    for case in map(str, cases):
        report["cases"].append(_measure(case, options.dtype, backend))
        print(summary_line(report["cases"][-1]), flush=True)
        if path:
            write_report(path, report)
    if options.jit_init:
        for text in INIT_CASES:
            report["initialisation"].append(_initialisation(str(parse_case(text))))
        if path:
            write_report(path, report)
    return ended(report, full_table(report))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Times everything before the first step, in fresh processes."
    )
    parser.add_argument(
        "--case",
        action="append",
        help="[family/]variant:mode:BxHxW; repeatable (default: a short list)",
    )
    parser.add_argument(
        "--all", action="store_true", help="every model, inference and training"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument(
        "--jit-init",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also time jit(model.init) for W18 and W48, which takes minutes",
    )
    parser.add_argument("--json", help="file to write the results to")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--cache", help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _default_cases(options: argparse.Namespace) -> tuple[str, ...]:
    if not options.all:
        return DEFAULT_CASES
    from benchmarks.jax_program import TRAINING_TARGETS
    from hrnet_jax.registry import model_names

    cases = []
    for name in model_names():
        family = name.split("/")[0]
        size = _SIZES.get(family, _SIZE)
        cases.append(f"{name}:infer:1x{size}")
        if family in TRAINING_TARGETS:
            cases.append(f"{name}:train:2x{size}")
    return tuple(cases)


def _measure(case: str, dtype: str, backend: str) -> dict:
    """Times of a cold and of a cached process.

    Returns:
        `cold` and `cached`, each with the phases in seconds; `ready_cold_s` and
        `ready_cached_s`, trace and compilation together; `targets` where the case
        has any. Or `failed`, the reason.
    """
    result: dict = {"case": case, "dtype": dtype}
    with tempfile.TemporaryDirectory(prefix="hrnet-jax-compile-") as cache:
        for kind in ("cold", "cached"):
            try:
                result[kind] = _run_child(f"run {case}", dtype, cache)
            except ValueError as error:
                return {"case": case, "dtype": dtype, "failed": str(error)}
    for kind in ("cold", "cached"):
        phases = result[kind]
        result[f"ready_{kind}_s"] = phases["trace_s"] + phases["compile_s"]
    for (start, where), targets in TARGETS.items():
        if case.startswith(start) and backend == where:
            result["targets"] = targets
    return result


def _initialisation(case: str) -> dict:
    """Seconds of our initial variables and of `jit(model.init)`, cold both."""
    with tempfile.TemporaryDirectory(prefix="hrnet-jax-compile-") as cache:
        return {"case": case, **_run_child(f"init {case}", "float32", cache)}


def _run_child(task: str, dtype: str, cache: str) -> dict:
    """Runs this file in a fresh process.

    Raises:
        ValueError: with the last line of its errors, if it fails.
    """
    command = [sys.executable, str(pathlib.Path(__file__).resolve())]
    command += [f"--child={task}", f"--cache={cache}", f"--dtype={dtype}"]
    process = subprocess.run(
        [*command, f"--started={time.time()}"],
        capture_output=True,
        text=True,
        check=False,
        # A user's own cache or devices of a test must not reach the child.
        env={k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"},
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["no message"]
        raise ValueError(lines[-1].removeprefix("error: "))
    return json.loads(process.stdout.splitlines()[-1])


def _child(options: argparse.Namespace) -> dict:
    """The phases of this process, in seconds.

    `start_s` is the start of Python, `import_s` that of jax and this package with
    the first look at the devices, `build_s` model, initial variables and state.
    """
    started = time.time() - options.started
    clock = _Clock()
    import jax

    from benchmarks.jax_program import make_program
    from benchmarks.timing import parse_case
    from hrnet_jax import runtime
    from hrnet_jax.errors import HRNetError

    runtime.enable_compilation_cache(options.cache)
    jax.devices()
    task, _, text = options.child.partition(" ")
    phases = {"start_s": started, "import_s": clock.lap()}
    if task == "init":
        return phases | _time_initialisation(parse_case(text), clock)
    case = parse_case(text)
    try:
        program = make_program(case, options.dtype)
    except (HRNetError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    phases["build_s"] = clock.lap()
    phases["trace_s"] = program.trace()
    # A `Predictor` compiles one program, `train` cuts it on a CPU.
    phases["compile_s"] = program.compile(whole=case.mode == "infer")
    clock.lap()
    program()
    return phases | {"first_step_s": clock.lap()}


class _Clock:
    """Seconds since the last lap."""

    def __init__(self):
        self._last = time.perf_counter()

    def lap(self) -> float:
        before, self._last = self._last, time.perf_counter()
        return self._last - before


def _time_initialisation(case, clock: _Clock) -> dict:
    import jax
    import jax.numpy as jnp

    from hrnet_jax.models.initialization import initial_variables
    from hrnet_jax.registry import create_model

    model = create_model(case.model)
    clock.lap()
    initial_variables(model)
    ours = clock.lap()
    images = jnp.zeros((1, case.height, case.width, 3))
    clock.lap()
    jax.block_until_ready(jax.jit(model.init)(jax.random.key(0), images))
    return {"initial_variables_s": ours, "jit_model_init_s": clock.lap()}


def summary_line(result: dict) -> str:
    """One line of progress."""
    if "failed" in result:
        return f"{result['case']} failed: {result['failed']}"
    return (
        f"{result['case']} trace and compile {result['ready_cold_s']:.1f} s, "
        f"from the cache {result['ready_cached_s']:.1f} s{_verdict(result)}"
    )


def _verdict(result: dict) -> str:
    """`, target 20 s met`, for each target that the case has."""
    text = ""
    for kind, target in result.get("targets", {}).items():
        met = result[f"ready_{kind}_s"] <= target
        text += f", {kind} target {target:.0f} s {'met' if met else 'missed'}"
    return text


def full_table(report: dict) -> str:
    """All cases, then targets and initialisation."""
    from hrnet_jax.config.tables import markdown

    header = ("case", "start + import, s", "variables", "trace", "compile, cold")
    header += ("trace + cold", "trace + cached", "first step", "process, cached")
    rows, notes = [], []
    for result in report["cases"]:
        if "failed" in result:
            rows.append([result["case"], "failed", *["-"] * 7])
            notes.append(summary_line(result))
            continue
        cold, cached = result["cold"], result["cached"]
        figures = (
            cached["start_s"] + cached["import_s"],
            cold["build_s"],
            cold["trace_s"],
            cold["compile_s"],
            result["ready_cold_s"],
            result["ready_cached_s"],
            cached["first_step_s"],
            sum(cached[phase] for phase in _PHASES),
        )
        rows.append([result["case"], *(f"{figure:.1f}" for figure in figures)])
        if "targets" in result:
            notes.append(f"{result['case']}{_verdict(result)}")
    for line in report["initialisation"]:
        notes.append(
            f"{line['case']}: initial variables {line['initial_variables_s']:.1f} s, "
            f"jit(model.init) {line['jit_model_init_s']:.1f} s"
        )
    return "\n".join([markdown(header, rows), *notes])


if __name__ == "__main__":
    main()
