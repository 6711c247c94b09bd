"""The benchmarks measure what they say, on the smallest network."""

import json
import subprocess
import sys

import jax
import pytest

from benchmarks import jax_program, throughput, timing
from benchmarks.timing import Case
from hrnet_jax.runtime.pieces import PiecewiseProgram

TINY = "w18_small_v1:infer:1x32x64"

# Rooms that a machine with only jax, flax and optax must not need.
OPTIONAL = ("tensorflow", "grain", "clu", "ml_collections", "tensorflow_datasets")


def test_case_defaults_to_segmentation():
    assert timing.parse_case("w18:infer:1x256x512") == Case(
        "segmentation/w18", "infer", 1, 256, 512
    )
    case = timing.parse_case("classification/w48:train:32x224x224")
    assert case == Case("classification/w48", "train", 32, 224, 224)
    assert timing.parse_case(str(case)) == case


@pytest.mark.parametrize(
    "text", ["w18", "w18:infer:256x512", "w18:predict:1x2x3", "w18:infer:1x2xx"]
)
def test_unreadable_case_says_what_was_expected(text):
    with pytest.raises(ValueError, match=f"cannot read case '{text}'; expected"):
        timing.parse_case(text)


def test_programs_take_turns_and_the_first_call_of_a_turn_does_not_count():
    calls = []
    runners = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = timing.alternate(runners, rounds=2, calls=2)
    assert "".join(calls) == "aaa" + "bbb" + "bbb" + "aaa"
    assert {name: len(rounds) for name, rounds in times.items()} == {"a": 2, "b": 2}


def test_ratio_above_one_means_that_we_are_faster():
    assert timing.speed_ratio([1.0, 2.0, 4.0], [2.0, 4.0, 4.0]) == 2.0
    assert timing.summary([3.0, 1.0, 2.0]) == {"median_s": 2.0, "min_s": 1.0}


@pytest.mark.slow
def test_throughput_reports_every_figure(tmp_path, capsys):
    path = tmp_path / "result.json"
    cache_before = jax.config.jax_compilation_cache_dir
    throughput.main(
        ["--model", "segmentation/w18_small_v1", "--size", "32x64", "--steps", "2"]
        + ["--cache", str(tmp_path), "--json", str(path)]
    )
    result = json.loads(path.read_text())
    assert json.loads(capsys.readouterr().out) == result
    assert result["case"] == "segmentation/w18_small_v1:infer:1x32x64"
    for key in ("compile_s", "compile_from_cache_s", "first_step_s", "step_median_s"):
        assert result[key] > 0, key
    assert result["compile_from_cache_s"] < result["compile_s"]
    assert result["images_per_s"] == pytest.approx(1 / result["step_median_s"])
    assert result["flops_per_s"] == pytest.approx(
        result["flops"] / result["step_median_s"]
    )
    assert result["memory"]["program"] > 4 * 1_540_819
    assert result["memory"]["process_max_resident"] > result["memory"]["program"]
    assert result["environment"]["backend"] == "cpu"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert jax.config.jax_compilation_cache_dir == cache_before


@pytest.mark.slow
def test_programs_are_compiled_in_pieces_or_whole():
    program = jax_program.make_program(timing.parse_case(TINY))
    needs = {}
    for whole in (False, True):
        program.compile(whole)
        assert isinstance(program.compiled, PiecewiseProgram) != whole
        needs[whole] = program.memory_bytes()
    # Both hold all variables at least, and values of the same sizes.
    assert min(needs.values()) > 4 * 1_540_819
    assert needs[False] == pytest.approx(needs[True], rel=0.5)


def test_whole_programs_are_asked_for_by_a_flag(monkeypatch, capsys):
    asked = []

    def compile_program(self, whole=False):
        asked.append(whole)
        raise ValueError("seen")

    monkeypatch.setattr(jax_program.Program, "compile", compile_program)
    arguments = ["--model", "segmentation/w18_small_v1", "--size", "32x64"]
    for flags in ([], ["--whole"]):
        with pytest.raises(SystemExit):
            throughput.main(arguments + flags)
    assert asked == [False, True]
    assert capsys.readouterr().err.count("error: seen") == 2


@pytest.mark.slow
def test_cost_of_training_is_about_three_forward_passes():
    forward, step = (
        jax_program.make_program(Case("segmentation/w18_small_v1", mode, 1, 32, 64))
        for mode in timing.MODES
    )
    ratio = step.multiply_adds() / forward.multiply_adds()
    assert 2.8 < ratio < 3.2


def test_wrong_size_is_one_clear_error(capsys):
    with pytest.raises(SystemExit) as stop:
        throughput.main(["--size", "32by64"])
    assert stop.value.code == 2
    assert "error: cannot read case" in capsys.readouterr().err


def test_benchmarks_import_without_data_and_logging_packages():
    code = (
        "import sys\n"
        f"for name in {OPTIONAL!r}: sys.modules[name] = None\n"
        "import benchmarks.throughput, benchmarks.jax_program\n"
        f"print([name for name in {OPTIONAL!r} if sys.modules[name]])\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert process.stdout == "[]\n", process.stderr


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match="of family 'pyramid' cannot be trained"):
        jax_program.make_program(Case("pyramid/w18_small_v1", "train", 1, 32, 32))
    with pytest.raises(ValueError, match="with folded norms cannot be trained"):
        case = Case("segmentation/w18_small_v1", "train", 1, 32, 32)
        jax_program.make_program(case, folded=True)


def test_tracing_compiles_nothing():
    program = jax_program.make_program(timing.parse_case(TINY))
    assert program.trace() > 0
    assert program.compiled is None and program.compile_s == 0


def test_the_peak_is_that_of_a_matrix_product(monkeypatch):
    # A clock that gives every call a thousandth of a second.
    monkeypatch.setattr(throughput, "seconds", lambda call: (call(), 1e-3)[1])
    assert throughput.matmul_flops_per_s("float32") == 2 * 2048**3 / 1e-3
