"""A study belongs to one experiment and one folder, in a journal or a database."""

import optuna
import optuna_dashboard
import pytest

from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.sweeps.study import (
    checked,
    make_pruner,
    make_sampler,
    open_storage,
    open_study,
)
from tests import tiny
from tests.sweeps.spaces import RATES, make_sweep


def opened(sweep):
    return open_study(*checked(sweep))


def other_config(**changes):
    config = tiny._tiny_config()
    config.update_from_flattened_dict(
        {key.replace("__", "."): value for key, value in changes.items()}
    )
    return config


def refused(sweep) -> str:
    with pytest.raises(ConfigError) as error:
        opened(sweep)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_same_experiment_is_the_same_study(tmp_path):
    opened(make_sweep(tmp_path)).ask()
    # Places and reporting may differ, and so may what is swept and how.
    config = other_config(dataset__data_dir="/elsewhere", logging__every_steps=3)
    config.schedule.learning_rate = 0.7
    same = make_sweep(tmp_path, config=config, sampler="random", pruner="median")
    assert len(opened(same).trials) == 1


def test_a_study_of_an_earlier_version_lacks_keys(tmp_path):
    study = opened(make_sweep(tmp_path))
    stored = study.user_attrs["sweep"]
    del stored["config"]["optimizer.accumulate"]
    study.set_user_attr("sweep", stored)
    opened(make_sweep(tmp_path))
    other = refused(make_sweep(tmp_path, config=other_config(optimizer__accumulate=2)))
    assert "(optimizer.accumulate: 1 there, 2 here)" in other


DIFFERENT = {
    "a key": ({"config": other_config(batch_size=4)}, "(batch_size: 8 there, 4 here)"),
    # Of a run this may change; here it is what trials are compared by.
    "an evaluation": (
        {"config": other_config(eval__every_steps=2)},
        "(eval.every_steps: 4 there, 2 here)",
    ),
    "a range": (
        {"text": RATES.replace("0.3", "0.4")},
        "(range of rate: {'step': None, 'low': 0.01, 'high': 0.3, 'log': True} there, ",
    ),
    "what is swept": (
        {"text": RATES.replace("schedule.learning_rate", "optimizer.momentum")},
        "(optimizer.momentum: 0.9 there, swept here; schedule.learning_rate: swept ther",
    ),
    "a list": ({"text": "SWEEP = [{'schedule.learning_rate': 0.1}]", "trials": 1}, ""),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_experiment_is_one_line(name, tmp_path):
    opened(make_sweep(tmp_path))
    changes, message = DIFFERENT[name]
    text = refused(make_sweep(tmp_path, **changes))
    assert text.startswith(
        f"{tmp_path}/sweep belongs to a sweep of another experiment ("
    )
    assert message in text and text.endswith("; choose another --sweepdir")


def test_another_list_is_another_sweep(tmp_path):
    listed = "SWEEP = [{'seed': 1}, {'seed': 2}]"
    opened(make_sweep(tmp_path, listed, trials=2))
    text = refused(make_sweep(tmp_path, listed.replace("2", "3"), trials=2))
    assert "another experiment (the trials that are listed)" in text


@pytest.mark.slow
def test_a_study_in_a_database_belongs_to_one_folder(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    sweep = make_sweep(tmp_path, storage=url)
    opened(sweep).ask()
    assert len(opened(sweep).trials) == 1
    (tmp_path / "sweep/sweep.json").unlink()
    assert "the study 'sweep' in --storage belongs to another folder" in refused(sweep)
    opened(make_sweep(tmp_path / "sweep", storage=f"sqlite:///{tmp_path}/other.db"))
    (tmp_path / "sweep/sweep.json").write_text('{"id": "another"}')
    assert "belongs to another study than the one in --storage" in refused(sweep)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "--storage: Could not parse"),
        ("nosuch://host/name", "--storage: "),
        ("sqlite:////no/folder/study.db", "--storage: "),
    ],
)
def test_a_database_that_cannot_be_reached_is_one_line(url, message, tmp_path):
    assert refused(make_sweep(tmp_path, storage=url)).startswith(message)


def test_a_damaged_journal_is_one_line(tmp_path):
    sweep = make_sweep(tmp_path)
    opened(sweep)
    (tmp_path / "sweep/journal.log").write_text("no journal\nat all\n")
    with pytest.raises(CheckpointError, match=r"journal.log is damaged \("):
        opened(sweep)


def test_others_open_the_study_as_it_is(tmp_path):
    opened(make_sweep(tmp_path)).ask()
    storage = open_storage(tmp_path / "sweep")
    study = optuna.load_study(study_name="sweep", storage=storage)
    assert [trial.number for trial in study.trials] == [0]
    assert callable(optuna_dashboard.wsgi(storage))


def test_workers_try_other_points_and_a_sweep_the_same_again(tmp_path):
    sweep, probed = checked(make_sweep(tmp_path, sampler="random"))

    def rate(number):
        study = optuna.create_study(sampler=make_sampler(sweep, probed, number))
        return study.ask().suggest_float("rate", 0.0, 1.0)

    assert len({rate(number) for number in range(5)}) == 5
    assert rate(3) == rate(3)


def test_every_pruner_is_one():
    kinds = {name: make_pruner(name, 40) for name in ("median", "hyperband", "none")}
    assert isinstance(kinds["median"], optuna.pruners.MedianPruner)
    assert isinstance(kinds["hyperband"], optuna.pruners.HyperbandPruner)
    assert isinstance(kinds["none"], optuna.pruners.NopPruner)
