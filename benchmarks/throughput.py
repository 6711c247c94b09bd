"""Times one model: compilation, first step, median step, memory.

    python -m benchmarks.throughput --model segmentation/w18 --size 256x512
    python -m benchmarks.throughput --model segmentation/w48 --mode train \\
        --batch 8 --size 512x1024 --dtype bfloat16 --cache /tmp/cache --json w48.json
"""

if __name__ == "__main__":
    from hrnet_jax.config import arenas

    # See `compare_torch`.
    arenas.share_one_arena()

import argparse
import json
import pathlib
import resource
import statistics
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
from jax.experimental.compilation_cache import compilation_cache

from benchmarks.ending import wrong_input_ends
from benchmarks.jax_program import Program, make_program
from benchmarks.timing import MODES, Case, environment, parse_case, seconds
from hrnet_jax import runtime


def main(argv: list[str] | None = None) -> dict:
    """Measures what the command line asks for, prints it and returns it."""
    options = _parse(argv)
    with wrong_input_ends():
        case = parse_case(
            f"{options.model}:{options.mode}:{options.batch}x{options.size}"
        )
        result = measure(
            case, options.dtype, options.steps, options.cache, options.whole
        )
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        pathlib.Path(options.json).write_text(text + "\n")
    return result


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Times one model: compilation, steps, memory."
    )
    parser.add_argument("--model", default="segmentation/w18")
    parser.add_argument("--mode", choices=MODES, default="infer")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", default="256x512", help="HxW in pixels")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=10, help="calls that count")
    parser.add_argument(
        "--cache",
        help="existing folder: also compile from a persistent cache made in there",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="compile one program where it would be cut into pieces",
    )
    parser.add_argument("--json", help="file to write the result to")
    return parser.parse_args(argv)


def measure(
    case: Case, dtype: str, steps: int, cache: str | None = None, whole: bool = False
) -> dict:
    """Measures one case.

    Args:
        case: model, mode, batch and size.
        dtype: compute type of the model.
        steps: timed calls after the first.
        cache: folder in which a fresh persistent cache is made and removed
            again: the first compilation is cold, the second comes from it.
        whole: compile one program where it would be cut into pieces.

    Returns:
        Everything measured; times in seconds, memory in bytes. `flops` counts
        two per multiply-add of convolutions and matrix products alone.
    """
    result = {"case": str(case), "dtype": dtype, "environment": environment()}
    start = time.perf_counter()
    program = make_program(case, dtype)
    result["build_s"] = time.perf_counter() - start
    if cache is None:
        result["compile_s"] = program.compile(whole)
    else:
        result |= _compile_twice(program, cache, whole)
    result["first_step_s"] = seconds(program)
    times = [seconds(program) for _ in range(steps)]
    median = statistics.median(times)
    flops = 2 * program.multiply_adds()
    return result | {
        "step_median_s": median,
        "step_min_s": min(times),
        "images_per_s": case.batch / median,
        "flops": flops,
        "flops_per_s": flops / median,
        "memory": memory(program),
    }


def _compile_twice(program: Program, cache: str, whole: bool) -> dict[str, float]:
    """Compiles into a fresh cache, then from it as a new process would."""
    before = jax.config.jax_compilation_cache_dir
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        try:
            runtime.enable_compilation_cache(folder)
            # JAX opens its cache once; without this it keeps the folder it has.
            compilation_cache.reset_cache()
            cold = program.compile(whole)
            jax.clear_caches()
            cached = program.compile(whole)
        finally:
            jax.config.update("jax_compilation_cache_dir", before)
            compilation_cache.reset_cache()
    return {"compile_s": cold, "compile_from_cache_s": cached}


def matmul_flops_per_s(dtype: str) -> float:
    """Peak of the arithmetic: what a large matrix product reaches on this device.

    Args:
        dtype: of both factors, `float32` (TF32 where JAX uses it) or `bfloat16`.

    Returns:
        The best of several calls, two FLOPs per multiply-add.
    """
    side = 2048 if jax.default_backend() == "cpu" else 16384
    factor = jnp.ones((side, side), dtype)
    product = runtime.jit(jnp.matmul).lower(factor, factor).compile()

    def call():
        jax.block_until_ready(product(factor, factor))

    call()
    return 2 * side**3 / min(seconds(call) for _ in range(5))


def memory(program: Program) -> dict[str, int]:
    """Bytes: of the compiled program, at most in use on the device, resident."""
    result = {"program": program.memory_bytes()}
    statistics_ = jax.devices()[0].memory_stats()
    if statistics_:
        result["device_peak"] = statistics_["peak_bytes_in_use"]
    scale = 1 if sys.platform == "darwin" else 1024
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result["process_max_resident"] = usage.ru_maxrss * scale
    return result


if __name__ == "__main__":
    main()
