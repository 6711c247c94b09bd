"""Lines of metrics.jsonl, JSON files and TensorBoard events."""

import json
import math
import os

import numpy as np
import pytest

from hrnet_jax.training.reporting import Reporter, read_metrics
from hrnet_jax.workdir.files import write_json


def report(folder, first_step, steps):
    reporter = Reporter(folder, first_step, tensorboard=False)
    for step in steps:
        reporter.scalars(step, {"train/loss": float(step)})
    reporter.close()


def test_one_line_per_call(tmp_path):
    report(tmp_path, 0, [1, 2])
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "train/loss": 1.0},
        {"step": 2, "train/loss": 2.0},
    ]
    assert read_metrics(tmp_path) == [json.loads(line) for line in lines]


def test_lines_after_the_restored_step_are_dropped(tmp_path):
    report(tmp_path, 0, [1, 2, 3, 4])
    report(tmp_path, 2, [3, 4, 5])
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_half_a_line_is_dropped(cut, tmp_path):
    report(tmp_path, 0, [1, 2, 3])
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-cut])
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]
    report(tmp_path, 2, [3])
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 40,
        b'{"step": 2, "train/lo{"step": 3}',
        b"[2]",
        b'{"loss": 1}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_is_named_and_left_out(damage, tmp_path, caplog):
    report(tmp_path, 0, [1])
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + damage + b"\n\n")
    report(tmp_path, 4, [5])  # a run that resumes goes on, and leaves no damage
    (message,) = caplog.messages
    assert message == f"{path}: line 2 cannot be read; left out"
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 5]
    assert len(caplog.messages) == 1


def test_no_file_is_no_lines(tmp_path):
    assert read_metrics(tmp_path) == []


def test_numbers_that_are_not_finite_are_valid_json(tmp_path):
    reporter = Reporter(tmp_path, tensorboard=False)
    reporter.scalars(1, {"loss": math.nan, "norm": math.inf})
    reporter.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "step": 1,
        "loss": "nan",
        "norm": "inf",
    }


def test_other_processes_write_nothing(tmp_path):
    reporter = Reporter(tmp_path, active=False)
    reporter.scalars(1, {"loss": 1.0})
    reporter.pictures(1, {"a": np.zeros((2, 2, 3), np.uint8)})
    reporter.close()
    assert list(tmp_path.iterdir()) == []


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "result.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": 2, "b": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    # Nor does a failed write leave its temporary file behind.
    assert [entry.name for entry in path.parent.iterdir()] == ["result.json"]
    assert os.stat(path).st_mode & 0o777 == 0o644


def test_events_hold_scalars_and_pictures(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    reporter = Reporter(tmp_path)
    reporter.scalars(3, {"train/loss": 0.25})
    reporter.pictures(3, {"scene": picture})
    reporter.close()
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    (path,) = tmp_path.glob("events.*")
    values = {
        value.tag: (event.step, value)
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    }
    step, loss = values["train/loss"]
    assert step == 3 and tensor_util.make_ndarray(loss.tensor) == 0.25
    assert any(tag.startswith("scene") for tag in values)
