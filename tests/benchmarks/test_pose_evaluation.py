"""The ratio of a whole evaluation to its predict step: that it is of the same persons."""

import pytest

from benchmarks import pose_evaluation
from hrnet_jax.models.variants import VARIANTS
from tests import tiny_pose


@pytest.mark.slow
def test_both_rates_are_printed(capsys, monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny_pose", tiny_pose.VARIANT)
    small = ["--model=tiny_pose", "--size=32x24", "--photographs=3", "--batch=4"]
    pose_evaluation.main([*small, "--repeats=1"])
    header, step, whole = capsys.readouterr().out.splitlines()
    assert header.split() == ["persons/s", "ratio", "should", "be"]
    assert step.startswith("predict step") and whole.endswith(">= 0.9")
    rates = float(step.split()[-1]), float(whole.split()[-4])
    assert 0 < rates[1] < rates[0]


@pytest.mark.parametrize("wrong", ["--size=big", "--repeats=0", "--model=w7"])
def test_wrong_input_is_one_line(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        pose_evaluation.main([wrong])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
