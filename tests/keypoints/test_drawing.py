"""Drawn points are where they should be, in colours that show on any skin."""

import numpy as np
import pytest

from hrnet_jax.errors import DataError
from hrnet_jax.keypoints import drawing
from hrnet_jax.keypoints.drawing import PREDICTED, TRUE, draw_heatmaps, draw_points

SQUARE = np.float64([[20, 20], [180, 20], [180, 180], [20, 180]])
RING = ((0, 1, 2, 3, 0),)


def grey(value=128, height=200, width=210):
    return np.full((height, width, 3), value, np.uint8)


def near(picture, place, colour, reach=1):
    """Whether a pixel around (x, y) has about the colour."""
    x, y = (round(value) for value in place)
    part = picture[y - reach : y + reach + 1, x - reach : x + reach + 1].astype(int)
    return bool((abs(part - colour).max(-1) < 40).any())


def changed(picture, image):
    return (picture != image).any(-1)


@pytest.mark.parametrize("skin", [0, 60, 128, 255])
def test_points_and_lines_have_their_colour_and_a_dark_outline(skin):
    image = grey(skin)
    picture = draw_points(image, SQUARE[None], lines=RING)
    assert picture.dtype == np.uint8 and picture.shape == image.shape
    for place in (*SQUARE, (100, 20), (100, 180), (20, 100), (180, 100)):
        assert near(picture, place, PREDICTED)
    # Beside the line, on either side, where bright skin would swallow it.
    column = picture[10:31, 100].max(-1)
    if skin == 255:
        assert column[:10].min() < 160 and column[11:].min() < 160


def test_pixels_away_from_the_face_stay_and_so_does_the_image():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (200, 210, 3), np.uint8)
    before = image.copy()
    # Small enough to be drawn enlarged.
    points = SQUARE * 0.25 + 40
    picture = draw_points(image, points[None], lines=RING)
    np.testing.assert_array_equal(image, before)
    assert picture is not image
    where = changed(picture, image)
    assert where.any()
    rows, columns = np.nonzero(where)
    assert min(rows.min(), columns.min()) >= 41 and max(rows.max(), columns.max()) <= 89
    assert not where[50:80, 50:80].any()


@pytest.mark.parametrize("size", [40.0, 100.0, 180.0])
def test_a_dot_is_centred_on_its_point(size):
    # Fractions of pixels too; the dot's mean is where the point is.
    for shift in (0.0, 0.3, 0.5):
        points = np.float64([[60, 50], [60 + size, 50]]) + shift
        picture = draw_points(grey(0, 100, 300), points[None])
        weight = picture[:, :90].astype(float).sum(-1)
        y, x = np.mgrid[:100, :90]
        centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        np.testing.assert_allclose(centre, points[0], atol=0.1)


def test_dots_grow_with_the_face():
    areas = []
    for scale in (1, 2, 4):
        image = grey(0, 200 * scale, 210 * scale)
        areas.append(changed(draw_points(image, scale * SQUARE[None]), image).sum())
    assert areas[2] > 3 * areas[1] > 3 * areas[0]


def test_every_face_is_drawn_at_its_own_size():
    image = grey(0, 400, 400)
    small, large = SQUARE * 0.2, SQUARE + 150
    both = draw_points(image, np.stack([small, large]), lines=RING)
    for one in (small, large):
        alone = changed(draw_points(image, one[None], lines=RING), image)
        assert (changed(both, image) & alone == alone).all()
    assert draw_points(image, np.zeros((0, 4, 2)), lines=RING).shape == image.shape


def test_points_of_a_low_score_are_hollow():
    scores = np.float64([[0.9, drawing.LOW_SCORE, 0.1, np.nan]])
    picture = draw_points(grey(), SQUARE[None], scores=scores)
    filled = [
        bool((abs(picture[round(y), round(x)].astype(int) - PREDICTED) < 40).all())
        for x, y in SQUARE
    ]
    assert filled == [True, True, False, False]
    full = draw_points(grey(), SQUARE[None])
    assert (picture[10:31, 10:31] == full[10:31, 10:31]).all()
    assert (picture[170:191, 170:191] != full[170:191, 170:191]).any()


def test_the_truth_has_another_colour_and_only_annotated_points():
    truth = SQUARE + np.float64([-10, -12])
    truth[1] = 0
    mask = np.uint8([[1, 0, 1, 1]])
    picture = draw_points(
        grey(), SQUARE[None], lines=RING, truth=truth[None], truth_mask=mask
    )
    for index in (0, 2, 3):
        assert near(picture, truth[index], TRUE)
    # The line between two annotated points, but none to the other.
    assert near(picture, (90, 168), TRUE)
    assert not near(picture, (90, 8), TRUE, reach=4)
    assert not near(picture, (3, 3), TRUE, reach=3)
    assert all(near(picture, place, PREDICTED) for place in SQUARE)


def test_a_box_is_drawn_where_asked_for():
    boxes = np.float64([[5, 6, 195, 190]])
    image = grey(90)
    picture = draw_points(image, SQUARE[None], boxes=boxes)
    for place in ((100, 6), (100, 190), (5, 100), (195, 100)):
        assert near(picture, place, drawing.BOX)
    boxes[:] = np.nan
    np.testing.assert_array_equal(
        draw_points(image, SQUARE[None], boxes=boxes), draw_points(image, SQUARE[None])
    )


def test_what_lies_outside_or_nowhere_does_no_harm():
    image = grey(0)
    points = np.float64([[[np.nan, 5], [np.inf, 9], [1e30, 3], [-1e8, 2]]])
    np.testing.assert_array_equal(draw_points(image, points, lines=RING), image)
    outside = SQUARE[None] - 5000
    np.testing.assert_array_equal(draw_points(image, outside, lines=RING), image)
    far = SQUARE[None] + [[[0, 0], [0, 0], [0, 0], [-90000, 0]]]
    assert near(draw_points(image, far, lines=RING), (100, 20), PREDICTED)
    halved = SQUARE[None] + [100, 0]
    picture = draw_points(image, halved, lines=RING)
    assert near(picture, (120, 100), PREDICTED) and near(picture, (200, 20), PREDICTED)
    partly = SQUARE.copy()
    partly[1] = np.nan
    picture = draw_points(image, partly[None], lines=RING)
    assert not near(picture, (100, 20), PREDICTED, reach=5)
    assert near(picture, (100, 180), PREDICTED) and near(picture, (20, 100), PREDICTED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((9, 9), np.uint8)}, r"image is uint8 \(9, 9\), expected"),
        ({"image": np.zeros((9, 9, 3))}, r"image is float64 \(9, 9, 3\)"),
        ({"points": SQUARE}, r"points of shape \(4, 2\), expected \(N, K, 2\)"),
        ({"lines": ((0, 4),)}, r"leads to point 4, expected 0\.\.3"),
        ({"lines": ((-1, 2),)}, r"leads to point -1, expected 0\.\.3"),
        ({"scores": np.ones(4)}, r"scores of shape \(4,\), expected \(1, 4\)"),
        ({"boxes": np.ones((2, 4))}, r"boxes of shape \(2, 4\), expected \(1, 4\)"),
        ({"truth": SQUARE}, r"truth of shape \(4, 2\), expected \(1, 4, 2\)"),
        ({"truth_mask": np.ones(4)}, r"truth_mask of shape \(4,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_errors(change, message):
    with pytest.raises(DataError, match=message):
        draw_points(**{"image": grey(), "points": SQUARE[None]} | change)


def test_heatmaps_light_up_where_they_peak():
    crop = grey(100, 256, 192)
    heatmaps = np.zeros((64, 48, 3), np.float32)
    heatmaps[10, 20, 0], heatmaps[50, 40, 2] = 1.0, 0.5
    picture = draw_heatmaps(crop, heatmaps)
    assert picture.shape == crop.shape and picture.dtype == np.uint8
    brightness = picture.astype(int).sum(-1)
    # Cell m covers the pixels 4 m to 4 m + 3.
    y, x = np.unravel_index(brightness.argmax(), brightness.shape)
    assert abs(y - 41.5) <= 1 and abs(x - 81.5) <= 1
    np.testing.assert_array_equal(picture[150:, :100], 60)
    # The scale is absolute: a weak peak is not as bright as a strong one.
    assert 180 < brightness[201, 161] < brightness[41, 81]


def test_small_crops_are_enlarged():
    heatmaps = np.zeros((16, 12, 1), np.float32)
    assert draw_heatmaps(grey(9, 64, 48), heatmaps).shape == (256, 192, 3)
    assert draw_heatmaps(grey(9, 384, 288), heatmaps).shape == (384, 288, 3)
    with pytest.raises(DataError, match=r"heatmaps of shape \(16, 12\)"):
        draw_heatmaps(grey(), heatmaps[..., 0])
