"""Plans as a table, side by side, and as JSON."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hrnet_jax.config.tables import columns
from hrnet_jax.costs.compiled import Memory, ProgramCosts
from hrnet_jax.costs.roofline import Times
from hrnet_jax.planning.plan import Plan, Program

_ABSENT = "-"
Row = tuple[str, list[str]]

LEGEND = """\
Everything is of one device (v3: half a chip) and one step, unless it says "all chips".
fits: what the compiler needs for it, of the chip's memory, of which libtpu keeps some
  (v5e 0.25 GiB). It may recompute to save memory. state: parameters,
  optimizer, norm statistics, in padded layouts. temporaries: activations and the like.
operations: of convolutions and products as written; in brackets as compiled.
HBM traffic: what crosses between HBM and the core, with the padding of tiles. bytes
  accessed: operands and results of all instructions, on-chip memory (VMEM) included, as
  XLA's cost_analysis counts them.
roofline: the longest of compute, HBM and interconnect at published peaks; no run is faster.
compiler: cycles that the TPU compiler expects of all instructions, one after the other.
images/s and hours: at the roofline .. as the compiler expects. Waiting for input, start
  and checkpoints are in none of them. dollars: those hours at the list price of the chips,
  on demand."""


def format_plans(
    plans: Sequence[Plan], experiment: str, data: str, notes: bool = True
) -> str:
    """The table that `scripts/plan.py` prints.

    Args:
        plans: of one experiment.
        experiment: one line about it.
        data: one line about its data set.
        notes: whether to say what differs from the configuration, and the legend.
    """
    sections = [
        ("", _setting(plans)),
        ("train step", _program(plans, lambda plan: plan.train)),
        ("", _run(plans)),
        ("predict step", _program(plans, lambda plan: plan.predict)),
        ("", _evaluation(plans)),
    ]
    rows: list[Row] = []
    for title, part in sections:
        rows += [(title, []), *part] if title else part
    table = columns((label, *cells) for label, cells in rows)
    lines = [f"experiment   {experiment}", f"data         {data}", "", *table]
    if notes:
        said = [
            f"note, {plan.slice.name}: {note}" for plan in plans for note in plan.notes
        ]
        lines += ["", *said] if said else []
        lines += ["", LEGEND]
    return "\n".join(lines) + "\n"


def as_json(plans: Sequence[Plan], experiment: str, data: str) -> dict[str, Any]:
    """Everything that the table shows, in bytes, seconds and operations."""
    return {
        "experiment": experiment,
        "data": data,
        "plans": [_plan_json(plan) for plan in plans],
    }


def _plan_json(plan: Plan) -> dict[str, Any]:
    ranges = {
        which: {
            "images_per_second": plan.images_per_second(which),
            "seconds_of_an_evaluation": plan.pass_seconds(which),
            "hours": plan.hours(which),
            "dollars": plan.dollars(which),
        }
        for which in ("roofline", "expected")
    }
    return {
        "topology": plan.slice.name,
        "chips": plan.slice.chips,
        "devices": plan.slice.devices,
        "mesh": plan.mesh,
        "steps": plan.steps,
        "evaluations": plan.passes,
        "train": _program_json(plan.train),
        "predict": _program_json(plan.predict),
        **ranges,
        "notes": list(plan.notes),
    }


def _program_json(program: Program) -> dict[str, Any]:
    found: dict[str, Any] = {
        "batch_size": program.batch_size,
        "fits": program.costs is not None,
    }
    if program.costs is None or program.times is None:
        return found | {"reason": program.too_large}
    found |= {"costs": dataclasses.asdict(program.costs)}
    found |= {"seconds": dataclasses.asdict(program.times)}
    return found | {"roofline": program.times.roofline, "bound": program.times.bound}


def _setting(plans: Sequence[Plan]) -> list[Row]:
    return [
        ("", [plan.slice.name for plan in plans]),
        ("chips", [str(plan.slice.chips) for plan in plans]),
        (
            "mesh",
            [f"data {p.mesh['data']}, space {p.mesh['space']}" for p in plans],
        ),
    ]


def _run(plans: Sequence[Plan]) -> list[Row]:
    return [
        ("  images/s, all chips", _ranges(plans, Plan.images_per_second, "{:.4g}")),
        ("  steps of the schedule", [str(plan.steps) for plan in plans]),
        ("  hours of the schedule", _ranges(plans, Plan.hours, "{:.3g}")),
        ("  dollars of the schedule", _ranges(plans, Plan.dollars, "{:.3g}")),
    ]


def _evaluation(plans: Sequence[Plan]) -> list[Row]:
    return [
        ("  evaluations of a run", [str(plan.passes) for plan in plans]),
        ("  seconds of one", _ranges(plans, Plan.pass_seconds, "{:.3g}")),
    ]


def _ranges(
    plans: Sequence[Plan], value: Callable[[Plan, str], float | None], form: str
) -> list[str]:
    """`value at the roofline .. value as expected` of each plan."""
    cells = []
    for plan in plans:
        ends = [value(plan, which) for which in ("roofline", "expected")]
        if None in ends:
            cells.append(_ABSENT)
            continue
        texts = list(dict.fromkeys(form.format(end) for end in ends))
        cells.append(" .. ".join(texts))
    return cells


def _program(plans: Sequence[Plan], which: Callable[[Plan], Program]) -> list[Row]:
    """Rows about one program on each slice."""
    programs = [which(plan) for plan in plans]

    def cells(text: Callable[[ProgramCosts, Times], str]) -> list[str]:
        return [
            text(program.costs, program.times)
            if program.costs and program.times
            else _ABSENT
            for program in programs
        ]

    rows: list[Row] = [
        (
            "  batch, all chips",
            [
                f"{program.batch_size} ({program.batch_size / plan.slice.devices:g} each)"
                for plan, program in zip(plans, programs, strict=True)
            ],
        ),
        ("  fits", [_fits(*pair) for pair in zip(plans, programs, strict=True)]),
    ]
    rows += [
        (f"    {part.name}", cells(_size_of_part(part.name)))
        for part in dataclasses.fields(Memory)
    ]
    rows.append(
        (
            "  operations",
            cells(lambda c, t: f"{c.flops / 1e9:.4g} G ({c.compiled_flops / 1e9:.4g})"),
        )
    )
    rows.append(("  HBM traffic", cells(lambda c, t: _size(c.hbm_bytes))))
    rows += _by_opcode_group(programs, cells)
    rows.append(("  bytes accessed", cells(lambda c, t: _size(c.bytes_accessed))))
    rows += _collectives(programs, cells)
    rows += _time_rows(cells)
    loops = cells(lambda c, t: str(c.unknown_loops))
    if any(text not in ("0", _ABSENT) for text in loops):
        rows.append(("  loops counted once", loops))
    return rows


def _size_of_part(name: str) -> Callable[[ProgramCosts, Times], str]:
    return lambda costs, times: _size(getattr(costs.memory, name))


def _fits(plan: Plan, program: Program) -> str:
    if program.costs is None:
        return f"no: {program.too_large}"
    free, needed = plan.slice.chip.device.memory, program.costs.memory.total
    return f"yes, {needed / 1e9:.2f} of {free / 1e9:.1f} GB"


def _by_opcode_group(programs: Sequence[Program], cells: Callable) -> list[Row]:
    """HBM traffic by opcode group, the largest first."""
    totals: dict[str, float] = {}
    for program in programs:
        for group, size in (program.costs.hbm if program.costs else {}).items():
            totals[group] = totals.get(group, 0) + size
    return [
        (f"    {group}", cells(lambda c, t, g=group: _size(c.hbm.get(g, 0))))
        for group in sorted(totals, key=totals.__getitem__, reverse=True)
    ]


def _collectives(programs: Sequence[Program], cells: Callable) -> list[Row]:
    """Number and bytes of each kind of collective, whatever its groups."""
    kinds = {
        kind
        for program in programs
        if program.costs
        for kind, *_ in program.costs.collectives.values()
    }

    def summed(costs: ProgramCosts, kind: str) -> str:
        rows = [row for row in costs.collectives.values() if row[0] == kind]
        return f"{sum(row[2] for row in rows)} x, {_size(sum(row[3] for row in rows))}"

    return [
        (f"  {kind}", cells(lambda c, t, k=kind: summed(c, k)))
        for kind in sorted(kinds)
    ]


def _time_rows(cells: Callable) -> list[Row]:
    return [
        ("  compute", cells(lambda c, t: _milliseconds(t.compute))),
        ("  HBM", cells(lambda c, t: _milliseconds(t.hbm))),
        ("  interconnect", cells(lambda c, t: _milliseconds(t.interconnect))),
        (
            "  roofline",
            cells(lambda c, t: f"{_milliseconds(t.roofline)} ({t.bound})"),
        ),
        ("  compiler", cells(lambda c, t: _milliseconds(t.compiler))),
        (
            "  all bytes, were they in HBM",
            cells(lambda c, t: _milliseconds(t.all_bytes)),
        ),
    ]


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def _size(size: float) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e8 else f"{size / 1e6:.3g} MB"
