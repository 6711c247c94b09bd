"""How long a run is, and when it is evaluated and saved."""

import dataclasses
import importlib

import numpy as np
import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig, read_config
from hrnet_jax.experiment.sections import CheckpointOptions, EvalOptions
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.runtime import processes
from hrnet_jax.training.schedules import make_schedule
from hrnet_jax.training.steps import (
    epoch_steps,
    evaluation_interval,
    save_interval,
    total_steps,
)
from hrnet_jax.training.train import train
from hrnet_jax.workdir.checkpoints import Checkpoints
from tests import tiny

# (options, steps of the run, of an epoch) -> steps between evaluations.
EVALUATIONS = [
    ({}, 300, 3, 300),
    ({}, 5000, 3, 1000),
    ({"every_steps": 7, "least": 10}, 300, 3, 7),
    ({"every_steps": 0, "least": 10}, 300, 3, 0),
    ({"every_epochs": 5, "least": 10}, 300, 3, 15),
    ({"every_epochs": 2}, 300, 1, 2),
    ({"least": 10}, 300, 3, 30),
    ({"least": 10}, 50_000, 3, 1000),
    ({"least": 10}, 4, 3, 1),
]


@pytest.mark.parametrize(("options", "steps", "epoch", "expected"), EVALUATIONS)
def test_evaluations_by_hand(options, steps, epoch, expected):
    config = TrainConfig(eval=EvalOptions(**options))
    assert evaluation_interval(config, steps, epoch) == expected


# COCO's images that show an object, of which about a quarter is upright.
COCO = np.arange(117_266) < 30_000
EPOCHS = [
    ({"batch_size": 8, "examples": 24}, 3),
    ({"batch_size": 8, "examples": 31}, 3),
    ({"batch_size": 8, "examples": 3}, 1),
    # 3 and 17 images: one batch, and two whole ones with a third for the last.
    ({"batch_size": 8, "examples": 20, "groups": np.arange(20) < 3}, 4),
    ({"batch_size": 16, "examples": 117_266}, 7329),
    # 30000 / 16 = 1875, 87266 / 16 = 5454.1.
    ({"batch_size": 16, "examples": 117_266, "groups": COCO}, 1875 + 5455),
]


@pytest.mark.parametrize(("arguments", "expected"), EPOCHS)
def test_epochs_by_hand(arguments, expected):
    assert epoch_steps(**arguments) == expected
    config = TrainConfig(batch_size=arguments["batch_size"], num_epochs=12)
    if arguments["examples"] >= config.batch_size:
        rest = arguments["examples"], arguments.get("groups")
        assert total_steps(config, *rest) == 12 * expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 1000), ({"every_steps": 5}, 5), ({"every_minutes": 2.5}, 0)],
)
def test_saves_by_hand(options, expected):
    config = TrainConfig(checkpoint=CheckpointOptions(**options))
    assert save_interval(config) == expected


@pytest.mark.parametrize(
    ("section", "options", "message"),
    [
        (
            EvalOptions,
            {"every_steps": 5, "every_epochs": 2},
            r"\(5\) and 'eval.every_epochs' \(2\) are both set; expected one of them:",
        ),
        (
            EvalOptions,
            {"every_steps": 5, "every_epochs": 2},
            "one of them: eval.every_steps=-1 or eval.every_epochs=0 unsets the other",
        ),
        (
            EvalOptions,
            {"every_steps": 0, "every_epochs": 2},
            r"'eval.every_steps' \(0\) and 'eval.every_epochs' \(2\) are both set",
        ),
        (
            CheckpointOptions,
            {"every_steps": 5, "every_minutes": 0.5},
            r"'checkpoint.every_steps' \(5\) and 'checkpoint.every_minutes' \(0.5\) are",
        ),
        (EvalOptions, {"every_steps": -2}, "'eval.every_steps' must be at least 0, or"),
        (EvalOptions, {"every_epochs": -1}, "'eval.every_epochs' must be positive, or"),
        (EvalOptions, {"least": -1}, "'eval.least' must not be negative; got -1"),
        (
            CheckpointOptions,
            {"every_steps": 0},
            "'checkpoint.every_steps' must be at least 1, or -1 where it is not set",
        ),
        (
            CheckpointOptions,
            {"every_minutes": -0.5},
            "'checkpoint.every_minutes' must be positive, or 0 where it is not set; got",
        ),
    ],
)
def test_intervals_that_contradict_each_other_are_named(section, options, message):
    with pytest.raises(ConfigError, match=message):
        section(**options)


@pytest.mark.parametrize("name", ["segmentation.folder", "landmarks.csv"])
def test_a_run_on_few_images_of_ones_own_is_evaluated_and_leaves_its_warm_up(name):
    config = read_config(importlib.import_module(f"experiments.{name}").get_config())
    config = dataclasses.replace(config, batch_size=8)
    steps = total_steps(config, examples=24)
    assert steps == 300 and evaluation_interval(config, steps, 3) == 30
    schedule = make_schedule(config.schedule, steps)
    rates = [float(schedule(step)) for step in range(steps)]
    assert np.argmax(rates) == 30
    assert rates[30] == pytest.approx(config.schedule.learning_rate)


@pytest.mark.slow
def test_saving_by_the_clock_changes_neither_numbers_nor_lines(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    changes = {"checkpoint__every_steps": -1, "checkpoint__every_minutes": 1e-9}
    changes |= {"checkpoint__keep_latest": 8, "logging__every_steps": 8}
    train(tiny.config(**changes), tmp_path)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.steps() == [*range(1, 9)]
    checkpoints.close()
    tiny.assert_equal_bits(tiny.state(tiny.finished_run()), tiny.state(tmp_path))
    lines = [line for line in tiny.learned(tmp_path) if "train/loss" in line]
    # Where an evaluation or a logging interval ends, and nowhere else.
    assert [line["step"] for line in lines] == [4, 8]
    losses = [line["train/loss"] for line in tiny.learned(tiny.finished_run())[:4]]
    assert lines[0]["train/loss"] == pytest.approx(np.mean(losses))


def test_a_process_alone_asks_nobody():
    assert processes.as_first_says(True) and not processes.as_first_says(False)
