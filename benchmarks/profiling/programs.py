"""The programs that are profiled: fed with bytes, compiled with a stopwatch."""

import dataclasses
import statistics
import time
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from benchmarks.jax_program import Program, make_program
from benchmarks.timing import Case, seconds
from hrnet_jax import runtime
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.runtime import layouts
from hrnet_jax.runtime.pieces import PiecewiseProgram

_LOWERING = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_COMPILING = "/jax/core/compile/backend_compile_duration"

# Of `HloModuleProto`, in XLA's hlo.proto: what traces call `program_id`.
_ID_FIELD = 5


@dataclasses.dataclass(frozen=True)
class CompileTimes:
    """Seconds until a program can run.

    Attributes:
        total: everything.
        lower: from JAX to StableHLO, one number per distinct program.
        xla: from StableHLO to machine code, one number per distinct program.
    """

    total: float
    lower: tuple[float, ...]
    xla: tuple[float, ...]

    def summary(self) -> dict[str, float]:
        """Sums; `trace_s` is what remains: tracing, differentiating, cutting."""
        lower, xla = sum(self.lower), sum(self.xla)
        return {
            "trace_s": self.total - lower - xla,
            "lower_s": lower,
            "xla_s": xla,
            "total_s": self.total,
        }


def make_profiled(case: Case, dtype: str, folded: bool = False) -> Program:
    """The program of a case as it runs in earnest: it gets bytes, and normalises.

    Args:
        case: model, mode, batch and size.
        dtype: compute type of the model.
        folded: norms of inference merged into convolutions; see `models.folding`.
    """
    program = make_program(case, dtype, folded=folded and case.mode == "infer")
    inner = program.function.__wrapped__
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, program.batch["image"].shape, np.uint8)
    batch = program.batch | {"image": images}

    def normalized(images):
        with jax.named_scope("input"):
            return normalize_images(images)

    def infer(variables, images):
        return inner(variables, normalized(images))

    def train_step(state, batch):
        return inner(state, batch | {"image": normalized(batch["image"])})

    first = program.arguments[0]
    if case.mode == "infer":
        function, second = runtime.jit(infer), jax.device_put(images)
    else:
        whole = runtime.replicated(runtime.make_mesh(data=1))
        function = runtime.jit(
            train_step,
            donate_argnums=0,
            in_shardings=(layouts.auto_layout(whole), None),
            out_shardings=(layouts.auto_layout(whole), whole),
        )
        second = jax.device_put(batch)
    return dataclasses.replace(
        program, function=function, arguments=(first, second), batch=batch
    )


def feeding_seconds(batch: dict[str, np.ndarray]) -> float:
    """Time to bring a batch from the host to the device; not part of a call."""
    return statistics.median(
        seconds(lambda: jax.block_until_ready(jax.device_put(batch))) for _ in range(5)
    )


def compile_timed(program: Program, whole: bool) -> CompileTimes:
    """Compiles like `program.compile(whole)` and tells what took how long.

    Never from a cache: that would be another time, and perhaps the metadata of an
    older version of the sources.
    """
    durations: dict[str, list[float]] = {_LOWERING: [], _COMPILING: []}

    def listen(event: str, duration: float, **_: Any) -> None:
        if event in durations:
            durations[event].append(duration)

    cached = jax.config.jax_enable_compilation_cache
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        jax.config.update("jax_enable_compilation_cache", False)
        # JAX looks at the switch once; without this it does not see the change.
        compilation_cache.reset_cache()
        # Nor may what was traced for another compilation be there already.
        jax.clear_caches()
        start = time.perf_counter()
        program.compile(whole)
        total = time.perf_counter() - start
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)
        compilation_cache.reset_cache()
        jax.monitoring.unregister_event_duration_listener(listen)
    return CompileTimes(
        total, tuple(durations[_LOWERING]), tuple(durations[_COMPILING])
    )


def parts(compiled: Any) -> list[Any]:
    """The compiled programs that one call runs, in order; repeated ones repeat."""
    if isinstance(compiled, PiecewiseProgram):
        return list(compiled._programs)
    return [compiled]


def program_id(compiled: Any) -> int | None:
    """The number by which a trace calls a compiled program, if it has one."""
    module = compiled.runtime_executable().hlo_modules()[0]
    return _varint_field(module.as_serialized_hlo_module_proto(), _ID_FIELD)


def _varint_field(message: bytes, number: int) -> int | None:
    """One integer of a serialised protocol buffer, None where it is not set."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while position < len(message):
        tag = varint()
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            value = varint()
            if field == number:
                return value
        else:
            # Two is a length and that many bytes, one and five are fixed sizes.
            length = varint() if wire == 2 else {1: 8, 5: 4}[wire]
            position += length
    return None
