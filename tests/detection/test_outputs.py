"""Masks in the frame of a box, pasted into the image."""

import numpy as np

from hrnet_jax.detection.outputs import encode_masks, paste_mask
from hrnet_jax.imaging import run_lengths


def test_a_full_mask_covers_the_pixels_whose_centre_is_well_inside():
    # Cells are 2 pixels wide; from the outer half of a cell on, the border fades.
    bitmap, corner = paste_mask(np.ones((4, 4)), np.array([3, 1, 11, 9]), (12, 14))
    whole = np.zeros((12, 14), bool)
    (top, left), (rows, columns) = corner, bitmap.shape
    whole[top : top + rows, left : left + columns] = bitmap
    expected = np.zeros((12, 14), bool)
    expected[1:9, 3:11] = True
    np.testing.assert_array_equal(whole, expected)


def test_values_are_bilinear_at_the_centres_of_pixels():
    probabilities = np.array([[0.0, 1.0], [0.0, 1.0]])
    # 8 pixels for 2 cells: centres at cell coordinate (x + .5) / 4 - .5.
    bitmap, _ = paste_mask(probabilities, np.array([0, 0, 8, 8]), (8, 8))
    assert bitmap.shape == (8, 8)
    place = (np.arange(8) + 0.5) / 4 - 0.5
    # Between the cells it rises linearly; behind the last it falls to 0.
    wanted = np.where(place <= 1, np.clip(place, 0, 1), 2 - place) >= 0.5
    down = np.maximum(0, 1 - np.abs(place[:, None] - [0, 1])).sum(1)
    full = np.clip(place, 0, None) * (place <= 1) + (2 - place) * (place > 1)
    np.testing.assert_array_equal(bitmap, np.outer(down, full) >= 0.5)
    np.testing.assert_array_equal(bitmap[4], wanted)


def test_a_box_over_the_edge_or_without_an_inside():
    boxes = np.array([[-4, -4, 4, 4], [5, 5, 5, 9], [30, 30, 40, 40]], float)
    texts = encode_masks(np.ones((3, 7, 7)), boxes, (10, 12))
    masks = [run_lengths.decode(text, (10, 12)) for text in texts]
    assert masks[0].sum() == 16 and masks[0][:4, :4].all()
    assert masks[1].sum() == masks[2].sum() == 0
