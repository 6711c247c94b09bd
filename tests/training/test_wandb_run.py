"""Runs in Weights & Biases: with a stand-in for the package, and offline with itself."""

import importlib.util
import json
import struct
import sys
import types

import numpy as np
import pytest

from hrnet_jax.config import command_line
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.sections import LoggingOptions
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.reporting import Reporter, read_metrics
from hrnet_jax.training.train import train
from hrnet_jax.training.wandb_run import WANDB_FILE, WandbRun
from tests import tiny

OPTIONS = LoggingOptions(wandb="team/streets", wandb_tags=("a", "b"))
BEST = ("mean_iou", "max")
PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


class StandIn(types.ModuleType):
    """The part of the package that is used, noting every call.

    Attributes:
        calls: (name, arguments) in their order.
        broken: names of calls that fail.
    """

    def __init__(self):
        super().__init__("wandb")
        self.calls = []
        self.broken = {}

    def init(self, **kwargs):
        self._note("init", **kwargs)
        run = types.SimpleNamespace(config=self._updates("config"))
        run.summary = self._updates("summary")
        for name in ("log", "define_metric", "finish"):
            setattr(run, name, lambda *args, n=name, **kw: self._note(n, *args, **kw))
        return run

    def Image(self, picture, caption):
        return picture.shape, caption

    def _updates(self, name):
        return types.SimpleNamespace(
            update=lambda *args, **kwargs: self._note(name, *args, **kwargs)
        )

    def _note(self, name, /, *args, **kwargs):
        if name in self.broken:
            raise self.broken[name]
        self.calls.append((name, *args, kwargs) if kwargs else (name, *args))

    def named(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.fixture
def wandb(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    monkeypatch.delenv("WANDB_NAME", raising=False)
    return stand_in


def begin(workdir, options=OPTIONS):
    workdir.mkdir(exist_ok=True)
    return WandbRun(workdir, options, {"seed": 0}, BEST)


def test_a_run_begins_with_its_configuration(wandb, tmp_path):
    begin(tmp_path / "mine").close()
    ((kwargs,),) = wandb.named("init")
    stored = json.loads((tmp_path / "mine" / WANDB_FILE).read_text())
    assert stored == {"project": "team/streets", "id": kwargs["id"]}
    assert len(kwargs.pop("id")) == 8
    assert kwargs == {
        "entity": "team",
        "project": "streets",
        "resume": "allow",
        "name": "mine",
        "mode": None,
        "tags": ["a", "b"],
        "dir": str(tmp_path / "mine"),
        "reinit": "create_new",
    }
    assert wandb.named("config") == [({"seed": 0}, {"allow_val_change": True})]
    assert wandb.named("define_metric") == [
        ("step", {"hidden": True}),
        ("*", {"step_metric": "step"}),
        ("eval/mean_iou", {"step_metric": "step", "summary": "max"}),
    ]
    assert wandb.named("finish") == [({"exit_code": 0},)]


def test_a_session_that_resumes_adds_to_the_run(wandb, tmp_path):
    begin(tmp_path).close(failed=True)
    begin(tmp_path).close()
    (first,), (second,) = wandb.named("init")
    assert first["id"] == second["id"]
    # Who gave it another name in between finds that again.
    assert second["name"] is None
    assert wandb.named("finish") == [({"exit_code": 1},), ({"exit_code": 0},)]
    begin(tmp_path, LoggingOptions(wandb="another")).close()
    assert wandb.named("init")[2][0]["id"] != first["id"]


def test_name_and_mode_can_be_given(wandb, tmp_path, monkeypatch):
    options = LoggingOptions(wandb="p", wandb_name="n", wandb_mode="offline")
    begin(tmp_path, options)
    monkeypatch.setenv("WANDB_NAME", "of the environment")
    begin(tmp_path / "b")
    (given,), (of_environment,) = wandb.named("init")
    assert (given["name"], given["mode"]) == ("n", "offline")
    assert (given["entity"], given["tags"]) == (None, None)
    assert of_environment["name"] is None


def test_an_unknown_mode_is_refused():
    message = "'logging.wandb_mode' is 'of'; expected one of online, offline, disabled"
    with pytest.raises(ConfigError, match=message):
        LoggingOptions(wandb_mode="of")


def test_a_run_that_cannot_begin_ends_before_it_trains(wandb, tmp_path):
    wandb.broken["init"] = RuntimeError("No API key configured.\nMore of it")
    message = (
        r"^config key 'logging.wandb' is 'team/streets', but no run can begin there "
        r"\(No API key configured\); `wandb login` .*logging.wandb_mode=offline"
    )
    for _ in range(2):  # the second is not taken for one that resumes
        with pytest.raises(ConfigError, match=message):
            begin(tmp_path)


def test_a_session_that_resumes_goes_on_without(wandb, tmp_path, caplog):
    begin(tmp_path).close()
    stored = (tmp_path / WANDB_FILE).read_text()
    wandb.broken["init"] = RuntimeError("no network")
    run = begin(tmp_path)
    run.scalars(1, {"train/loss": 1.0})
    run.close()
    (warning,) = caplog.messages
    assert warning.startswith("Weights & Biases failed (no network): training goes on")
    assert wandb.named("log") == []
    # And the next one tries again.
    assert (tmp_path / WANDB_FILE).read_text() == stored


@pytest.mark.parametrize("call", ["log", "summary", "finish"])
def test_training_goes_on_where_it_fails_later(call, wandb, tmp_path, caplog):
    run = begin(tmp_path)
    wandb.broken[call] = ConnectionResetError("Connection lost")
    run.scalars(1, {"train/loss": 1.0})
    run.pictures(1, {"scene": PICTURE})
    run.result({"mean_iou": 0.5})
    run.close()
    (message,) = caplog.messages
    assert message == (
        "Weights & Biases failed (Connection lost): training goes on without it, and "
        "what it misses is in metrics.jsonl"
    )


def test_other_processes_begin_no_run(wandb, tmp_path):
    Reporter(tmp_path, others=lambda: [begin(tmp_path)], active=False).close()
    assert wandb.calls == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("found", [None, types.ModuleType("wandb")])
def test_a_missing_package_is_one_line(found, tmp_path, monkeypatch, capsys):
    # A folder of runs, beside a script or a notebook, can be imported instead.
    monkeypatch.setitem(sys.modules, "wandb", found)
    with pytest.raises(SystemExit), command_line.reporting_errors():
        begin(tmp_path)
    assert capsys.readouterr().err == (
        "error: this needs the package wandb, which is not installed: "
        "pip install -e '.[wandb]' in the folder of hrnet_jax\n"
    )


@pytest.mark.slow
def test_a_training_reports_scalars_pictures_and_its_result(
    wandb, tmp_path, monkeypatch
):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    changes = {"logging__wandb": "streets", "logging__tensorboard_pictures": 1}
    metrics = train(tiny.config(**changes), tmp_path / "run")
    ((config, _),) = wandb.named("config")
    assert config == json.loads((tmp_path / "run" / "config.json").read_text())
    ((kwargs,),) = wandb.named("init")
    assert (kwargs["project"], kwargs["name"]) == ("streets", "run")
    logged = [values for (values,) in wandb.named("log")]
    pictures = [values for values in logged if any("pictures" in key for key in values)]
    assert [line for line in logged if line not in pictures] == (
        read_metrics(tmp_path / "run")
    )
    # As many as were asked for, at each evaluation.
    assert [len(values) for values in pictures] == [2, 2]
    assert [values["step"] for values in pictures] == [4, 8]
    assert wandb.named("summary") == [
        ({f"result/{name}": value for name, value in metrics.items()},)
    ]
    assert wandb.calls[-1] == ("finish", {"exit_code": 0})


@pytest.mark.slow
def test_a_training_that_fails_says_so(wandb, tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    monkeypatch.setattr(
        "hrnet_jax.training.train._Evaluations.__call__", lambda *_: 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        train(tiny.config(logging__wandb="streets"), tmp_path)
    assert wandb.calls[-1] == ("finish", {"exit_code": 1})


# Two sessions of one run; the service of the second dies.
OFFLINE = """
import json, logging, os, pathlib, signal, subprocess, sys
import numpy as np
from hrnet_jax.experiment.sections import LoggingOptions
from hrnet_jax.training.wandb_run import WandbRun

logging.basicConfig(format="%(message)s")
workdir = pathlib.Path(sys.argv[1])
options = LoggingOptions(wandb="streets", wandb_tags=("a",))

def begin():
    config = {"seed": 3, "model": {"name": "tiny"}}
    return WandbRun(workdir, options, config, ("mean_iou", "max"))

run = begin()
run.scalars(1, {"train/loss": 0.5, "train/gradient_norm": float("inf")})
run.scalars(2, {"eval/mean_iou": 0.75})
run.scalars(4, {"eval/mean_iou": 0.25})
run.pictures(4, {"scene": np.full((5, 7, 3), 200, np.uint8)})
run.result({"mean_iou": 0.75})
run.close()
run = begin()
run.scalars(6, {"train/loss": 0.125})
run.close()
run = begin()
children = pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
for child in children.read_text().split():
    if "wandb" in pathlib.Path(f"/proc/{child}/cmdline").read_text():
        os.kill(int(child), signal.SIGKILL)
        os.waitpid(int(child), 0)
for step in range(100):
    run.scalars(step, {"train/loss": 0.0})
run.close()
print("went on")
"""


def records(path):
    """What an offline run holds: log records of LevelDB with a header of their own."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last of several parts
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def items(message):
    """Keys and values of the updates in a message; pictures have keys of their own."""
    found = {}
    for item in message:
        first, *rest = [item.key] if item.key else item.nested_key
        value = json.loads(item.value_json)
        if rest:
            found.setdefault(first, {})[rest[0]] = value
        else:
            found[first] = value
    return found


@pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="wandb is not installed"
)
@pytest.mark.skipif(sys.platform != "linux", reason="ends a process by /proc")
@pytest.mark.slow
def test_offline_it_writes_what_it_was_told(tmp_path):
    process = tiny.run_python(
        OFFLINE, str(tmp_path), WANDB_MODE="offline", WANDB_SILENT="true"
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith("went on\n")
    said = [line for line in process.stderr.splitlines() if "training goes" in line]
    assert len(said) == 1 and said[0].startswith("Weights & Biases failed (")
    paths = sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    first, second, _ = ([*records(path)] for path in paths)
    stored = json.loads((tmp_path / WANDB_FILE).read_text())
    for session in (first, second):
        (run,) = (
            each.run for each in session if each.WhichOneof("record_type") == "run"
        )
        assert (run.run_id, run.project) == (stored["id"], "streets")
    rows = [
        {key: row[key] for key in row if not key.startswith("_")}
        for session in (first, second)
        for each in session
        if (row := items(each.history.item))
    ]
    scene = rows.pop(3)
    assert rows == [
        {"step": 1, "train/loss": 0.5, "train/gradient_norm": float("inf")},
        {"step": 2, "eval/mean_iou": 0.75},
        {"step": 4, "eval/mean_iou": 0.25},
        {"step": 6, "train/loss": 0.125},
    ]
    assert scene["step"] == 4
    shape = {key: scene["pictures/scene"][key] for key in ("width", "height", "format")}
    assert shape == {"width": 7, "height": 5, "format": "png"}
    config = {}
    for each in first:
        config |= items(each.config.update)
    assert (config["seed"], config["model"]) == (3, {"name": "tiny"})
