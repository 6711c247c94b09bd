"""The curve of rematerialisation: memory and time of each policy."""

import json

import pytest

from benchmarks import rematerialisation
from hrnet_jax.models.variants import VARIANTS, Variant

MODEL = "--model=segmentation/small"
SMALL = ["--batch=2", "--size=64x64", "--rounds=1", "--calls=1"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    variant = Variant(8, stage1_blocks=1, stage1_width=8, modules=(1, 0, 0), blocks=2)
    monkeypatch.setitem(VARIANTS, "small", variant)


@pytest.mark.slow
def test_policies_are_measured_and_drawn(tmp_path, capsys):
    path, picture = tmp_path / "report.json", tmp_path / "curve.png"
    rematerialisation.main(
        [MODEL, *SMALL, "--policy=none", "--policy=modules", "--whole"]
        + [f"--json={path}", f"--picture={picture}"]
    )
    (case,) = json.loads(path.read_text())["cases"]
    assert case["case"] == "segmentation/small:train:2x64x64"
    none, modules = case["policies"]["none"], case["policies"]["modules"]
    assert modules["memory"]["program"] < none["memory"]["program"]
    assert modules["multiply_adds"] > none["multiply_adds"]
    assert modules["loss"] == pytest.approx(none["loss"], rel=1e-5)
    for result in (none, modules):
        assert 0 < result["min_s"] <= result["median_s"]
        assert result["whole_program_bytes"] > 0
    share = 100 * modules["memory"]["program"] / none["memory"]["program"]
    out = capsys.readouterr().out
    assert f" {share:.0f} % |" in out and "uncut, MB" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_policy_that_changes_the_loss_is_refused():
    results = {"none": {"loss": 1.0}, "blocks": {"loss": 1.1}}
    with pytest.raises(ValueError, match="the loss is 1.0 and with blocks 1.1"):
        rematerialisation._check_losses("case", results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy=all"], "'model.remat' must be one of none, modules"),
        (["--size=64"], "cannot read case 'segmentation/small:train:4x64'"),
    ],
)
def test_wrong_input_is_one_clear_error(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        rematerialisation.main([MODEL, *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
