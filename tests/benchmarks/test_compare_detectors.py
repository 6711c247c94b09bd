"""The comparison of detectors with torchvision compares the same work."""

import functools
import importlib.util
import json
import os
import sys

import numpy as np
import pytest

from benchmarks import compare_detectors, detector_check, detector_work, timing
from benchmarks.peer import Peer
from benchmarks.timing import Case
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model
from tests.goldens import official

CASE = "detection/faster_rcnn_small:infer:1x64x96"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    variant = Variant(4, stage1_blocks=1, stage1_width=8, modules=(1, 0, 0), blocks=1)
    monkeypatch.setitem(VARIANTS, "small", variant)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def python():
    """A Python that has torch and torchvision."""
    named = os.environ.get("HRNET_JAX_TORCH_PYTHON")
    if named:
        return named
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("no torchvision; $HRNET_JAX_TORCH_PYTHON may name one's Python")
    return sys.executable


@pytest.mark.slow
@pytest.mark.parametrize("mode", timing.MODES)
def test_both_compute_the_same(mode, python, monkeypatch):
    if mode == "infer":  # Otherwise it finds nothing.
        monkeypatch.setitem(detector_work._HEAD_SCALES, "box_head/classes", 40.0)
    case = Case(CASE.split(":")[0], mode, 1, 64, 96)
    found, versions = detector_check.check(case, python, (64, 96), gradients=True)
    assert "torchvision" in versions
    if mode == "infer":
        assert found.keys() == {"outputs", "found"}
    else:
        kinds = [name.split("/")[0] for name in found]
        assert kinds == ["loss"] * 4 + ["gradient"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("mode", timing.MODES)
def test_cases_are_timed_in_turns_and_written(
    mode, python, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(detector_work._HEAD_SCALES, "box_head/classes", 40.0)
    monkeypatch.setattr(detector_check, "SIDES", (64, 96))
    path = tmp_path / "report.json"
    arguments = [f"--torch-python={python}", "--rounds=1", "--calls=1", "--threads=1"]
    case = CASE.replace("infer", mode)
    compare_detectors.main([*arguments, f"--case={case}", f"--json={path}"])
    (result,) = json.loads(path.read_text())["cases"]
    assert result["programs"].keys() == {
        "jax_folded" if mode == "infer" else "jax",
        "torch_eager",
        "torch_channels_last",
    }
    ours, theirs = (result["programs"][result[key]] for key in ("ours", "best_torch"))
    ratio = theirs["median_s"] / ours["median_s"]
    assert result["speed_ratio_to_best"] == pytest.approx(ratio)
    assert ours["compile_s"] > 0
    assert theirs["memory"]["process_max_resident"] > 1e8
    name = {"infer": "inference", "train": "training"}[mode]
    assert f"| faster_rcnn_small {name} 1x64x96 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call_s", "expected"),
    [(1.0, "aaa bbb bbb aaa aaa bbb"), (15.0, "a b b a a b"), (90.0, "a b b a")],
)
def test_long_calls_take_few_turns(call_s, expected):
    options = compare_detectors._parse(
        ["--torch-python=python", "--rounds=3", "--calls=2"]
    )
    seen = []
    runners = {name: functools.partial(seen.append, name) for name in "ab"}
    compare_detectors._in_turns(runners, call_s, options)
    assert "".join(seen) == expected.replace(" ", "")


def test_a_peer_that_does_not_start_is_one_clear_error(tmp_path):
    for python in (str(tmp_path / "none"), "/bin/true"):
        with pytest.raises(ValueError, match="^--torch-python: "):
            Peer(python, tmp_path / "folder" / "peer.py")


@pytest.mark.parametrize(
    "case",
    ["w18:infer", "segmentation/w18:infer:1x8x8", "detection/fcos_w18:infer:1x8x8"],
)
def test_cases_of_other_models_are_refused(case, capsys):
    with pytest.raises(SystemExit) as stop:
        compare_detectors.main(["--torch-python=python", f"--case={case}"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "error: cannot read case" in error or "no PyTorch counterpart of" in error


def test_what_fails_over_there_is_told_with_its_reason(tmp_path):
    script = tmp_path / "folder" / "peer.py"
    script.parent.mkdir()
    script.write_text(
        "import sys\nprint('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        "    print('0.5' if 'eager' in line else 'failed: no memory', flush=True)\n"
    )
    peer = Peer(sys.executable, script)
    assert peer.greeting == "ready" and peer.seconds("eager") == 0.5
    with pytest.raises(ValueError, match="^no memory$"):
        peer.seconds("channels_last")
    peer.close()


def test_a_detector_that_differs_is_refused(monkeypatch):
    found = {"outputs": 1e-6, "found": 0.5}
    with pytest.raises(
        ValueError, match="found is 0.5, expected at least 0.98; the two"
    ):
        detector_check.refuse_differences(CASE, found)
    with pytest.raises(ValueError, match="outputs is 0.01, expected at most 0.0001"):
        detector_check.refuse_differences(CASE, {"outputs": 0.01, "found": 1.0})


def test_names_and_shapes_are_those_of_mmdetection():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from benchmarks.torch_detector import FasterRCNN

    model = create_model("detection/faster_rcnn_w18")
    with torch.device("meta"):
        network = FasterRCNN(VARIANTS["w18"], detector_work.work_of(model))
    state = network.state_dict()
    expected = official.info("detectors/faster_rcnn_w18")["state_dict"]
    assert {name: list(tensor.shape) for name, tensor in state.items()} == {
        row[0]: row[1] for row in expected
    }


def test_objects_lie_in_the_image():
    model = create_model("detection/mask_rcnn_w18")
    batch = detector_work.draw_objects(np.random.default_rng(0), (2, 320, 480), model)
    boxes = batch["boxes"][batch["box_valid"]]
    assert boxes.shape == (2 * detector_work.OBJECTS, 4)
    assert (boxes >= 0).all() and (boxes <= [480, 320] * 2).all()
    assert (boxes[:, 2:] > boxes[:, :2] + 20).all()
    assert batch["masks"].shape == (2, detector_work.PLACES, 112, 112)
