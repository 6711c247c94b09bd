"""What a sweep varies is read strictly, and every key is one that somebody reads."""

import pathlib

import optuna
import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.sweeps.space import grid_of, probe, read_space, with_values
from hrnet_jax.sweeps.study import checked
from tests import tiny
from tests.sweeps.spaces import RATES, make_sweep, write_space

GRID = """
def get_sweep(trial):
    return {
        "schedule.learning_rate": trial.suggest_float("rate", 0.1, 0.3, step=0.1),
        "batch_size": trial.suggest_int("batch", 4, 8, step=4),
        "optimizer.name": trial.suggest_categorical("optimizer", ["sgd", "adamw"]),
    }
"""
LISTED = """
def get_sweep():
    return [
        {"seed": 1, "dataset.augmentation.crop_size": [32, 32]},
        {"seed": 2, "dataset.augmentation.crop_size": [64, 32]},
    ]
"""
BRANCHES = """
def get_sweep(trial):
    if trial.suggest_categorical("optimizer", ["sgd", "adamw"]) == "sgd":
        return {"optimizer.momentum": trial.suggest_float("momentum", 0.5, 0.9)}
    return {"optimizer.nmae": "adamw"}
"""
WRONG = {
    "nothing": (
        "X = 1",
        "space.py has neither get_sweep(trial) nor SWEEP; expected one",
    ),
    "both": (
        f"SWEEP = [{{}}]{RATES}",
        "space.py has get_sweep and SWEEP; expected one",
    ),
    "no list": ("SWEEP = 3", "SWEEP must be a list of {dotted key: value}, got 3"),
    "an empty list": (
        "SWEEP = []",
        "SWEEP must be a list of {dotted key: value}, got []",
    ),
    "no entry": (
        "SWEEP = [{}, 3]",
        "SWEEP, entry 1 must be {dotted key: value}, got 3",
    ),
    "no JSON": (
        "SWEEP = [{'seed': set()}]",
        "entry 0: 'seed' is set(); expected a numb",
    ),
    "a constant": (
        "get_sweep = 3",
        "get_sweep must be a function of a trial, or of noth",
    ),
    "a bug": (
        "def get_sweep():\n    return 1 / 0",
        "space.py, line 2: ZeroDivisionError",
    ),
    "an import": (
        "import nothing_there",
        "line 1: ModuleNotFoundError: No module named",
    ),
}
WRONG_WHEN_TRIED = {
    "a key that nobody reads": (
        "SWEEP = [{'seed': 1}, {'learning_rate': 1.0}]",
        "space.py: config key 'learning_rate' is not read by anything; did you mean 'ext",
    ),
    "a key of one branch": (
        BRANCHES,
        "config key 'optimizer.nmae' is not read by anything; did you mean 'optimizer.n",
    ),
    "a type": (
        "SWEEP = [{'batch_size': 'many'}]",
        "space.py: config key 'batch_size' must be a value of type int, got 'many'",
    ),
    "no values": (
        "def get_sweep(trial):\n    return 3",
        "get_sweep(trial) must be {dott",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_one_line(name, tmp_path):
    text, message = WRONG[name]
    with pytest.raises(ConfigError) as error:
        write_space(tmp_path, text)
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", WRONG_WHEN_TRIED)
def test_a_wrong_key_is_found_before_anything_is_trained(name, tmp_path):
    text, message = WRONG_WHEN_TRIED[name]
    with pytest.raises(ConfigError) as error:
        probe(write_space(tmp_path, text), tiny._tiny_config())
    assert message in str(error.value)


def test_a_file_that_is_not_there_and_a_run_are_one_line(tmp_path):
    write_space(tmp_path)
    with pytest.raises(
        ConfigError, match=r"spcae.py: no such file; did you mean 'space"
    ):
        read_space(tmp_path / "spcae.py")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        ConfigError, match="says nothing of a sweep; name a file that d"
    ):
        read_space(tmp_path / "config.json")


def test_values_of_a_trial_are_those_of_its_configuration(tmp_path):
    space, config = write_space(tmp_path, LISTED), tiny._tiny_config()
    changed = with_values(config, space.entries[1])
    assert (changed.seed, changed.dataset.augmentation.crop_size) == (2, (64, 32))
    assert config.seed == 0 and changed.batch_size == config.batch_size
    study = optuna.create_study()
    study.enqueue_trial(space.fixed(0))
    assert space.values(study.ask()) == space.entries[0]
    assert study.trials[0].params == {
        "seed": 1,
        "dataset.augmentation.crop_size": "[32, 32]",
    }


def test_a_grid_has_every_point(tmp_path):
    space = write_space(tmp_path, GRID)
    probed = probe(space, tiny._tiny_config())
    assert probed.keys == ("batch_size", "optimizer.name", "schedule.learning_rate")
    grid = grid_of(space, probed)
    assert grid["rate"] == pytest.approx([0.1, 0.2, 0.3])
    assert (grid["batch"], grid["optimizer"]) == ([4, 8], ["sgd", "adamw"])
    sweep, _ = checked(make_sweep(tmp_path, GRID, sampler="grid", trials=0))
    assert sweep.trials == 12


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            RATES,
            {"sampler": "grid"},
            "'rate' is a range without steps, of which there is",
        ),
        (
            BRANCHES.replace("nmae", "name"),
            {"sampler": "grid"},
            "get_sweep asks for other names from trial to trial, of which there is no g",
        ),
        (RATES, {"trials": 0}, "--trials is missing; only a list and a grid tell how"),
        (
            LISTED,
            {"trials": 3},
            "--trials=3, but {path} has 2 of them; expected as many",
        ),
        (
            LISTED,
            {"sampler": "tpe", "trials": 2},
            "--sampler=tpe, but {path} lists its 2",
        ),
        (
            RATES,
            {"fixed": ("seed", "schedule.learning_rate")},
            "--config.schedule.learning_rate would change nothing: {path} sets",
        ),
    ],
)
def test_options_that_do_not_fit_a_space_are_one_line(text, options, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        checked(make_sweep(tmp_path, text, **options))
    path = pathlib.Path(tmp_path, "space.py")
    assert message.format(path=path) in str(error.value)
