"""Pooling of regions against goldens and a plain sum over samples."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection.boxes import MODERN, V1, Conventions
from hrnet_jax.detection.roi_align import roi_align
from hrnet_jax.detection.roi_axes import ALIGNMENTS, axis_weights, roi_levels
from hrnet_jax.errors import ConfigError
from hrnet_jax.runtime.target import traced_for
from tests.goldens import official
from tests.tiers import fast_are

# Their programs differ: loops over regions, and chunks of them.
PLATFORMS = ("cpu", "tpu")
STRIDES = (4, 8, 16, 32)


def of_goldens(name: str) -> np.ndarray:
    return official.arrays("numeric/detection")[name]


def pooling(platform: str, size: int, conventions: Conventions, **options):
    """The compiled operator, as made for a platform."""
    return jax.jit(
        traced_for(
            platform,
            lambda levels, rois, valid: roi_align(
                levels, rois, valid, size, conventions, **options
            ),
        )
    )


def assert_equals_goldens(platform, alignment, size, samples, dtype, tolerance):
    rois = of_goldens("roialign/rois")
    conventions = Conventions(roi_align=alignment, roi_samples=samples)
    level = of_goldens("roialign/features").transpose(0, 2, 3, 1).astype(dtype)
    got = pooling(platform, size, conventions, strides=(4,))(
        (level,),
        np.stack([rois[:, 1:]] * 2).astype(dtype),
        np.arange(2)[:, None] == rois[:, 0],
    )
    assert got.dtype == dtype
    # Each image has the regions of the other as regions that are not valid.
    for image in range(2):
        assert not got[image, rois[:, 0] != image].any()
    expected = of_goldens(f"roialign/{alignment}_out{size}_samples{samples}")
    # NumPy puts an axis of picks first.
    picked = got[rois[:, 0].astype(int), np.arange(8)].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(picked, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("alignment", fast_are(["aligned"], ALIGNMENTS))
def test_goldens_with_as_many_samples_as_fit(alignment, platform):
    assert_equals_goldens(platform, alignment, 3, 0, np.float32, 3e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("size", "samples"), [(7, 2), (3, 0), (2, 1)])
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_all_goldens(alignment, size, samples, platform, dtype):
    with jax.enable_x64(dtype == np.float64):
        tolerance = 1e-12 if dtype == np.float64 else 3e-6
        assert_equals_goldens(platform, alignment, size, samples, dtype, tolerance)


def plain_axis(start, length, bins, limit, samples) -> np.ndarray:
    """Weights [bins, limit] of one axis, sample by sample."""
    count = samples or max(math.ceil(length / bins), 0)
    weights = np.zeros((bins, limit))
    for place in range(bins):
        for number in range(count):
            y = start + length / bins * (place + (number + 0.5) / count)
            if -1 <= y <= limit:
                y = min(max(y, 0), limit - 1)
                for cell in range(limit):
                    weights[place, cell] += max(0, 1 - abs(y - cell)) / count
    return weights


def plain_pooling(levels, rois, size, conventions) -> np.ndarray:
    """[R, size, size, C] of one image in double precision."""
    pooled = []
    for x1, y1, x2, y2 in rois.astype(np.float64):
        one = conventions.plus_one
        scale = math.sqrt((x2 - x1 + one) * (y2 - y1 + one)) / 56 + 1e-6
        level = min(max(math.floor(math.log2(scale)), 0), len(levels) - 1)
        stride = STRIDES[level]
        axes = []
        for low, high, limit in ((y1, y2, 0), (x1, x2, 1)):
            start, end = low / stride, high / stride
            if conventions.roi_align == "plus_one":
                end += 1 / stride
            if conventions.roi_align == "aligned":
                start, end = start - 0.5, end - 0.5
            length = end - start
            if conventions.roi_align == "legacy":
                length = max(length, 1)
            axes.append(
                plain_axis(
                    start,
                    length,
                    size,
                    levels[level].shape[limit],
                    conventions.roi_samples,
                )
            )
        pooled.append(np.einsum("ph,hwc,qw->pqc", axes[0], levels[level], axes[1]))
    return np.stack(pooled)


@functools.cache
def made_up_pyramid(height: int = 320, width: int = 448, images: int = 2):
    """Four levels of some images, and regions of all sizes and shapes."""
    rng = np.random.default_rng(0)
    levels = tuple(
        rng.normal(size=(images, height // stride, width // stride, 3))
        for stride in STRIDES
    )
    count = 20
    centre = rng.uniform(0, 1, (images, count, 2)) * (width, height)
    area = np.exp(rng.uniform(np.log(8), np.log(300), (images, count, 1)))
    ratio = np.exp(rng.normal(0, 0.8, (images, count, 1)))
    half = np.concatenate([area * ratio, area / ratio], axis=-1) / 2
    rois = np.concatenate([centre - half, centre + half], axis=-1)
    rois = np.clip(rois, 0, [width, height] * 2)
    # As wide and as high as the image; at its borders; just a window; nothing.
    rois[0, :8] = [
        (0, 10, width, 20),
        (200, 0, 215, height),
        (0, 0, width, height),
        (width - 30, height - 40, width, height),
        (0, 0, 128, 64),
        (3, 3, 3 + 4 * 46.9, 60),
        (3, 3, 3 + 4 * 47.1, 60),
        (50, 60, 50, 60),
    ]
    return levels, rois


def single(values):
    """In float32."""
    return jax.tree.map(lambda value: value.astype(np.float32), values)


SMALL_PYRAMID = ((128, 160), MODERN, "cpu")


@pytest.mark.parametrize(
    "case",
    fast_are(
        [SMALL_PYRAMID],
        [
            SMALL_PYRAMID,
            *(
                ((320, 448), conventions, platform)
                for conventions in (MODERN, V1)
                for platform in PLATFORMS
            ),
        ],
    ),
    ids=lambda case: f"{case[0][0]}-{case[1].roi_align}-{case[2]}",
)
def test_regions_of_a_pyramid_equal_plain_sums_and_gradients_are_their_transpose(
    case,
):
    sides, conventions, platform = case
    levels, rois = made_up_pyramid(*sides)
    valid = np.random.default_rng(1).random(rois.shape[:2]) < 0.9
    valid[0, :8] = True
    pool = pooling(platform, 7, conventions)

    def both(levels, rois, valid, gradient):
        got, back = jax.vjp(lambda *x: pool(*x, valid), levels, rois)
        return got, *back(gradient)

    gradient = np.random.default_rng(2).normal(size=(*rois.shape[:2], 7, 7, 3))
    got, of_levels, of_rois = jax.jit(both)(
        *single((levels, rois)), valid, single(gradient)
    )
    for image in range(2):
        expected = plain_pooling(
            [level[image] for level in levels],
            rois[image].astype(np.float32),
            7,
            conventions,
        )
        expected = np.where(valid[image, :, None, None, None], expected, 0)
        np.testing.assert_allclose(got[image], expected, atol=5e-5)
    assert not of_rois.any()
    # <gradient, P x> = <P^T gradient, x>, for every level alone.
    for number in range(4):
        other = tuple(
            np.random.default_rng(3).normal(size=level.shape) * (k == number)
            for k, level in enumerate(levels)
        )
        forward = pool(*single((other, rois)), valid)
        here = np.vdot(of_levels[number], other[number])
        there = np.vdot(gradient, forward)
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=2e-3)
        # From 448 pixels on, regions would be read from the last level.
        is_read = 56 * 2**number < math.sqrt(math.prod(sides))
        assert (np.abs(of_levels[number]).max() > 0.1) is np.bool_(is_read)


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("conventions", [MODERN, V1], ids=["modern", "v1"])
@pytest.mark.parametrize("size", [7, 14])
@pytest.mark.parametrize("sides", [(320, 448), (448, 320)])
def test_double_precision_and_portrait_images(sides, size, conventions, platform):
    levels, rois = made_up_pyramid(*sides)
    valid = np.ones(rois.shape[:2], bool)
    with jax.enable_x64():
        got = pooling(platform, size, conventions)(levels, rois, valid)
    for image in range(2):
        of_image = [level[image] for level in levels]
        expected = plain_pooling(of_image, rois[image], size, conventions)
        np.testing.assert_allclose(got[image], expected, rtol=0, atol=1e-11)


@pytest.mark.slow
def test_an_image_alone_equals_the_image_among_others():
    levels, rois = single(made_up_pyramid())
    valid = np.ones(20, bool)
    one = pooling("cpu", 2, MODERN)(tuple(level[1] for level in levels), rois[1], valid)
    expected = plain_pooling([level[1] for level in levels], rois[1], 2, MODERN)
    np.testing.assert_allclose(one, expected, atol=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_half_precision_is_near(platform):
    levels, rois = single(made_up_pyramid())
    valid = np.ones(rois.shape[:2], bool)
    exact = pooling("cpu", 7, MODERN)(levels, rois, valid)
    half = tuple(level.astype(jnp.bfloat16) for level in levels)
    got = pooling(platform, 7, MODERN)(half, rois, valid)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(got.astype(np.float32), exact, atol=0.06)


def test_levels_equal_the_published_ones():
    rois = of_goldens("levels/rois")[:, 1:]
    got = jax.jit(lambda rois: roi_levels(rois, 4, plus_one=1.0))(rois)
    np.testing.assert_array_equal(got, of_goldens("levels/index"))
    # Sides of exactly a power of two belong to the level above.
    sides = np.array([8, 56, 111.9, 112, 223.9, 224, 448, 896, 4000], np.float32)
    squares = np.stack([0 * sides, 0 * sides, sides, sides], axis=-1)
    np.testing.assert_array_equal(roi_levels(squares, 4), [0, 0, 0, 1, 1, 2, 3, 3, 3])


def test_multiples_of_bins_get_no_sample_too_many():
    # Trap 2: compiled, a division by 7 is a product with 1 / 7.
    lengths = np.arange(1, 40, dtype=np.float32) * 7
    weights = jax.jit(lambda length: axis_weights(0 * length, length, 7, 0, 290, 290))
    got = np.asarray(weights(lengths))
    for length, weight in zip(lengths, got, strict=True):
        count = int(length) // 7
        expected = plain_axis(0, float(length), 7, 290, count)
        np.testing.assert_allclose(weight, expected, atol=1e-5)


@pytest.mark.parametrize("samples", fast_are([0], [0, 2]))
def test_weights_outside_at_borders_and_of_reversed_regions(samples):
    cases = [(-5.0, 3.0), (-1.5, 2.0), (-0.75, 6.0), (8.5, 4.0), (9.0, 2.0), (3.0, 0.0)]
    cases += [(12.0, 3.0), (-3.0, 20.0), (6.0, -4.0)]
    start, length = np.array(cases, np.float32).T
    weights = jax.jit(lambda *x: axis_weights(*x, 4, -2, 15, 10, samples))
    got = weights(start, length)
    for (begin, extent), weight in zip(cases, got, strict=True):
        expected = plain_axis(begin, extent, 4, 10, samples)
        np.testing.assert_allclose(weight[:, 2:12], expected, atol=1e-6)
        assert not weight[:, :2].any() and not weight[:, 12:].any()


def test_wrong_arguments():
    level, rois = jnp.zeros((1, 8, 8, 1)), jnp.zeros((1, 1, 4))
    valid = jnp.ones((1, 1), bool)
    message = "strides: expected one for each of 1 levels, got 4: 4, 8, 16, 32"
    with pytest.raises(ConfigError, match=message):
        roi_align([level], rois, valid, 7)
    message = (
        "roi_align: unknown way 'exact'; expected one of aligned, legacy, plus_one"
    )
    with pytest.raises(ConfigError, match=message):
        roi_align([level], rois, valid, 7, Conventions(roi_align="exact"), strides=(4,))
