"""Runs that go on past their end."""

import json
import re

import pytest

from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training import loop
from hrnet_jax.training.interruption import Interrupted
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import train
from tests import tiny


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def finished(folder, **changes):
    """A finished run of eight steps, as if trained with this configuration."""
    workdir = tiny.copy_of_finished_run(folder)
    values = to_json(tiny.config(**changes))
    (workdir / "config.json").write_text(json.dumps(values))
    return workdir


@pytest.mark.slow
def test_a_finished_run_goes_on_from_its_last_step(tmp_path, caplog):
    caplog.set_level("INFO", logger="hrnet_jax")
    workdir = finished(tmp_path, schedule__name="constant")
    longer = tiny.config(schedule__name="constant", num_steps=9)
    metrics = train(longer, workdir, extend=True)
    assert "resuming from step 8 of 9" in caplog.text
    result = tiny.result(workdir)
    assert result["num_steps"] == 9 and result["metrics"] == metrics
    assert json.loads((workdir / "config.json").read_text()) == to_json(longer)
    steps = [row["step"] for row in read_metrics(workdir) if "train/loss" in row]
    assert steps == list(range(1, 10))
    # Finished: the same command answers at once, and so does the usual one.
    assert train(longer, workdir, extend=True) == metrics == train(longer, workdir)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"schedule__name": "constant", "schedule__warmup_steps": 2}, {}),
        (
            {"schedule__name": "step", "schedule__boundaries": (0.5,)},
            {"schedule__boundaries": (0.25,)},
        ),
    ],
    ids=["constant", "step"],
)
def test_an_extended_run_ends_with_the_bits_of_a_long_one(short, long, tmp_path):
    train(tiny.config(**short, num_steps=4), tmp_path / "extended")
    longer = tiny.config(**{**short, **long, "num_steps": 8})
    train(longer, tmp_path / "extended", extend=True)
    train(longer, tmp_path / "whole")
    extended, whole = (tiny.state(tmp_path / name) for name in ("extended", "whole"))
    tiny.assert_equal_bits(extended, whole)


@pytest.mark.parametrize("name", ["poly", "cosine", "step"])
def test_schedules_over_the_whole_run_are_refused(name, tmp_path):
    workdir = finished(tmp_path, schedule__name=name)
    message = f"schedule.name={name} cannot be extended from 8 to 16 steps: the rate of"
    with pytest.raises(ConfigError, match=message) as caught:
        train(tiny.config(schedule__name=name, num_steps=16), workdir, extend=True)
    # A step at which both are seen to differ.
    rates = re.search(r"would have been (\S+), and was (\S+);", str(caught.value))
    assert rates[1] != rates[2]
    assert (workdir / "result.json").exists()
    assert json.loads((workdir / "config.json").read_text())["num_steps"] == 8


def test_a_run_is_not_shortened(tmp_path):
    workdir = finished(tmp_path, schedule__name="constant")
    shorter = tiny.config(schedule__name="constant", num_steps=0, num_epochs=3)
    message = "a run of 8 steps is extended by .* that make more, got 3 steps"
    with pytest.raises(ConfigError, match=message):
        train(shorter, workdir, extend=True)


def test_nothing_but_the_length_may_change(tmp_path):
    workdir = finished(tmp_path, schedule__name="constant")
    other = tiny.config(schedule__name="constant", num_steps=9, seed=1)
    with pytest.raises(CheckpointError, match=r"\(num_steps: 8 .*; seed: 0 there, 1"):
        train(other, workdir, extend=True)


def test_there_has_to_be_a_run(tmp_path):
    with pytest.raises(CheckpointError, match="config.json: no such file, so there is"):
        train(tiny.config(), tmp_path, extend=True)


def test_a_run_that_is_being_extended_is_not_finished(tmp_path, monkeypatch):
    def interrupted(self, state):
        raise Interrupted(8)

    workdir = finished(tmp_path, schedule__name="constant")
    monkeypatch.setattr(loop.Loop, "__call__", interrupted)
    longer = tiny.config(schedule__name="constant", num_steps=9)
    with pytest.raises(Interrupted):
        train(longer, workdir, extend=True)
    assert not (workdir / "result.json").exists()
    # So both commands resume it.
    for extend in (True, False):
        with pytest.raises(Interrupted):
            train(longer, workdir, extend=extend)
