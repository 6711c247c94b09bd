"""Configurations from experiment files and from runs."""

import json
import pathlib

import pytest

import hrnet_jax
from hrnet_jax.config.experiment_flags import with_changes
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import default_config, to_json
from hrnet_jax.experiment.loading import load_config
from tests import tiny

QUICKSTART = tiny.ROOT / "experiments" / "quickstart.py"


def written(folder, text, name="mine.py"):
    path = pathlib.Path(folder) / name
    path.write_text(text)
    return path


def saved(folder, **changes):
    values = to_json(default_config("segmentation")) | changes
    return written(folder, json.dumps(values), "config.json")


def test_options_and_changes_of_an_experiment():
    config = hrnet_jax.load_config(
        f"{QUICKSTART}:debug", {"seed": 3, "batch_size": 1}, batch_size=6
    )
    assert (config.num_steps, config.seed, config.batch_size) == (4, 3, 6)
    assert config.is_locked
    assert load_config(QUICKSTART, schedule={"name": "step"}).num_steps == 320


def test_a_configuration_without_options(tmp_path):
    text = "from hrnet_jax.experiment.defaults import default_config\n"
    path = written(tmp_path, text + "get_config = lambda: default_config('landmarks')")
    assert load_config(path).task == "landmarks"
    with pytest.raises(ConfigError, match=r"mine.py.*takes 0 positional arguments"):
        load_config(f"{path}:debug")


def test_what_a_run_saved_is_read_as_it_was_set(tmp_path):
    config = load_config(QUICKSTART)
    path = written(tmp_path, json.dumps(to_json(config)), "config.json")
    again = load_config(path)
    assert again.to_dict() == config.to_dict() and again.is_locked
    changed = with_changes(
        again,
        ["--config.model.lanes=64", "--config.dataset.augmentation.crop_size=(64, 32)"],
    )
    assert changed.model.lanes == 64
    assert changed.dataset.augmentation.crop_size == (64, 32)


def test_runs_of_earlier_versions_are_read(tmp_path):
    values = to_json(default_config("segmentation"))
    del values["mesh"], values["model"]["lanes"]
    values["model"]["remat"] = True
    config = load_config(written(tmp_path, json.dumps(values), "config.json"))
    assert config.mesh.data == -1 and config.model.remat == "modules"
    assert with_changes(config, ["--config.model.remat=blocks"]).model.remat == "blocks"


def test_a_wrong_value_of_a_run_names_the_file(tmp_path):
    path = saved(tmp_path, learning_rate=1)
    message = f"{path}: config key 'learning_rate' .*mean 'extra.learning_rate' or 'schedule.learning_rate'"
    with pytest.raises(ConfigError, match=message):
        load_config(path)
    with pytest.raises(ConfigError, match=f"{path}: .*'batch_size' must be .* int"):
        load_config(saved(tmp_path, batch_size="8"))
    with pytest.raises(ConfigError, match=f"{path} takes no options, got 'debug'"):
        load_config(f"{path}:debug")


LOCKED = """from hrnet_jax.experiment.defaults import default_config
def get_config(options=""):
    config = default_config("segmentation")
    config.learning_rate = 1
    return config
"""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.py",
            LOCKED,
            r"a.py, line 4: .*; did you mean 'extra.learning_rate' or 'schedule.learning_rate'\?$",
        ),
        ("a.py", "1 / 0", "a.py, line 1: ZeroDivisionError: division by zero$"),
        ("a.py", "x = 1\ndef f(:\n", "a.py, line 2: SyntaxError: invalid syntax$"),
        ("a.py", "x = 1", r"a.py has no function get_config\(options\)$"),
        (
            "a.py",
            "get_config = lambda: {}",
            "a.py: get_config must return a ConfigDict, got dict$",
        ),
        ("a.txt", "x", r"a.txt: expected a Python file \(.py\) or JSON \(.json\)$"),
        ("a.json", "{", r"a.json: not valid JSON \(.*\)$"),
        ("a.json", "[]", "a.json: holds a list, expected keys and values$"),
        ("a.json", '{"seed": 1, "seed": 2}', "a.json: .*key 'seed' is there twice"),
        ("a.json", "[" * 100_000, "a.json: not valid JSON .*recursion"),
        (
            "a.json",
            '{"task": ["depth"]}',
            r"a.json: unknown task \['depth'\]; expected",
        ),
        (
            "a.json",
            '{"batch_size": "4"}',
            "a.json: config key 'batch_size' must be a v",
        ),
        (
            "a.json",
            f'{{"schedule": {{"decay": 1{"0" * 400}}}}}',
            "a.json: config key 'schedule.decay' must be a float, got 1000*",
        ),
        ("a.json", '{"task": "depth"}', "a.json: unknown task 'depth'; expected one"),
    ],
)
def test_files_that_are_no_configuration(name, text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, text, name))


def test_a_byte_order_mark_is_no_part_of_a_configuration(tmp_path):
    path = written(tmp_path, "", "config.json")
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"seed": 5}).encode())
    assert load_config(path).seed == 5


def test_a_name_longer_than_any_file(tmp_path):
    with pytest.raises(ConfigError, match="xxx: no such file"):
        load_config(tmp_path / ("x" * 300))


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"gone.py: no such file; expected an exp"):
        load_config(tmp_path / "gone.py:debug")
    (tmp_path / "quickstart.py").touch()
    with pytest.raises(ConfigError, match=r"quikstart.py: no such file; did you mean "):
        load_config(tmp_path / "quikstart.py")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["--config.learning_rate", "1"],
            "did you mean 'extra.learning_rate' or 'schedule.learning_rate'",
        ),
        (["--config.batch_size=few"], "--config.batch_size=few: invalid literal"),
        (["--noconfig.seeds"], "config key 'seeds' .*; did you mean 'seed'"),
        (["fast"], "unexpected argument 'fast'"),
    ],
)
def test_changes_of_the_command_line_are_checked(changes, message):
    with pytest.raises(ConfigError, match=message):
        with_changes(default_config("segmentation"), changes)


def test_changes_of_the_command_line():
    changes = ["--config.seed", "3", "--noconfig.logging.progress"]
    changed = with_changes(default_config("segmentation"), changes)
    assert changed.seed == 3 and not changed.logging.progress
