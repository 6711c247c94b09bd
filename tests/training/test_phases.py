"""A second phase on other data, and records drawn by the classes in them."""

import dataclasses

import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.config.options import read_options
from hrnet_jax.data.stream.drawing import DrawnRecords, count_pixels, likeliness_of
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.experiment.phases import ExtraOptions
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.planning.datasets import facts_of
from hrnet_jax.planning.experiment import build_experiment
from hrnet_jax.training import build, extension
from hrnet_jax.training.phases import Phase, batches_of_phases, draws
from hrnet_jax.training.schedules import schedule_of_run
from hrnet_jax.training.steps import extra_steps
from hrnet_jax.training.train import train
from tests import tiny
from tests.training.test_resume import PulledPlug, before_call, pull_plug


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


TWO_PHASES = {
    "extra__split": "val",
    "extra__num_steps": 3,
    "extra__learning_rate": 0.05,
    "num_steps": 5,
    "dataset__rare_classes": 0.1,
    "loss__class_weights_from": "median",
    "loss__lovasz_weight": 0.5,
}


class Numbers:
    """Records that are their own numbers, from `first` on."""

    def __init__(self, first, count):
        self._numbers = range(first, first + count)

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, index):
        number = self._numbers[index]
        label = np.full((2, 2), number % 3, np.uint8)
        return {"number": np.int64(number), "label": label, "image_id": str(number)}


class Draws:
    """A task that notes what its random numbers are."""

    def train_transform(self, sample, rng):
        return {**sample, "random": rng.random()}


def test_each_phase_goes_through_its_records_from_any_step_on():
    config = read_config(tiny.config(batch_size=2))
    phases = (
        Phase(Numbers(0, 4), None, None, 0, 3),
        Phase(Numbers(100, 6), None, None, 3, 4),
    )

    def rows(first):
        batches = batches_of_phases(phases, Draws(), config, first)
        return [(b["number"].tolist(), b["random"].tolist()) for b in batches]

    whole = rows(0)
    assert len(whole) == 7
    for first in (2, 3, 5, 7):
        assert rows(first) == whole[first:]
    numbers = [n for row, _ in whole for n in row]
    assert sorted(numbers[:4]) == [0, 1, 2, 3] and max(numbers[:6]) < 4
    assert sorted(numbers[6:12]) == list(range(100, 106)) and min(numbers[6:]) >= 100
    random = [r for _, row in whole for r in row]
    assert len(set(random)) == len(random)


def official_rates(base, extra_base, steps, extra):
    """Rates of the steps of `train.py` of branch HRNet-OCR, set after each of them."""
    rates, rate = [], base
    for count, start in ((steps, base), (extra, extra_base)):
        for i in range(count):
            rates.append(rate)
            rate = start * (1 - i / count) ** 0.9
    return rates


@pytest.mark.parametrize("official", [True, False])
def test_the_schedule_begins_anew_with_the_second_phase(official):
    config = read_config(
        tiny.config(
            schedule__official_offset=official,
            schedule__learning_rate=0.01,
            extra__split="val",
            extra__num_steps=5,
        )
    )
    schedule = schedule_of_run(config, 7, 5)
    got = [float(schedule(step)) for step in range(12)]
    expected = official_rates(0.01, 0.001, 7, 5)
    if not official:
        expected = [
            base * (1 - i / count) ** 0.9
            for base, count in ((0.01, 7), (0.001, 5))
            for i in range(count)
        ]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_second_phase_has_epochs_of_its_own_length():
    config = read_config(
        tiny.config(batch_size=12, extra__split="val", extra__num_epochs=484)
    )
    assert extra_steps(config, 3475) == 289 * 484
    assert extra_steps(read_config(tiny.config()), 3475) == 0


def test_a_run_opens_the_data_of_both_phases_and_cannot_be_extended():
    config = read_config(tiny.config(**TWO_PHASES))
    run = build.build_run(config)
    assert run.num_steps == 8
    assert [(p.start, p.steps, len(p.records)) for p in run.phases] == [
        (0, 5, tiny.TRAIN_IMAGES),
        (5, 3, tiny.VAL_IMAGES),
    ]
    planned = build_experiment(config, facts_of(config), runtime.make_mesh(1, 1))
    assert planned.num_steps == run.num_steps
    with pytest.raises(ConfigError, match="second phase .* cannot be extended"):
        extension.check_extension(run, config)
    with pytest.raises(DataError, match="no split 'trainval'"):
        build.build_run(
            read_config(tiny.config(**TWO_PHASES | {"extra__split": "trainval"}))
        )


@pytest.mark.slow
def test_a_run_broken_off_in_the_second_phase_ends_like_an_undisturbed_one(
    tmp_path, monkeypatch
):
    config = tiny.config(**TWO_PHASES)
    train(config, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(PulledPlug):
        before_call(patch, 7, pull_plug)
        train(config, tmp_path / "broken")
    train(config, tmp_path / "broken")
    states = [tiny.state(tmp_path / name) for name in ("whole", "broken")]
    tiny.assert_equal_bits(*states)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"split": "val"}, "'extra.split' is 'val', so one of 'extra.num_epochs'"),
        ({"num_steps": 5}, "'extra.split' is empty; name the split"),
        ({"split": "val", "num_steps": -1}, "at least 0; got 0.001, 0 and -1"),
        (
            {"split": "val", "num_steps": 1, "learning_rate": 0.0},
            "a positive learning_rate, .* got 0.0, 0 and 1",
        ),
    ],
)
def test_wrong_second_phases_are_named(section, message):
    with pytest.raises(ConfigError, match=message):
        read_options(ExtraOptions, section, "extra")


def test_rare_classes_are_drawn_by_the_formula():
    pixels = np.array([[90, 0, 0, 0], [80, 10, 0, 0], [0, 0, 20, 0]])
    found = likeliness_of(pixels, 0.5)
    shares = np.array([170, 10, 20]) / 200
    likely = np.exp((1 - shares) / 0.5)
    np.testing.assert_allclose(found.classes[:3], likely / likely.sum(), rtol=1e-12)
    assert found.classes[3] == 0
    assert [list(each) for each in found.holders] == [[0, 1], [1], [2], []]
    drawn = DrawnRecords(Numbers(0, 3), found, 7, 10**6)
    indices = [drawn.index(position) for position in range(2000)]
    got = np.bincount(indices) / len(indices)
    p = found.classes
    np.testing.assert_allclose(got, [p[0] / 2, p[0] / 2 + p[1], p[2]], atol=0.04)
    again = DrawnRecords(Numbers(0, 3), found, 7, 10**6)
    assert [again.index(position) for position in (1999, 3)] == [
        indices[1999],
        indices[3],
    ]
    other = DrawnRecords(Numbers(0, 3), found, 8, 10**6)
    assert [other.index(position) for position in range(50)] != indices[:50]
    with pytest.raises(DataError, match="no record holds a pixel of any class"):
        likeliness_of(pixels * 0, 0.5)


def test_batches_are_of_drawn_records():
    records = Numbers(0, 30)
    pixels = count_pixels(records, 3, threads=2)
    assert (pixels.sum(0) == 40).all() and (pixels.max(1) == 4).all()
    pixels[:, 0] *= 1000
    config = read_config(tiny.config(batch_size=4))
    phases = (Phase(records, None, likeliness_of(pixels, 0.01), 0, 10),)
    batches = batches_of_phases(phases, Draws(), config, 0)
    numbers = [number for batch in batches for number in batch["number"]]
    assert all(number % 3 for number in numbers) and len(set(numbers)) > 10
    later = next(batches_of_phases(phases, Draws(), config, 6))["number"]
    assert later.tolist() == numbers[24:28]


def test_only_pixels_with_classes_can_be_drawn_by(monkeypatch):
    records = build.open_split(read_config(tiny.config()), "train")
    assert draws(read_config(tiny.config()), records) is None
    config = read_config(tiny.config(dataset__rare_classes=0.01))
    info = dataclasses.replace(records.info, num_classes=0)
    monkeypatch.setattr(records, "info", info)
    with pytest.raises(
        ConfigError, match="'dataset.rare_classes' draws .* 'shapes' has"
    ):
        draws(config, records)
    with pytest.raises(DataError, match="have no 'label'; they have number"):
        count_pixels([{"number": 1}], 3, threads=1)
    with pytest.raises(
        ConfigError, match="'dataset.rare_classes' must be a temperature"
    ):
        tiny_config = tiny.config(dataset__rare_classes=-1.0)
        read_config(tiny_config)
