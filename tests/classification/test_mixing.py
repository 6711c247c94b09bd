"""Images are mixed with their neighbours, wherever these are."""

import functools

import jax
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.classification.mixing import mixed, neighbours
from hrnet_jax.classification.options import LossOptions
from hrnet_jax.errors import ConfigError

RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (4, 24, 40, 3), np.uint8)
TARGETS = np.eye(4, dtype=np.float32)
PARTNERS = [1, 0, 3, 2]


@functools.cache
def mixing(**options):
    return jax.jit(functools.partial(mixed, options=LossOptions(**options)))


def mix(seed, **options):
    """Mixed images and targets, and the share that the own target has."""
    images, targets = mixing(**options)(IMAGES, TARGETS, key=jax.random.key(seed))
    share = float(targets[0, 0])
    expected = share * TARGETS + (1 - share) * TARGETS[PARTNERS]
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    return np.asarray(images), share


def test_neighbours_change_places():
    np.testing.assert_array_equal(neighbours(IMAGES), IMAGES[PARTNERS])


@pytest.mark.parametrize("seed", range(3))
def test_mixup_is_a_sum_of_two_images(seed):
    images, share = mix(seed, mixup=0.4)
    assert 0 < share < 1
    expected = share * IMAGES + (1 - share) * np.float64(IMAGES[PARTNERS])
    np.testing.assert_allclose(images, expected, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_cutmix_puts_a_rectangle_of_one_image_into_another(seed):
    images, share = mix(seed, cutmix=1.0)
    others = (images != IMAGES).any((0, 3))
    np.testing.assert_array_equal(
        images, np.where(others[:, :, None], IMAGES[PARTNERS], IMAGES)
    )
    assert share == pytest.approx(1 - others.mean(), abs=1e-6)
    rows, columns = np.flatnonzero(others.any(1)), np.flatnonzero(others.any(0))
    assert others.sum() == len(rows) * len(columns)


@pytest.mark.slow
def test_how_often_and_how_much_is_as_asked_for():
    draw = mixing(mixup=1.0, cutmix=1.0, mix_probability=0.5)
    keys = jax.random.split(jax.random.key(7), 2000)
    images, targets = jax.jit(
        jax.vmap(lambda key: draw(IMAGES[:2, :8, :8], TARGETS[:2], key=key))
    )(keys)
    shares = np.asarray(targets)[:, 0, 0]
    changed = shares < 1
    # A rectangle of no pixels changes nothing: a few of a hundred on so small images.
    assert changed.mean() == pytest.approx(0.5, abs=0.06)
    first = IMAGES[:2, :8, :8].astype(np.float32)
    is_cut = ((images == first) | (images == first[::-1])).all((1, 2, 3, 4))
    assert (is_cut & changed).sum() / changed.sum() == pytest.approx(0.5, abs=0.06)
    # Of Beta(1, 1), which is uniform.
    assert shares[changed & ~is_cut].mean() == pytest.approx(0.5, abs=0.05)
    assert shares[changed & ~is_cut].std() == pytest.approx(12**-0.5, abs=0.03)


@pytest.mark.slow
def test_on_eight_devices_no_image_travels_and_the_mixture_is_the_same():
    images = RNG.integers(0, 256, (16, 8, 8, 3), np.uint8)
    targets = np.eye(16, dtype=np.float32)
    options = LossOptions(mixup=0.2, cutmix=1.0)
    mesh = runtime.make_mesh(data=8)
    whole, divided = runtime.replicated(mesh), runtime.batch_sharding(mesh)
    function = runtime.jit(
        lambda images, targets, key: mixed(images, targets, options, key),
        mesh,
        in_shardings=(divided, divided, whole),
        out_shardings=(divided, divided),
    )
    for seed in range(2):
        key = jax.random.key(seed)
        got = function(images, targets, key)
        expected = mixed(images, targets, options, key)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)
    text = function.lower(images, targets, key).compile().as_text()
    for collective in ("all-reduce", "all-gather", "all-to-all", "collective-permute"):
        assert collective not in text


def test_an_odd_batch_cannot_be_mixed_in_pairs():
    with pytest.raises(ConfigError, match="of 3 images cannot be mixed.*'batch_size'"):
        mixed(IMAGES[:3], TARGETS[:3], LossOptions(mixup=1.0), jax.random.key(0))
