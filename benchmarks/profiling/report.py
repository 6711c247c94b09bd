"""Profiles as aligned tables for the terminal."""

from hrnet_jax.config.tables import columns

_HEADER = (
    *("", "ms", "%", "kernels", "GFLOP", "GB", "FLOP/B", "GFLOP/s", "GB/s"),
    "roofline %",
)
_SLOW_HEADER = (
    *("slowest kernels", "stage", "kind", "ms", "%", "runs", "GFLOP/s", "GB/s"),
    "roofline %",
)
_COMPILE_HEADER = (
    *("program", "direction", "uses", "instructions", "lower s", "XLA s"),
)


def machine_lines(machine: dict) -> str:
    """Peaks of the machine, by probe."""
    lines = [
        f"{kind}: "
        + ", ".join(f"{name} {value / 1e9:.1f} {unit}" for name, value in rates.items())
        for kind, unit, rates in (
            ("arithmetic", "GFLOP/s", machine["flops"]),
            ("memory", "GB/s", machine["bandwidth"]),
        )
    ]
    ridge = machine["ridge_flops_per_byte"]
    return "\n".join([*lines, f"the roof bends at {ridge:.1f} FLOP/B"])


def case_lines(result: dict) -> str:
    """Everything the terminal shows of one case."""
    total = result["total"]["seconds"]
    stages, kinds = (
        _table((name, *_HEADER[1:]), _work_rows(result[key], total))
        for name, key in (("stage", "stages"), ("kind", "kinds"))
    )
    parts = [_summary(result), stages, kinds, _slowest(result, total)]
    if len(result["compile_by_program"]) > 1:
        parts.append(_table(_COMPILE_HEADER, _compile_rows(result)))
    return "\n\n".join(parts) + "\n"


def _summary(result: dict) -> str:
    total, pieces = result["total"], result["num_pieces"]
    how = f"{pieces} pieces of {result['num_programs']} programs"
    folded = ", norms folded" if result["folded"] else ""
    calls, traced = len(result["calls_s"]), result["traced_calls"]
    flops = _difference(total["flops"], result["xla"]["flops"])
    accessed = _difference(total["bytes"], result["xla"]["bytes"])
    lines = [
        f"{result['case']} {result['dtype']}{folded}, {how if pieces > 1 else 'one program'}",
        f"  {_ms(result['median_s'])} ms a call, median of {calls}; "
        + f"{_ms(result['traced_s'])} ms under the profiler, "
        + f"fastest of {traced}: the times below",
        f"  {total['kernels']:.0f} kernels, {_giga(total['flops'])} GFLOP ({flops} "
        + f"than XLA counts), {_giga(total['bytes'])} GB ({accessed}), "
        + f"{result['memory_bytes'] / 1e6:.0f} MB of memory",
        f"  bytes to the device in {_ms(result['feeding_s'])} ms, before the call",
    ]
    for how, times in result["compile"].items():
        lines.append(
            f"  compiled {'in pieces' if how == 'pieces' else 'as one program'}: "
            f"{times['total_s']:.1f} s (tracing {times['trace_s']:.1f}, "
            f"lowering {times['lower_s']:.1f}, XLA {times['xla_s']:.1f})"
        )
    return "\n".join(lines)


def _difference(ours: float, theirs: float) -> str:
    if not theirs:
        return "XLA counts none; more"
    percent = 100 * (ours / theirs - 1)
    return f"{abs(percent):.2f} % {'more' if percent >= 0 else 'less'}"


def _work_rows(groups: dict[str, dict], total: float) -> list[tuple[str, ...]]:
    return [
        (
            name,
            _ms(work["seconds"]),
            f"{100 * work['seconds'] / total:.1f}",
            f"{work['kernels']:.0f}",
            _giga(work["flops"]),
            _giga(work["bytes"]),
            _number(work["flops_per_byte"]),
            _giga(work["flops_per_s"]),
            _giga(work["bytes_per_s"]),
            _percent(work["roofline_share"]),
        )
        for name, work in groups.items()
    ]


def _slowest(result: dict, total: float) -> str:
    rows = [
        (
            row["kernel"],
            row["stage"],
            row["kind"],
            _ms(row["seconds"]),
            f"{100 * row['seconds'] / total:.1f}",
            f"{row['kernels']:.0f}",
            _giga(row["flops_per_s"]),
            _giga(row["bytes_per_s"]),
            _percent(row["roofline_share"]),
        )
        for row in result["slowest"]
    ]
    return _table(_SLOW_HEADER, rows, "lllr")


def _compile_rows(result: dict) -> list[tuple[str, ...]]:
    rows = sorted(result["compile_by_program"], key=lambda row: -row["xla_s"])
    return [
        (
            _range(row["stages"]),
            row["direction"],
            str(row["uses"]),
            str(row["instructions"]),
            f"{row['lower_s']:.2f}",
            f"{row['xla_s']:.2f}",
        )
        for row in rows
    ]


def _range(stages: list[str]) -> str:
    if len(stages) > 3:
        return f"{stages[0]} to {stages[-1]}"
    return ", ".join(stages) or "constants"


def _table(
    header: tuple[str, ...], rows: list[tuple[str, ...]], align: str = "lr"
) -> str:
    return "\n".join(columns([header, *rows], align))


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def _giga(value: float | None) -> str:
    return _number(None if value is None else value / 1e9)


def _number(value: float | None) -> str:
    """Three digits or more; a dash where there is no number or nothing to count."""
    if not value:
        return "-"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _percent(share: float | None) -> str:
    return f"{100 * share:.0f}" if share else "-"
