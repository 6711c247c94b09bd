"""What losses are computed of: numbers, order, chances and independence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection.matching import BACKGROUND, IGNORED
from hrnet_jax.detection.sampling import image_keys, sample_labels


@functools.cache
def drawing(count: int, most_positive: int):
    """The compiled draw."""
    return jax.jit(
        lambda key, assigned, priority=None: sample_labels(
            key, assigned, count, most_positive, priority
        )
    )


def made_up_labels(positives: int, background: int, ignored: int) -> np.ndarray:
    labels = np.concatenate(
        [
            np.arange(positives) % 7,
            np.full(background, BACKGROUND),
            np.full(ignored, IGNORED),
        ]
    )
    return np.random.default_rng(0).permutation(labels).astype(np.int32)


@pytest.mark.parametrize(
    ("positives", "background", "drawn"),
    [
        (30, 60, (8, 24)),  # more than wanted of both
        (5, 85, (5, 27)),  # background takes the places of positives
        (30, 10, (8, 10)),  # positives do not take those of background
        (0, 90, (0, 32)),
        (4, 3, (4, 3)),
        (0, 0, (0, 0)),
    ],
)
def test_numbers_of_positives_and_background(positives, background, drawn):
    labels = made_up_labels(positives, background, 90 - positives - background)
    sample = drawing(32, 8)(jax.random.key(1), labels)
    expected = np.arange(32) < sum(drawn)
    np.testing.assert_array_equal(sample.valid, expected)
    np.testing.assert_array_equal(sample.positive, np.arange(32) < drawn[0])
    chosen = np.asarray(sample.index)
    assert sample.index.dtype == jnp.int32
    assert not chosen[sum(drawn) :].any()
    assert (labels[chosen[: drawn[0]]] >= 0).all()
    assert (labels[chosen[drawn[0] : sum(drawn)]] == BACKGROUND).all()
    assert len({*chosen[: sum(drawn)]}) == sum(drawn)


def test_priorities_replace_the_random_choice():
    labels = made_up_labels(30, 50, 10)
    # The rule of the goldens of whole detectors.
    rule = (np.arange(90, dtype=np.uint64) * 2654435761 % 2**32).astype(np.uint32)
    sample = drawing(32, 8)(jax.random.key(0), labels, rule)
    for part, labelled, number in (
        (slice(0, 8), labels >= 0, 8),
        (slice(8, 32), labels == BACKGROUND, 24),
    ):
        candidates = np.flatnonzero(labelled)
        expected = candidates[np.argsort(rule[candidates], kind="stable")][:number]
        np.testing.assert_array_equal(sample.index[part], expected)
    # Ties by index: the lowest indices.
    first = drawing(32, 8)(jax.random.key(0), labels, np.zeros(90, np.uint32))
    np.testing.assert_array_equal(first.index[:8], np.flatnonzero(labels >= 0)[:8])


@pytest.mark.parametrize("number", [2**32 - 1, 2**32 - 2, 0])
def test_all_are_drawn_whatever_their_priority(number):
    labels = made_up_labels(8, 24, 58)
    priority = np.full(90, number, np.uint32)
    sample = drawing(32, 8)(jax.random.key(0), labels, priority)
    np.testing.assert_array_equal(sample.index[:8], np.flatnonzero(labels >= 0))
    np.testing.assert_array_equal(
        sample.index[8:], np.flatnonzero(labels == BACKGROUND)
    )


def test_fewer_candidates_than_places():
    sample = drawing(32, 8)(jax.random.key(0), np.array([0, -1, -1, -2], np.int32))
    assert list(sample.index[:3]) in ([0, 1, 2], [0, 2, 1])
    assert sample.index.shape == (32,) and sample.valid.sum() == 3


@pytest.mark.slow
def test_every_anchor_has_the_same_chance():
    labels = made_up_labels(30, 60, 0)
    keys = jax.random.split(jax.random.key(3), 3000)
    draw = jax.jit(jax.vmap(lambda key: sample_labels(key, labels, 32, 8)))
    sample = draw(keys)
    counts = np.bincount(np.asarray(sample.index).ravel(), minlength=90)
    for labelled, chance in ((labels >= 0, 8 / 30), (labels < 0, 24 / 60)):
        expected = 3000 * chance
        deviation = np.sqrt(expected * (1 - chance))
        assert np.abs(counts[labelled] - expected).max() < 4.5 * deviation


@pytest.mark.slow
def test_draws_of_an_image_do_not_depend_on_how_a_batch_is_divided():
    labels = np.stack([np.roll(made_up_labels(30, 60, 0), k) for k in range(8)])
    step = jax.random.fold_in(jax.random.key(5), 17)
    draw = jax.vmap(lambda key, labels: sample_labels(key, labels, 32, 8).index)
    whole = jax.jit(draw)(image_keys(step, jnp.arange(8)), labels)
    parts = [
        draw(image_keys(step, start + jnp.arange(2)), labels[start : start + 2])
        for start in range(0, 8, 2)
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    # Other images, steps and stages draw others.
    keys = [
        image_keys(step, jnp.arange(2)),
        image_keys(jax.random.fold_in(jax.random.key(5), 18), jnp.arange(2)),
        image_keys(step, jnp.arange(2), stage=1),
    ]
    data = np.concatenate([jax.random.key_data(key) for key in keys])
    assert len(np.unique(data, axis=0)) == 6
