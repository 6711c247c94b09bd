"""Learning-rate schedules against the official code and written formulas."""

import dataclasses

import jax
import numpy as np
import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.sections import ScheduleOptions
from hrnet_jax.training.schedules import make_schedule, poly_schedule
from tests.goldens import official

# Base rate, number of steps and the iterations of the values kept.
POLY_GOLDENS = {
    "base0.01_max1000": (0.01, 1000, [0, 1, 2, 10, 100, 500, 999, 999]),
    "base0.007_max1234": (0.007, 1234, [0, 1, 2, 10, 100, 500, 999, 1000]),
    "base0.02_max150000": (0.02, 150_000, [0, 1, 2, 10, 100, 500, 999, 1000]),
}


def rates(schedule, steps) -> list[float]:
    with jax.enable_x64():
        return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize("name", POLY_GOLDENS)
def test_poly_equals_the_official_function(name):
    base, num_steps, iterations = POLY_GOLDENS[name]
    expected = official.arrays("numeric/segmentation")[f"poly_lr/{name}"]
    schedule = poly_schedule(base, num_steps)
    np.testing.assert_allclose(rates(schedule, iterations), expected, rtol=1e-12)


@pytest.mark.parametrize("name", POLY_GOLDENS)
def test_official_offset_uses_each_value_one_update_later(name):
    # The official loop computes the rate of iteration i after its update.
    base, num_steps, iterations = POLY_GOLDENS[name]
    expected = official.arrays("numeric/segmentation")[f"poly_lr/{name}"]
    schedule = poly_schedule(base, num_steps, official_offset=True)
    following = [iteration + 1 for iteration in iterations]
    np.testing.assert_allclose(rates(schedule, following), expected, rtol=1e-12)
    assert rates(schedule, [0, 1]) == [base, base]


def test_options_make_the_poly_schedule():
    options = ScheduleOptions(
        learning_rate=0.02, min_learning_rate=0.001, power=0.5, official_offset=True
    )
    got = rates(make_schedule(options, 100), [0, 1, 2, 51, 100, 101, 200])
    shares = np.sqrt([1, 1, 0.99, 0.5, 0.01, 0, 0])
    np.testing.assert_allclose(got, 0.001 + 0.019 * shares, rtol=1e-12)


def test_poly_never_reaches_zero_within_the_run():
    assert rates(make_schedule(ScheduleOptions(), 7), [6])[0] > 0


def test_cosine_is_the_formula():
    options = ScheduleOptions("cosine", learning_rate=0.1, min_learning_rate=0.02)
    steps = np.array([0, 1, 25, 50, 99, 100, 150])
    progress = np.minimum(steps / 100, 1)
    expected = 0.02 + (0.1 - 0.02) * (1 + np.cos(np.pi * progress)) / 2
    np.testing.assert_allclose(
        rates(make_schedule(options, 100), steps), expected, rtol=1e-6
    )


def test_step_drops_at_the_boundaries():
    options = ScheduleOptions("step", 1.0, boundaries=(0.5, 0.8), decay=0.1)
    got = rates(make_schedule(options, 10), range(10))
    np.testing.assert_allclose(got, [1] * 5 + [0.1] * 3 + [0.01] * 2, rtol=1e-6)


def test_constant_is_constant():
    options = ScheduleOptions("constant", 0.3)
    np.testing.assert_allclose(rates(make_schedule(options, 5), [0, 4, 9]), 0.3)


@pytest.mark.parametrize("name", ["poly", "cosine", "constant"])
def test_warm_up_rises_in_a_line_and_then_the_schedule_starts(name):
    plain = ScheduleOptions(name, 0.1)
    warm = ScheduleOptions(name, 0.1, warmup_steps=4, warmup_factor=0.2)
    schedule = make_schedule(warm, 24)
    np.testing.assert_allclose(
        rates(schedule, range(4)), 0.1 * np.array([0.2, 0.4, 0.6, 0.8]), rtol=1e-6
    )
    # The rest is the whole schedule over the remaining twenty steps.
    np.testing.assert_allclose(
        rates(schedule, range(4, 24)),
        rates(make_schedule(plain, 20), range(20)),
        rtol=1e-6,
    )


def test_a_constant_warm_up_stays_where_it_begins():
    options = ScheduleOptions(
        "constant", 0.3, warmup="constant", warmup_steps=3, warmup_factor=1 / 3
    )
    got = rates(make_schedule(options, 10), range(6))
    np.testing.assert_allclose(got, [0.1] * 3 + [0.3] * 3, rtol=1e-6)


def test_boundaries_are_fractions_of_the_whole_run_with_warm_up_too():
    options = ScheduleOptions(
        "step", 1.0, warmup_steps=2, warmup_factor=0.5, boundaries=(0.5,), decay=0.1
    )
    got = rates(make_schedule(options, 10), range(10))
    np.testing.assert_allclose(got, [0.5, 0.75] + [1] * 3 + [0.1] * 5, rtol=1e-6)


def test_a_warm_up_as_long_as_the_run_is_allowed():
    options = ScheduleOptions(learning_rate=1.0, warmup_steps=4, warmup_factor=0.0)
    got = rates(make_schedule(options, 4), range(4))
    np.testing.assert_allclose(got, [0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize("name", ["poly", "cosine", "step", "constant"])
def test_schedules_are_traced_like_they_are_called(name):
    schedule = make_schedule(ScheduleOptions(name, 0.1, warmup_steps=3), 20)
    steps = np.arange(22)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(schedule))(steps),
        [float(schedule(step)) for step in steps],
        rtol=1e-5,
        atol=1e-9,
    )


def test_unknown_schedule_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'linear'.*poly, cosine, step, constant"):
        ScheduleOptions("linear")


def test_a_warm_up_takes_no_more_of_a_run_than_its_limit():
    options = ScheduleOptions(
        name="cosine", learning_rate=0.1, warmup_steps=200, warmup_limit=0.1
    )
    short, long = make_schedule(options, 300), make_schedule(options, 2000)
    as_written = make_schedule(
        ScheduleOptions(name="cosine", learning_rate=0.1, warmup_steps=30), 300
    )
    assert rates(short, range(300)) == rates(as_written, range(300))
    assert rates(short, [30]) == rates(long, [200]) == [pytest.approx(0.1)]


@pytest.mark.parametrize("limit", [-0.1, 1.5])
def test_refuses_a_warm_up_beyond_the_run(limit):
    with pytest.raises(
        ConfigError, match=f"a part of the run, from 0 to 1; got {limit}"
    ):
        ScheduleOptions(warmup_limit=limit)


def test_rates_are_in_proportion_to_the_batch_where_asked():
    options = ScheduleOptions(
        name="step", learning_rate=0.02, warmup_steps=5, reference_batch=16
    )
    for batch, factor in ((2, 0.125), (16, 1.0), (64, 4.0)):
        schedule = make_schedule(options, 20, batch)
        plain = make_schedule(
            dataclasses.replace(
                options, reference_batch=0, learning_rate=0.02 * factor
            ),
            20,
            batch,
        )
        for step in range(20):
            assert float(schedule(step)) == pytest.approx(float(plain(step)))
    with pytest.raises(ConfigError, match="reference_batch' must be a number of imag"):
        ScheduleOptions(reference_batch=-1)
