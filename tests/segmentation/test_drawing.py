import tracemalloc

import cv2
import numpy as np
import pytest

from hrnet_jax.data.class_tables import bit_palette
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import DataError
from hrnet_jax.segmentation import drawing

PALETTE = ((200, 30, 30), (30, 200, 30), (30, 30, 200))


def make_info(num_classes: int, palette=()) -> DatasetInfo:
    names = tuple(f"class {index}" for index in range(num_classes))
    return DatasetInfo("some", num_classes, names, tuple(palette))


def photo(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def contains(picture: np.ndarray, colour) -> bool:
    return bool((picture == np.uint8(colour)).all(-1).any())


def count(picture: np.ndarray, colour) -> int:
    return int((picture == np.uint8(colour)).all(-1).sum())


def test_color_map_paints_each_class_and_leaves_ignored_pixels_white():
    label = np.uint8([[0, 1], [2, 255]])
    expected = [[PALETTE[0], PALETTE[1]], [PALETTE[2], (255, 255, 255)]]
    np.testing.assert_array_equal(drawing.color_map(label, PALETTE), expected)


def test_overlay_is_the_weighted_mean_away_from_boundaries():
    image = photo(6, 8)
    label = np.full((6, 8), 2, np.uint8)
    expected = np.rint(0.7 * image + 0.3 * np.float64(PALETTE[2]))
    np.testing.assert_allclose(
        drawing.overlay(image, label, PALETTE, alpha=0.3), expected, atol=1
    )


def test_overlay_shows_the_image_where_labels_are_ignored():
    image = photo(6, 8)
    label = np.full((6, 8), 255, np.uint8)
    np.testing.assert_array_equal(drawing.overlay(image, label, PALETTE), image)


def test_overlay_draws_a_one_pixel_boundary():
    image = np.zeros((6, 8, 3), np.uint8)
    label = np.zeros((6, 8), np.uint8)
    label[:, 4:] = 1
    brightness = drawing.overlay(image, label, PALETTE).min(-1)
    assert (brightness[:, 3] > 150).all()
    assert (np.delete(brightness, 3, axis=1) < 150).all()


@pytest.mark.parametrize("num_colours", [2, 21, 150])
def test_default_palette_is_further_apart_than_bit_palette(num_colours):
    def nearest(palette):
        scaled = np.float32(palette)[None] / 255
        lab = cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[0]
        distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
        return distance[~np.eye(num_colours, dtype=bool)].min()

    palette = drawing.default_palette(num_colours)
    assert len(palette) == num_colours
    assert nearest(palette) > max(12, nearest(bit_palette(num_colours)))


def test_no_colour_of_the_default_palette_is_black_or_white():
    palette = np.array(drawing.default_palette(60))
    assert palette.max(1).min() > 80
    assert palette.min(1).max() < 235


def test_a_longer_default_palette_begins_with_the_shorter():
    assert drawing.default_palette(40)[:7] == drawing.default_palette(7)


@pytest.mark.parametrize(
    "size", [(64, 64), (96, 500), (500, 20), (1024, 2048)], ids=str
)
@pytest.mark.parametrize("with_target", [False, True])
def test_panels_are_large_enough_to_see_and_small_enough_to_show(size, with_target):
    label = np.zeros(size, np.uint8)
    label[: size[0] // 2] = 1
    target = label if with_target else None
    picture = drawing.draw_panels(photo(*size), label, make_info(2, PALETTE), target)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert 200 <= picture.shape[0] < 2000
    assert 320 <= picture.shape[1] < 2500


def test_panels_show_every_class_in_its_colour():
    num_classes = 150
    palette = drawing.default_palette(num_classes)
    label = np.kron(
        np.arange(num_classes, dtype=np.uint8).reshape(10, 15),
        np.ones((16, 16), np.uint8),
    )
    picture = drawing.draw_panels(photo(160, 240), label, make_info(num_classes))
    place_values = np.array([65536, 256, 1])
    shown = np.unique(picture @ place_values)
    assert np.isin(np.array(palette) @ place_values, shown).all()


def test_the_legend_leaves_out_absent_classes():
    label = np.zeros((320, 320), np.uint8)
    picture = drawing.draw_panels(photo(320, 320), label, make_info(3, PALETTE))
    assert contains(picture, PALETTE[0])
    assert not contains(picture, PALETTE[1]) and not contains(picture, PALETTE[2])


def test_wrong_pixels_are_red_and_ignored_ones_are_not():
    image = np.zeros((320, 320, 3), np.uint8)
    label = np.zeros((320, 320), np.uint8)
    target = label.copy()
    target[:100] = 1
    target[200:] = 255
    red = np.rint(0.15 * 30 + 0.85 * np.float32(drawing.WRONG))
    panels = drawing.draw_panels(image, label, make_info(3, PALETTE), target)
    assert count(panels, red) == 100 * 320
    perfect = drawing.draw_panels(image, label, make_info(3, PALETTE), label)
    assert count(perfect, red) == 0


def test_legend_gives_share_and_intersection_over_union():
    label = np.uint8([[0, 0, 0, 1], [0, 0, 0, 1]])
    target = np.uint8([[0, 0, 1, 1], [0, 0, 0, 255]])
    entries = drawing._legend(label, target, ("a", "b", "c"), PALETTE)
    lines = [(entry.name, entry.remark) for entry in entries]
    # a: 6 of 8 pixels, 5 right of 6; b: 1 right of 2, its other pixel ignored.
    assert lines == [
        ("a", "75.0 % · IoU 83"),
        ("b", "25.0 % · IoU 50"),
        ("wrong", ""),
        ("not labelled", ""),
    ]


def test_long_names_are_shortened_to_the_width():
    long = drawing._Entry(PALETTE[0], "a very long name; " * 20, "1.0 %")
    names, pitch, columns = drawing._arrange_legend([long], 400)
    assert names[0].endswith("…") and columns == 1
    assert pitch - drawing._COLUMN_GAP <= 400


def test_an_unlabelled_target_is_drawn():
    label = np.zeros((64, 64), np.uint8)
    target = np.full((64, 64), 255, np.uint8)
    info = make_info(2, PALETTE)
    picture = drawing.draw_panels(photo(64, 64), label, info, target)
    without = drawing.draw_panels(photo(64, 64), label, info)
    right = drawing.draw_panels(photo(64, 64), label, info, label)
    # The second row is there, with nothing right or wrong in it.
    assert picture.shape == right.shape and picture.shape[0] > without.shape[0]
    assert (picture != right).any()
    assert drawing._error_title(label, target) != drawing._error_title(label, label)


def test_label_without_a_class_is_an_error():
    label = np.full((4, 4), 3, np.uint8)
    with pytest.raises(DataError, match=r"label 3 cannot be drawn; expected 0\.\.2"):
        drawing.color_map(label, PALETTE)
    with pytest.raises(DataError, match="label 3 cannot be drawn"):
        drawing.draw_panels(photo(4, 4), label, make_info(3, PALETTE))


def test_sizes_and_types_that_disagree_are_errors():
    info = make_info(3, PALETTE)
    label = np.zeros((4, 5), np.uint8)
    with pytest.raises(DataError, match=r"label is uint8 \(4, 5\), .*\(4, 4\)"):
        drawing.draw_panels(photo(4, 4), label, info)
    with pytest.raises(DataError, match="target is int64"):
        drawing.draw_panels(photo(4, 5), label, info, label.astype(np.int64))
    with pytest.raises(DataError, match="image is float64"):
        drawing.draw_panels(np.zeros((4, 5, 3)), label, info)


def test_a_photograph_is_blended_in_strips():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3000, 1000, 3), np.uint8)
    label = rng.integers(0, 5, (30, 10), np.uint8).repeat(100, 0).repeat(100, 1)
    label[:100] = 255
    palette = drawing.default_palette(5)
    tracemalloc.start()
    picture = drawing.overlay(image, label, palette)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # As real numbers at once it would be 30 times the image.
    assert peak < 8 * image.nbytes
    inner = np.s_[100:2999:50, 1:999:50]  # between the boundaries of labels
    expected = np.rint(0.5 * image + 0.5 * drawing.color_map(label, palette))
    np.testing.assert_array_equal(picture[inner], expected[inner])
    np.testing.assert_array_equal(picture[:99], image[:99])
