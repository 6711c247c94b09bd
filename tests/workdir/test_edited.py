"""Work directories that somebody edited: garbage is named, in every reader of them."""

import json

import pytest

from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.experiment.loading import load_config
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import train
from hrnet_jax.workdir.variables import saved_variables
from scripts.evaluate import score_run
from tests import tiny
from tests.tiers import fast_are

GARBAGE = {
    "empty": (b"", "not valid JSON"),
    "half": (b'{"task": "segmen', "not valid JSON"),
    "bytes": (b"\xff\xfe\x00\x01", "not valid JSON"),
    "deep": (b"[" * 100_000, "not valid JSON"),
    "list": (b"[1]", "expected"),
    "null": (b"null", "expected"),
    "text": (b'"segmentation"', "expected"),
    "number as a task": (b'{"task": 5}', "unknown task 5"),
    "list as a task": (b'{"task": ["segmentation"]}', "unknown task"),
}
READERS = {
    "train": lambda workdir: train(tiny.config(), workdir),
    "load_run": load_run,
    "load_config": lambda workdir: load_config(workdir / "config.json"),
    "init_from": lambda workdir: saved_variables(workdir, "best"),
    "evaluate": lambda workdir: score_run(
        str(workdir), "best", [], [], None, faces=False
    ),
}


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", GARBAGE)
def test_a_configuration_that_is_garbage_is_named(name, reader, tmp_path):
    content, message = GARBAGE[name]
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises((CheckpointError, ConfigError)) as error:
        READERS[reader](tmp_path)
    text = str(error.value)
    assert message in text and "\n" not in text
    assert "unknown task" in message or text.startswith(f"{tmp_path}/config.json: ")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def edit(workdir, section, key, value):
    path = workdir / "config.json"
    config = json.loads(path.read_text())
    config[section][key] = value
    path.write_text(json.dumps(config))


def test_an_edited_value_that_may_change_gives_way_to_the_one_asked_for(tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    edit(workdir, "logging", "every_steps", 7)
    assert train(tiny.config(), workdir) == tiny.result(workdir)["metrics"]
    config = json.loads((workdir / "config.json").read_text())
    assert config["logging"]["every_steps"] == tiny.config().logging.every_steps


@pytest.mark.parametrize("finished", [True, False])
def test_an_edited_value_that_may_not_change_is_named(finished, tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    if not finished:
        (workdir / "result.json").unlink()
    edit(workdir, "schedule", "learning_rate", 0.5)
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    with pytest.raises(CheckpointError) as error:
        train(tiny.config(), workdir)
    assert str(error.value).startswith(
        f"{workdir} belongs to a run of another configuration "
        "(schedule.learning_rate: 0.5 there, 0.2 here)"
    )
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "result.json: not valid JSON"),
        ("[]", "result.json: holds a list, expected keys and values"),
        (
            '{"metrics": 3}',
            "result.json: expected numbers under the key 'metrics'; delete the",
        ),
    ],
)
def test_an_edited_result_is_named(content, message, tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    (workdir / "result.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        train(tiny.config(), workdir)


@pytest.mark.parametrize(
    "line",
    fast_are(["[1]", "{}"], ["[1]", "3", "{}", '{"step": "1"}', "half", "[" * 100_000]),
)
def test_an_edited_line_of_metrics_is_named(line, tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n\n{line}\n{{"step": 2}}\n')
    assert [each["step"] for each in read_metrics(tmp_path)] == [1, 2]
    assert caplog.messages == [f"{path}: line 3 cannot be read; left out"]
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3, "half')
    assert [each["step"] for each in read_metrics(tmp_path)] == [1, 2]
