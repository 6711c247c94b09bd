"""Sizes of resized images and the canvases they are padded to."""

import numpy as np
import pytest

from hrnet_jax.detection.canvas import canvas_of, canvases_for, resized
from hrnet_jax.errors import ConfigError


@pytest.mark.parametrize(
    ("size", "scale", "wanted"),
    [
        # min(1333 / 640, 800 / 480) = 1.6667; 640 * that = 1066.67.
        ((480, 640), (1333, 800), (800, 1067)),
        ((640, 480), (1333, 800), (1067, 800)),
        # The long side decides: 1333 / 640 = 2.0828 against 800 / 300.
        ((300, 640), (1333, 800), (625, 1333)),
        ((427, 640), (1333, 800), (800, 1199)),
        ((800, 1333), (800, 1333), (800, 1333)),
        ((1, 3000), (1333, 800), (1, 1333)),
    ],
)
def test_the_rule_of_the_published_code(size, scale, wanted):
    assert resized(size, scale) == wanted


def test_one_canvas_and_its_transpose_hold_all_scales():
    assert canvases_for([(1333, 800)]) == ((800, 1344), (1344, 800))
    several = [(1600, 1000), (1000, 600), (1333, 800)]
    assert canvases_for(several) == ((1024, 1600), (1600, 1024))
    assert canvases_for([(640, 640)]) == ((640, 640),)
    given = [(800, 1344), (800, 1088)]
    assert canvases_for([(1333, 800)], given) == (
        *((800, 1088), (1088, 800)),
        *((800, 1344), (1344, 800)),
    )


def test_images_take_the_smallest_canvas_that_holds_every_scale():
    canvases = canvases_for([(1333, 800)], [(800, 1344), (800, 1088)])
    sizes = [(480, 640), (640, 480), (427, 640), (640, 427), (500, 500), (10, 900)]
    chosen = canvas_of(np.array(sizes), [(1333, 800)], canvases)
    assert chosen.tolist() == [0, 1, 2, 3, 0, 2]
    two = canvas_of(np.array(sizes[:1]), [(1333, 640), (1333, 800)], canvases)
    assert two.tolist() == [0]
    assert canvas_of(np.zeros((0, 2)), [(1333, 800)], canvases).shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_every_image_fits(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 3000, (300, 2))
    canvases = canvases_for([(1333, 800)])
    for size, index in zip(
        sizes, canvas_of(sizes, [(1333, 800)], canvases), strict=True
    ):
        height, width = resized(tuple(size), (1333, 800))
        assert height <= canvases[index][0] and width <= canvases[index][1]


def test_canvases_that_do_not_do():
    with pytest.raises(ConfigError, match=r"\(800, 1000\).*multiples of 32"):
        canvases_for([(1333, 800)], [(800, 1000)])
    with pytest.raises(ConfigError, match=r"1333x800; expected .* \(800, 1344\)"):
        canvases_for([(1333, 800)], [(640, 1344)])
