"""The comparison with PyTorch compares the same work and hides no failure."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import jax_program, timing
from benchmarks.timing import Case
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.inference.predictor import Predictor
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.task import SegmentationTask
from tests.tiers import fast_are

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
output_check = pytest.importorskip("benchmarks.output_check")
compare_torch = pytest.importorskip("benchmarks.compare_torch")
torch_program = pytest.importorskip("benchmarks.torch_program")

ROOT = pathlib.Path(__file__).parents[2]
CASE = "segmentation/small:infer:1x32x32"
RUN_ONCE = ["--rounds=1", "--calls=1"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A network with every kind of layer, and one thread: more crawl when busy."""
    variant = Variant(4, stage1_blocks=1, stage1_width=8, modules=(1, 0, 0), blocks=1)
    monkeypatch.setitem(VARIANTS, "small", variant)
    torch.set_num_threads(1)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(compare_torch, "matmul_flops_per_s", lambda dtype: 1e9)


@pytest.mark.parametrize(
    ("family", "mode"),
    [
        pytest.param("segmentation", "infer", marks=pytest.mark.slow),
        pytest.param("segmentation", "train", marks=pytest.mark.slow),
        pytest.param("landmarks", "train", marks=pytest.mark.slow),
        pytest.param("classification", "train", marks=pytest.mark.slow),
    ],
)
def test_pytorch_does_the_same_work(family, mode):
    case = Case(f"{family}/small", mode, 2, 32, 64)
    result = compare_torch.compare(
        case, "float32", compare_torch.How(1, 1, compiled=False)
    )
    assert result["output_difference_in_std"] < 1e-4
    assert set(result["speed_ratio"]) == {"torch_eager", "torch_channels_last"}
    ours = {"jax", "jax_folded"} if mode == "infer" else {"jax"}
    assert set(result["programs"]) == ours | set(result["speed_ratio"])
    for program in result["programs"].values():
        assert 0 < program["min_s"] <= program["median_s"]
        assert program["first_call_s"] > 0
    assert result["programs"]["jax"]["compile_s"] > 0


def test_the_best_of_pytorch_is_the_fastest_that_ran():
    names = ("jax", "torch_eager", "torch_channels_last", "torch_compile")
    times = dict(zip(names, ([2.0], [5.0], [3.0], [4.0]), strict=True))
    programs = {name: {"median_s": turns[0]} for name, turns in times.items()}
    result = {"programs": programs, "ours": "jax", "flops": 10, "case": CASE}
    ratios = compare_torch._ratios(result, times)
    assert ratios["best_torch"] == "torch_channels_last"
    assert ratios["speed_ratio_to_best"] == 1.5
    assert ratios["flops_per_s"] == 5.0


@pytest.mark.slow
def test_networks_that_differ_are_refused(monkeypatch):
    program = jax_program.InferProgram
    monkeypatch.setattr(
        program, "__call__", lambda self: np.zeros((1, 8, 8, 19), np.float32)
    )
    with pytest.raises(ValueError, match="outputs differ from PyTorch's"):
        output_check.check_outputs(timing.parse_case(CASE), "cpu")


@pytest.mark.slow
def test_folded_norms_are_checked_as_well(monkeypatch):
    call = jax_program.InferProgram.__call__

    def wrong_where_folded(self):
        outputs = call(self)
        return outputs * 2 if self.model.norm.is_folded else outputs

    monkeypatch.setattr(jax_program.InferProgram, "__call__", wrong_where_folded)
    with pytest.raises(ValueError, match="outputs differ from PyTorch's"):
        output_check.check_outputs(timing.parse_case(CASE), "cpu")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("infer", "float32", "cpu", False), "eager channels_last"),
        (
            ("infer", "float32", "cpu", True),
            "eager channels_last compile compile_freezing",
        ),
        (("train", "float32", "cpu", True), "eager channels_last compile"),
        (
            ("train", "float32", "cuda", True),
            "eager channels_last compile compile_max_autotune",
        ),
        (
            ("infer", "bfloat16", "cuda", True),
            "autocast_channels_last autocast_compile autocast_compile_max_autotune",
        ),
    ],
)
def test_pytorch_runs_in_every_way_that_fits(arguments, expected):
    names = torch_program.variants(*arguments)
    assert [name.removeprefix("torch_") for name in names] == expected.split()


@pytest.mark.slow
def test_a_way_that_does_not_run_is_shown_with_its_reason(
    monkeypatch, tmp_path, capsys
):
    def no_compiler(*args, **kwargs):
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr(torch, "compile", no_compiler)
    path = tmp_path / "report.json"
    compare_torch.main(
        [f"--case={CASE}", *RUN_ONCE, "--torch-compile", f"--json={path}"]
    )
    report = json.loads(path.read_text())
    (result,) = report["cases"]
    assert result["programs"]["torch_compile"] == {
        "failed": "RuntimeError: no C++ compiler"
    }
    assert result["best_torch"] in ("torch_eager", "torch_channels_last")
    assert f"--case={CASE}" in report["command"]
    assert report["environment"]["torch"] == torch.__version__
    share = result["flops_per_s"] / 1e9
    assert result["share_of_matmul_peak"] == pytest.approx(share)
    name = "segmentation/small inference 1x32x32"
    out = capsys.readouterr().out
    assert f"{name} with torch_compile failed: RuntimeError: no C++ compiler\n" in out


@pytest.mark.slow
def test_a_case_that_fails_leaves_the_others_and_a_code(monkeypatch, tmp_path):
    compare = compare_torch.compare

    def fail_at_first(case, *rest):
        if case.width == 64:
            raise ValueError("outputs differ")
        return compare(case, *rest)

    monkeypatch.setattr(compare_torch, "compare", fail_at_first)
    path = tmp_path / "report.json"
    cases = ["--case=small:infer:1x32x64", f"--case={CASE}"]
    with pytest.raises(SystemExit) as stop:
        compare_torch.main([*cases, *RUN_ONCE, f"--json={path}"])
    assert stop.value.code == 1
    failed, done = json.loads(path.read_text())["cases"]
    assert failed["failed"] == "ValueError: outputs differ"
    assert done["speed_ratio_to_best"] > 0


def test_shares_are_of_the_largest_peak_that_was_seen(monkeypatch):
    peaks = iter([40.0, 80.0, 20.0])
    monkeypatch.setattr(compare_torch, "matmul_flops_per_s", lambda dtype: next(peaks))
    cases = [{"dtype": "float32", "flops_per_s": 8.0}, {"dtype": "float32"}]
    report = {"matmul_flops_per_s": {"float32": 0.0}, "cases": cases}
    shares = []
    for _ in range(3):
        compare_torch._add_shares(report, "float32")
        shares.append(cases[0]["share_of_matmul_peak"])
    assert shares == [0.2, 0.1, 0.1]
    assert "share_of_matmul_peak" not in cases[1]


@pytest.mark.parametrize(
    "case", ["small:infer", "small:predict:1x32x32", "small:infer:1x32"]
)
def test_wrong_cases_are_one_clear_error(case, capsys):
    with pytest.raises(SystemExit) as stop:
        compare_torch.main([f"--case={case}"])
    assert stop.value.code == 2
    assert "error: cannot read case" in capsys.readouterr().err


@pytest.mark.slow
def test_all_writes_the_published_cases_to_the_results(monkeypatch, tmp_path):
    monkeypatch.setattr(compare_torch, "FOLDER", tmp_path)
    seen = []

    def compare(case, dtype, how):
        seen.append((str(case), dtype, how.compiled))
        raise ValueError("seen")

    monkeypatch.setattr(compare_torch, "compare", compare)
    with pytest.raises(SystemExit):
        compare_torch.main(["--all"])
    report = json.loads((tmp_path / "compare_torch_cpu.json").read_text())
    assert [result["case"] for result in report["cases"]] == [c for c, _, _ in seen]
    assert {(dtype, compiled) for _, dtype, compiled in seen} == {("float32", True)}
    models = {case.split(":")[0] for case, _, _ in seen}
    assert models == {
        *(f"segmentation/{variant}" for variant in ("w18", "w32", "w48")),
        *("landmarks/w18", "pose/w32", "classification/w18", "classification/w48"),
    }


@pytest.mark.slow
def test_pytorch_memory_holds_weights_and_the_peak_of_a_call():
    peaks = {}
    for mode in timing.MODES:
        case = Case("segmentation/small", mode, 1, 64, 64)
        program = jax_program.make_program(case)
        theirs = torch_program.TorchProgram(
            case, torch_program.Variant(), program, "cpu"
        )
        theirs.warm_up()
        weights = sum(weight.nbytes for weight in theirs._network.parameters())
        peaks[mode] = theirs.peak_bytes() - weights
    image = 4 * 3 * 64 * 64
    largest_map = 4 * 64 * 32 * 32
    assert peaks["infer"] >= image + largest_map
    # Training keeps gradients, momenta and what the backward pass needs.
    assert peaks["train"] > peaks["infer"] + 2 * weights


def test_torch_compile_starts_without_kept_kernels(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/kept")
    with torch_program._caching_in(None):
        folder = pathlib.Path(torch_program.os.environ["TORCHINDUCTOR_CACHE_DIR"])
        assert list(folder.iterdir()) == []
    assert torch_program.os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/kept"
    assert not folder.exists()
    with torch_program._caching_in("/chosen"):
        assert torch_program.os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/chosen"


@pytest.mark.slow
def test_only_the_programs_asked_for_are_timed():
    case = timing.parse_case(CASE)
    how = compare_torch.How(1, 1, compiled=False, only=["jax_folded", "torch_eager"])
    result = compare_torch.compare(case, "float32", how)
    assert list(result["programs"]) == ["jax_folded", "torch_eager"]
    with pytest.raises(ValueError, match="--only lacks jax_folded, which users get"):
        compare_torch.compare(
            case, "float32", compare_torch.How(1, 1, False, ["torch_eager"])
        )


def test_ours_is_what_a_user_runs(monkeypatch):
    class Seen(Exception):
        pass

    def predict(self, variables, batch):
        raise Seen(self.model.norm.is_folded)

    monkeypatch.setattr(SegmentationTask, "predict", predict)
    info = DatasetInfo("two", 2, ("a", "b"), ((0, 0, 0),) * 2)
    model = create_model("segmentation/small", num_classes=2)
    predictor = Predictor(SegmentationTask(model, info), initial_variables(model))
    with pytest.raises(Seen) as seen:
        predictor.predict(np.zeros((32, 32, 3), np.uint8))
    served = "jax_folded" if seen.value.args[0] else "jax"
    assert compare_torch.OURS["infer"] == served


@pytest.mark.parametrize(
    "name",
    fast_are(
        ["results_table"],
        ["compare_torch", "compile_time", "rematerialisation", "results_table"],
    ),
)
def test_benchmarks_run_as_files_from_any_folder(name, tmp_path):
    # `cProfile` imports `profile`, whose place benchmarks/profile.py must not take.
    process = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "usage:" in process.stdout
