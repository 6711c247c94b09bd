"""The profile of the tiny network, and its command line."""

import functools
import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from benchmarks.profiling import command, measure
from benchmarks.profiling.attribution import KINDS, STAGES, UNATTRIBUTED
from benchmarks.profiling.measure import Work
from hrnet_jax.costs.machine import Machine, measure_machine
from hrnet_jax.models.variants import VARIANTS
from tests import tiny
from tests.coloured import colours

ROOT = pathlib.Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
INFER = f"segmentation/{tiny.VARIANT_NAME}:infer:1x64x64"
TRAIN = f"segmentation/{tiny.VARIANT_NAME}:train:2x32x32"

WORK = {
    *("seconds", "kernels", "flops", "bytes", "roofline_s", "flops_per_byte"),
    *("flops_per_s", "bytes_per_s", "roofline_share"),
}


@pytest.fixture(scope="module")
def small():
    """The tiny network in the table, a quick look at the machine, few calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        quick = functools.partial(measure_machine, side=64, elements=4096)
        patch.setattr(command, "measure_machine", quick)
        patch.setattr(measure, "_BUDGET_S", 0.1)
        yield


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory) -> pathlib.Path:
    """Outputs of the command on both modes."""
    folder = tmp_path_factory.mktemp("profile")
    files = ["--json", str(folder / "out.json"), "--picture", str(folder / "out.png")]
    command.main(["--case", INFER, "--case", TRAIN, "--no-compile-whole", *files])
    return folder


@pytest.fixture(scope="module")
def report(folder) -> dict:
    return json.loads((folder / "out.json").read_text())


@pytest.fixture(scope="module", params=["infer", "train"])
def case(request, report) -> dict:
    return report["cases"][["infer", "train"].index(request.param)]


@pytest.mark.slow
def test_the_file_says_where_and_what(report):
    assert set(report) == {
        *("command", "date", "commit", "modified", "environment"),
        *("machine", "cases"),
    }
    assert [one["case"] for one in report["cases"]] == [INFER, TRAIN]
    assert report["environment"]["backend"] == "cpu"
    limits = report["machine"]
    assert limits["peak_flops"] == max(limits["flops"].values()) > 0
    assert limits["peak_bandwidth"] == max(limits["bandwidth"].values()) > 0


@pytest.mark.slow
def test_a_case_has_every_figure(case):
    assert set(case) == {
        *("case", "dtype", "folded", "median_s", "calls_s", "feeding_s"),
        *("memory_bytes", "num_pieces", "num_programs", "traced_calls", "traced_s"),
        *("total", "stages", "kinds", "table", "slowest", "xla", "compile"),
        "compile_by_program",
    }
    assert set(case["total"]) == WORK
    for row in case["table"]:
        assert set(row) == {"stage", "kind"} | WORK
    for row in case["slowest"]:
        assert set(row) == {"stage", "kind", "kernel"} | WORK
    assert set(case["stages"]) <= set(STAGES)
    assert set(case["kinds"]) <= set(KINDS)


@pytest.mark.parametrize("key", ["seconds", "kernels", "flops", "bytes"])
@pytest.mark.slow
def test_stages_and_kinds_add_up_to_the_whole(case, key):
    whole = pytest.approx(case["total"][key], rel=1e-9)
    assert sum(work[key] for work in case["stages"].values()) == whole
    assert sum(work[key] for work in case["kinds"].values()) == whole
    assert sum(row[key] for row in case["table"]) == whole


@pytest.mark.slow
def test_times_add_up_to_what_the_profiler_saw(case):
    assert case["total"]["seconds"] == pytest.approx(case["traced_s"], rel=1e-9)


@pytest.mark.slow
def test_flops_and_bytes_are_those_that_xla_counts(case):
    # Nothing ran that was not found, and nothing was missed.
    assert case["total"]["flops"] == pytest.approx(case["xla"]["flops"], rel=0.01)
    assert case["total"]["bytes"] == pytest.approx(case["xla"]["bytes"], rel=0.02)


@pytest.mark.slow
def test_work_without_a_place_is_little(case):
    lost = case["kinds"].get(UNATTRIBUTED, {"flops": 0, "bytes": 0})
    assert lost["flops"] <= 0.001 * case["total"]["flops"]
    assert lost["bytes"] <= 0.01 * case["total"]["bytes"]


@pytest.mark.slow
def test_all_stages_of_the_network_are_there(report):
    # Without bottlenecks, stage 1 of the tiny network has nothing to do; its last
    # two stages have no modules.
    body = {"stem", "transition1", "stage2", "transition2", "transition3", "head"}
    infer, train = (set(case["stages"]) for case in report["cases"])
    assert body <= infer
    assert body | {"input", "loss", "optimiser"} <= train
    assert not infer & {"loss", "optimiser"}


@pytest.mark.slow
def test_compile_time_is_told_for_every_program(case):
    rows = case["compile_by_program"]
    assert len(rows) == case["num_programs"]
    assert sum(row["uses"] for row in rows) == case["num_pieces"]
    (times,) = case["compile"].values()
    assert sum(row["xla_s"] for row in rows) == pytest.approx(times["xla_s"])
    total = times["trace_s"] + times["lower_s"] + times["xla_s"]
    assert total == pytest.approx(times["total_s"])
    assert min(times.values()) > 0
    directions = {row["direction"] for row in rows}
    assert any("backward" in one for one in directions) == (":train:" in case["case"])


@pytest.mark.slow
def test_the_picture_is_drawn(folder):
    # Bars of several kinds of work.
    assert colours(folder / "out.png") >= 4


@pytest.mark.slow
def test_the_terminal_shows_aligned_tables(report):
    text = command.case_lines(report["cases"][1])
    assert TRAIN in text and "slowest kernels" in text
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("kind "))
    table = lines[start : lines.index("", start)]
    assert {line.split()[0] for line in table[1:]} == set(report["cases"][1]["kinds"])
    # Numbers end where their headings do.
    assert len({len(line) for line in table}) == 1


@pytest.mark.slow
def test_one_program_runs_where_it_is_asked_for(small, capsys):
    case = ["--case", f"{tiny.VARIANT_NAME}:infer:1x32x32"]
    cached = jax.config.jax_enable_compilation_cache
    (result,) = command.main([*case, "--whole", "--folded"])["cases"]
    assert result["num_pieces"] == 1 and [*result["compile"]] == ["whole"]
    assert result["folded"] and result["compile_by_program"][0]["uses"] == 1
    assert "norms folded, one program" in capsys.readouterr().out
    assert jax.config.jax_enable_compilation_cache == cached


def test_peaks_of_the_machine_are_written_with_their_ridge():
    values = Machine({"a": 100.0, "b": 50.0}, {"copy": 10.0}).as_dict()
    assert values["peak_flops"] == 100 and values["peak_bandwidth"] == 10
    assert values["ridge_flops_per_byte"] == 10.0


def test_rates_follow_from_the_sums():
    work = Work(seconds=2.0, kernels=4, flops=600, bytes=200, roofline_s=1.0)
    work.add(Work(seconds=2.0, kernels=2, flops=0, bytes=200, roofline_s=1.0))
    rates = work.as_dict()
    assert rates["kernels"] == 6 and rates["flops"] == 600
    assert rates["flops_per_byte"] == 1.5
    assert rates["flops_per_s"] == 150 and rates["bytes_per_s"] == 100
    assert rates["roofline_share"] == 0.5
    assert Work().as_dict()["flops_per_byte"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--case", "w18:train"], "cannot read case 'w18:train'; expected"),
        (["--case", "w19:infer:1x64x64"], "unknown model 'segmentation/w19'"),
        (["--json", "/nowhere/at/all.json"], "cannot write /nowhere/at/all.json"),
        (["--picture", "picture.bmpp"], "cannot draw picture.bmpp"),
    ],
)
def test_wrong_input_is_one_clear_error_before_anything_runs(
    arguments, message, capsys, monkeypatch
):
    monkeypatch.setattr(command, "measure_machine", None)
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")


def test_all_and_cases_do_not_go_together(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["--all", "--case", INFER])
    assert stop.value.code == 2
    assert "give either --all or --case" in capsys.readouterr().err


def test_all_is_three_networks_in_three_tasks_and_both_modes():
    assert len(set(command.ALL_CASES)) == 18
    assert "landmarks/w32:train:4x256x256" in command.ALL_CASES
    assert "segmentation/w48:infer:1x512x1024" in command.ALL_CASES


def run(*arguments: str, cwd: pathlib.Path) -> str:
    """Output of a process that must succeed, with no path but its own."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.parametrize(
    ("start", "cwd"),
    [
        (("profile.py",), BENCHMARKS),
        pytest.param(("-m", "benchmarks.profile"), ROOT, marks=pytest.mark.slow),
    ],
    ids=["path", "module"],
)
def test_the_command_starts_by_path_and_as_a_module(start, cwd):
    assert "--picture FILE" in run(*start, "--help", cwd=cwd)


def test_it_does_not_hide_the_module_of_the_standard_library():
    # As for every script of this folder, the folder is first on the path.
    code = (
        "import sys; sys.path.insert(0, {folder!r})\n"
        "import cProfile, profile\n"
        "print(profile.__file__); profile.Profile().runcall(sum, [1])\n"
        "cProfile.Profile().runcall(sum, [1])\n"
    )
    path = run("-c", code.format(folder=str(BENCHMARKS)), cwd=ROOT).strip()
    assert pathlib.Path(path).parent == pathlib.Path(functools.__file__).parent
