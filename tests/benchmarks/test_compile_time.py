"""Compile times are those of fresh processes and are held against the targets."""

import json

import pytest

from benchmarks import compile_time
from hrnet_jax import runtime
from hrnet_jax.models.variants import VARIANTS
from tests import tiny

W48 = "segmentation/w48:train:2x128x128"


def phases(compile_s):
    return dict.fromkeys(compile_time._PHASES, 1.0) | {"compile_s": compile_s}


@pytest.fixture
def children(monkeypatch):
    """What was asked of fresh processes, which answer at once."""
    asked = []

    def answer(task, dtype, cache):
        asked.append((task, dtype, cache))
        if task.startswith("init"):
            return {"initial_variables_s": 2.0, "jit_model_init_s": 34.0}
        is_first = [each[2] for each in asked].count(cache) == 1
        return phases(19.5 if is_first else 4.5)

    monkeypatch.setattr(compile_time, "_run_child", answer)
    return asked


def test_detectors_have_a_target_of_their_own(children, tmp_path, capsys):
    case = "detection/faster_rcnn_w18:train:1x32x32"
    compile_time.main([f"--case={case}", f"--json={tmp_path / 'report.json'}"])
    assert f"{case}, cold target 60 s met" in capsys.readouterr().out


def test_a_case_runs_twice_with_one_cache_of_its_own(children, tmp_path, capsys):
    path = tmp_path / "report.json"
    compile_time.main(
        [f"--case={W48}", "--case=w18:infer:1x32x32", f"--json={path}", "--jit-init"]
    )
    tasks = [task for task, _, _ in children]
    assert tasks[:4] == [f"run {W48}"] * 2 + ["run segmentation/w18:infer:1x32x32"] * 2
    caches = [cache for _, _, cache in children]
    assert caches[0] == caches[1] != caches[2] == caches[3]
    w48, w18 = json.loads(path.read_text())["cases"]
    assert (w48["ready_cold_s"], w48["ready_cached_s"]) == (20.5, 5.5)
    assert w48["targets"] == {"cold": 20.0, "cached": 6.0} and "targets" not in w18
    out = capsys.readouterr().out
    assert "cold target 20 s missed, cached target 6 s met" in out
    assert "initial variables 2.0 s, jit(model.init) 34.0 s" in out


@pytest.mark.slow
def test_a_case_that_fails_is_reported_and_ends_with_a_code(tmp_path, capsys):
    # A process of its own, which knows no such model.
    path = tmp_path / "report.json"
    with pytest.raises(SystemExit) as stop:
        compile_time.main(["--case=w19:infer:1x32x32", f"--json={path}"])
    assert stop.value.code == 1
    (case,) = json.loads(path.read_text())["cases"]
    assert case["failed"].startswith("unknown model 'segmentation/w19'; expected one")
    assert "| segmentation/w19:infer:1x32x32 |            failed |" in (
        capsys.readouterr().out
    )


def test_unreadable_cases_are_one_clear_error(capsys):
    with pytest.raises(SystemExit) as stop:
        compile_time.main(["--case=w18"])
    assert stop.value.code == 2
    assert "error: cannot read case 'w18'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_child_measures_every_phase(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    folders = []
    monkeypatch.setattr(runtime, "enable_compilation_cache", folders.append)
    task = "--child=run segmentation/tiny:train:1x32x32"
    compile_time.main([task, f"--cache={tmp_path}", "--started=1.0"])
    measured = json.loads(capsys.readouterr().out)
    assert set(measured) == set(compile_time._PHASES)
    assert min(measured.values()) > 0
    assert folders == [str(tmp_path)]


@pytest.mark.slow
def test_a_child_times_both_ways_to_draw_variables(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    monkeypatch.setattr(runtime, "enable_compilation_cache", lambda folder: None)
    task = "--child=init segmentation/tiny:infer:1x32x32"
    compile_time.main([task, f"--cache={tmp_path}", "--started=1.0"])
    measured = json.loads(capsys.readouterr().out)
    assert measured["initial_variables_s"] > 0 and measured["jit_model_init_s"] > 0


def test_all_means_every_model_to_infer_and_to_train_where_it_can(children, tmp_path):
    compile_time.main(["--all", f"--json={tmp_path / 'report.json'}"])
    tasks = {task.removeprefix("run ") for task, _, _ in children}
    assert {"pose/w64:train:2x256x192", "pyramid/w18:infer:1x128x128"} <= tasks
    assert not any(task.startswith("pyramid/w18:train") for task in tasks)
    # Nine variants of seven kinds and five detectors; the pyramid and bare maps are not
    # trained.
    assert len(tasks) == 9 * (7 + 5 + 5 + 5)
