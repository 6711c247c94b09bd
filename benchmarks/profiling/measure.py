"""Profiles one case: runs it, and sums up its kernels by stage and kind."""

import collections
import dataclasses
import functools
import re
import statistics
import tempfile
from collections.abc import Iterable
from typing import Any

import jax

from benchmarks.jax_program import Program
from benchmarks.profiling import costs
from benchmarks.profiling.attribution import (
    KINDS,
    STAGES,
    UNATTRIBUTED,
    WAITING,
    Attribution,
    Label,
)
from benchmarks.profiling.programs import (
    CompileTimes,
    compile_timed,
    feeding_seconds,
    make_profiled,
    parts,
    program_id,
)
from benchmarks.profiling.trace import CALL, Execution, Trace, read_trace, shares
from benchmarks.timing import Case, seconds_within
from hrnet_jax.costs.hlo import HloProgram, Instruction
from hrnet_jax.costs.machine import Machine
from hrnet_jax.costs.roofline import Roofline

# Seconds spent on calls without and with the profiler.
_BUDGET_S = 2.5
_MAX_TRACED = 5
_LISTED = 12
# A program is named after the stages that make so much of it.
_NOTABLE = 0.05


@dataclasses.dataclass
class Work:
    """What some kernels did in one call; sums.

    Attributes:
        seconds: share of the wall time.
        kernels: number of executions.
        flops: as in `costs`.
        bytes: read and written.
        roofline_s: seconds they would take under the roof, one by one.
    """

    seconds: float = 0.0
    kernels: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0
    roofline_s: float = 0.0

    def add(self, other: "Work") -> None:
        """Adds the other to this one."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name) + getattr(other, field.name)
            setattr(self, field.name, value)

    def as_dict(self) -> dict[str, float | None]:
        """The sums and the rates that follow; None where nothing divides."""

        def ratio(a: float, b: float) -> float | None:
            return a / b if b else None

        return dataclasses.asdict(self) | {
            "flops_per_byte": ratio(self.flops, self.bytes),
            "flops_per_s": ratio(self.flops, self.seconds),
            "bytes_per_s": ratio(self.bytes, self.seconds),
            "roofline_share": ratio(self.roofline_s, self.seconds),
        }


class Kernels:
    """The kernels of one compiled program.

    Args:
        compiled: from JAX.
        model: class name of the network.
        is_training: whether it is part of a train step.
        roofline: of the machine.
    """

    def __init__(
        self, compiled: Any, model: str, is_training: bool, roofline: Roofline
    ):
        self.program = HloProgram(compiled.as_text())
        self._attribution = Attribution(self.program, model, is_training)
        self._roofline = roofline
        # Functions of a GPU cannot have dots in their names.
        self._by_function = {
            re.sub(r"\W", "_", name): name for name in self.program.instructions
        }

    def _find(self, name: str) -> Instruction | None:
        """The instruction that a trace means."""
        found = self.program.instructions
        return found.get(name) or found.get(self._by_function.get(name, ""))

    @functools.cache  # noqa: B019  (lives as long as a case)
    def cost(self, name: str) -> Work:
        """One execution of a kernel, without its time."""
        instruction = self._find(name)
        if instruction is None:
            return Work(kernels=1)
        flops = costs.flops(self.program, instruction)
        accessed = costs.bytes_accessed(self.program, instruction)
        return Work(
            kernels=1,
            flops=flops,
            bytes=accessed,
            roofline_s=self._roofline.seconds(flops, accessed),
        )

    @functools.cache  # noqa: B019  (lives as long as a case)
    def label(self, name: str) -> Label:
        """Stage and kind of a kernel."""
        instruction = self._find(name)
        return self._attribution.label(instruction.name if instruction else name)

    def knows(self, name: str) -> bool:
        """Whether a kernel is one of these."""
        return self._find(name) is not None

    def is_control(self, name: str) -> bool:
        """Whether other kernels run inside of this one."""
        instruction = self._find(name)
        return instruction is not None and instruction.opcode in costs.CONTROL

    def describe(self, name: str) -> str:
        """What a kernel computes and the shape of its result."""
        instruction = self._find(name)
        if instruction is None:
            return name
        products = [
            part for part in self.program.inside(instruction) if costs.is_product(part)
        ]
        what = products[0].opcode if products else _without_number(name)
        return f"{what} {' '.join(map(str, instruction.shapes[:2]))}"

    def stages(self) -> collections.Counter:
        """Number of kernels by stage, whatever runs of them."""
        return collections.Counter(
            self.label(instruction.name).stage
            for instruction in self.program.computations[self.program.entry]
            if not costs.is_movement(instruction)
        )

    def directions(self) -> list[str]:
        """Whether it computes values (`forward`), gradients (`backward`) or both."""
        names = [one.op_name for one in self._entry() if "jvp(" in one.op_name]
        found = {"backward" if "transpose(" in name else "forward" for name in names}
        return sorted(found, reverse=True) or ["forward"]

    def _entry(self) -> list[Instruction]:
        return self.program.computations[self.program.entry]


def _without_number(name: str) -> str:
    stem, _, number = name.rpartition(".")
    return stem if stem and number.isdigit() else name


@dataclasses.dataclass(frozen=True)
class Options:
    """How cases are profiled.

    Attributes:
        dtype: compute type of the models.
        folded: merge norms into convolutions where a case is inference.
        whole: run one program where it would run in pieces.
        compile_whole: also compile it as one program, for the time that takes.
    """

    dtype: str = "float32"
    folded: bool = False
    whole: bool = False
    compile_whole: bool = True


def profile_case(case: Case, options: Options, machine: Machine) -> dict:
    """Profiles one case.

    Args:
        case: model, mode, batch and size.
        options: how.
        machine: its peaks.

    Returns:
        What the JSON holds for a case; seconds, bytes, FLOPs.
    """
    program = make_profiled(case, options.dtype, options.folded)
    compiling = {}
    if options.compile_whole and not options.whole:
        compiling["whole"] = compile_timed(program, whole=True).summary()
    times = compile_timed(program, options.whole)
    order = parts(program.compiled)
    how = "pieces" if len(order) > 1 else "whole"
    compiling[how] = times.summary()
    calls = seconds_within(program, _BUDGET_S)
    median = statistics.median(calls)
    trace = run_traced(program, max(1, min(_MAX_TRACED, int(_BUDGET_S / median))))
    model, training = type(program.model).__name__, case.mode == "train"
    distinct = {id(part): part for part in order}
    kernels = {
        key: Kernels(part, model, training, machine.roofline)
        for key, part in distinct.items()
    }
    ids = {program_id(part): kernels[key] for key, part in distinct.items()}
    return {
        "case": str(case),
        "dtype": options.dtype,
        "folded": options.folded and case.mode == "infer",
        "median_s": median,
        "calls_s": calls,
        "feeding_s": feeding_seconds(program.batch),
        "memory_bytes": program.memory_bytes(),
        "num_pieces": len(order),
        "num_programs": len(distinct),
        **summarize(trace, ids),
        "xla": cost_analysis(order),
        "compile": compiling,
        "compile_by_program": compile_table(kernels, order, times),
    }


def run_traced(program: Program, calls: int) -> Trace:
    """Runs a compiled program under the profiler."""
    options = jax.profiler.ProfileOptions()
    # Python's own calls would be most of the events, and slow the step down.
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            for _ in range(calls):
                with jax.profiler.TraceAnnotation(CALL):
                    program()
        return read_trace(folder)


def summarize(trace: Trace, programs: dict[int | None, Kernels]) -> dict:
    """Sums the kernels of the fastest call by stage and kind.

    Of several calls it is the one that other work on the machine disturbed least;
    means would hold a bit of every disturbance.

    Args:
        trace: what ran.
        programs: by the id that the trace calls them; a trace that calls none
            by its id belongs to the only program.

    Raises:
        ValueError: if the trace holds no call, or no kernel of these programs.
    """
    known = [
        (execution, kernels)
        for execution in trace.executions
        if (kernels := _program_of(execution, programs))
        and not kernels.is_control(execution.name)
    ]
    if not trace.calls or not known:
        raise ValueError(
            f"the profile holds {len(trace.calls)} calls and {len(known)} kernels "
            "of the program; expected at least one of each"
        )
    start, end = min(trace.calls, key=lambda call: call[1] - call[0])
    inside = [pair for pair in known if start <= pair[0].start < end]
    times, waiting = shares([execution for execution, _ in inside], start, end)
    groups = collections.defaultdict[tuple[Label, str], Work](Work)
    for (execution, kernels), held in zip(inside, times.tolist(), strict=True):
        name = execution.name
        work = dataclasses.replace(kernels.cost(name), seconds=held)
        groups[kernels.label(name), kernels.describe(name)].add(work)
    groups[Label(WAITING, WAITING), WAITING].add(Work(seconds=waiting))
    table = collections.defaultdict[Label, Work](Work)
    for (label, _), work in groups.items():
        table[label].add(work)
    return {
        "traced_calls": len(trace.calls),
        "traced_s": (end - start) / 1e9,
        "total": _total(table.values()).as_dict(),
        "stages": _grouped(table, "stage", STAGES),
        "kinds": _grouped(table, "kind", KINDS),
        "table": [
            dataclasses.asdict(label) | table[label].as_dict()
            for label in sorted(table, key=_place)
        ],
        "slowest": _slowest(groups),
    }


def _slowest(groups: dict[tuple[Label, str], Work]) -> list[dict]:
    """Kernels that compute the same in one stage, together, the slowest first."""
    kernels = [item for item in groups.items() if item[0][1] != WAITING]
    kernels.sort(key=lambda item: -item[1].seconds)
    return [
        dataclasses.asdict(label) | {"kernel": text} | work.as_dict()
        for (label, text), work in kernels[:_LISTED]
    ]


def _program_of(
    execution: Execution, programs: dict[int | None, Kernels]
) -> Kernels | None:
    if execution.program in programs:
        return programs[execution.program]
    # TPUs name programs in another way; there is but one on an accelerator.
    only = next(iter(programs.values())) if len(programs) == 1 else None
    return only if only is not None and only.knows(execution.name) else None


def _place(label: Label) -> tuple[int, int]:
    return STAGES.index(label.stage), KINDS.index(label.kind)


def _total(works: Iterable[Work]) -> Work:
    total = Work()
    for work in works:
        total.add(work)
    return total


def _grouped(table: dict[Label, Work], key: str, order: tuple[str, ...]) -> dict:
    groups = {}
    for name in order:
        rows = [work for label, work in table.items() if getattr(label, key) == name]
        if rows:
            groups[name] = _total(rows).as_dict()
    return groups


def cost_analysis(order: list[Any]) -> dict[str, float]:
    """XLA's own count for one call: `flops` and `bytes`, loops counted once."""
    counts = {"flops": 0.0, "bytes": 0.0}
    for part in order:
        analysis = part.cost_analysis()
        counts["flops"] += analysis.get("flops", 0.0)
        counts["bytes"] += analysis.get("bytes accessed", 0.0)
    return counts


def compile_table(
    kernels: dict[int, Kernels], order: list[Any], times: CompileTimes
) -> list[dict]:
    """Compile time of every distinct program, with the stages it is made of."""
    uses = collections.Counter(map(id, order))
    if len(times.xla) != len(uses):  # Something else was compiled on the way.
        return []
    rows = []
    for (key, part), lower, xla in zip(
        kernels.items(), times.lower, times.xla, strict=True
    ):
        counts = part.stages()
        stages = [
            stage
            for stage, count in counts.items()
            if stage != UNATTRIBUTED and count >= _NOTABLE * counts.total()
        ]
        rows.append(
            {
                "stages": sorted(stages, key=STAGES.index),
                "direction": " and ".join(part.directions()),
                "uses": uses[key],
                "instructions": len(part.program.instructions),
                "lower_s": lower,
                "xla_s": xla,
            }
        )
    return rows
