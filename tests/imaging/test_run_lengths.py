"""Run lengths of masks are those of COCO, to the letter."""

import numpy as np
import pytest
from pycocotools import mask as oracle

from hrnet_jax.imaging import run_lengths


def bitmaps(count=150):
    rng = np.random.default_rng(0)
    for k in range(count):
        height, width = rng.integers(1, 40, 2)
        share = rng.choice([0, 0.1, 0.5, 0.9, 1])
        bitmap = (rng.random((height, width)) < share).astype(np.uint8)
        if k % 3 == 0:  # runs over several columns
            bitmap[:] = 0
            bitmap[:, width // 2 :] = 1
        yield bitmap, rng


def test_texts_areas_and_bounds_are_those_of_pycocotools():
    for bitmap, _ in bitmaps():
        wanted = oracle.encode(np.asfortranarray(bitmap))
        text = run_lengths.encode(bitmap, bitmap.shape)
        assert text == wanted["counts"].decode()
        np.testing.assert_array_equal(run_lengths.decode(text, bitmap.shape), bitmap)
        assert run_lengths.area(text) == bitmap.sum()
        x, y, w, h = oracle.toBbox(wanted)
        assert run_lengths.bounds(text, bitmap.shape) == (x, y, x + w, y + h)


def test_a_part_is_that_part_of_the_whole():
    for bitmap, rng in bitmaps():
        size = bitmap.shape
        top, bottom = np.sort(rng.integers(0, size[0] + 1, 2))
        left, right = np.sort(rng.integers(0, size[1] + 1, 2))
        part = bitmap[top:bottom, left:right]
        text = run_lengths.encode(bitmap, size)
        window = (top, bottom, left, right)
        np.testing.assert_array_equal(run_lengths.decode_part(text, size, window), part)
        alone = np.zeros_like(bitmap)
        alone[top:bottom, left:right] = part
        wanted = oracle.encode(np.asfortranarray(alone))["counts"].decode()
        assert run_lengths.encode(part, size, (top, left)) == wanted


def test_a_mask_written_out():
    # Columns of 3: 0 1 1, 1 0 0: one of the background, three of the object, two.
    bitmap = np.array([[0, 1], [1, 0], [1, 0]])
    text = run_lengths.encode(bitmap, (3, 2))
    assert run_lengths.counts_of(text).tolist() == [1, 3, 2]
    assert text == "132"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("é", "not run lengths"),
        ("~", "not run lengths"),
        ("1o", "not run lengths"),
        ("o" * 20 + "0", "60 bits"),
        ("O", "negative run length"),
        ("132", "6 pixels for an image of 4x3"),
    ],
)
def test_what_are_no_run_lengths(text, message):
    with pytest.raises(ValueError, match=message):
        run_lengths.decode(text, (3, 4))


def test_a_part_outside_of_its_image():
    with pytest.raises(ValueError, match="of an image"):
        run_lengths.encode(np.ones((2, 2)), (3, 3), (2, 0))
