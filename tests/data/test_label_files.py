"""Label files of all kinds that labelling tools write, without preparing a set."""

import cv2
import numpy as np
import pytest
from PIL import Image

from hrnet_jax.data.files.label_files import (
    apply_table,
    grey_values,
    label_table,
    read_label,
)
from hrnet_jax.errors import DataError

VALUES = np.arange(96, dtype=np.uint8).reshape(8, 12) % 3
TABLE = label_table([0, 1, 2], 255)


def labels_of(path, pixels):
    Image.fromarray(pixels).save(path)
    return apply_table(grey_values(read_label(path), path), TABLE, path, "0..2")


@pytest.mark.parametrize(
    "pixels",
    [
        VALUES,
        VALUES.astype(np.uint16),
        np.stack([VALUES] * 3, -1),
        np.stack([*[VALUES] * 3, np.full_like(VALUES, 255)], -1),
        np.stack([VALUES, np.full_like(VALUES, 255)], -1),
    ],
    ids=["8 bits", "16 bits", "RGB", "RGBA", "grey and alpha"],
)
def test_grey_values_are_read_however_they_are_stored(pixels, tmp_path):
    labels = labels_of(tmp_path / "a.png", pixels)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, VALUES)


def test_values_of_16_bits_are_never_cut_to_8(tmp_path):
    pixels = VALUES.astype(np.uint16)
    pixels[0, :4], pixels[1, 0] = 256, 65535
    with pytest.raises(DataError) as caught:
        labels_of(tmp_path / "a.png", pixels)
    assert str(caught.value) == (
        f"{tmp_path}/a.png holds label 256 (4 pixels), 65535 (1 pixels); expected 0..2"
    )


def test_colours_are_named(tmp_path):
    pixels = np.stack([VALUES] * 3, -1)
    pixels[3, 4] = 135, 206, 235
    with pytest.raises(
        DataError, match=r"a\.png is a colour image, which holds #87ceeb"
    ):
        labels_of(tmp_path / "a.png", pixels)


def test_transparent_labels_are_refused(tmp_path):
    pixels = np.stack([*[VALUES] * 3, np.full_like(VALUES, 255)], -1)
    pixels[0, :5, 3] = 128
    with pytest.raises(DataError, match=r"a\.png is transparent in 5 pixels; expected"):
        labels_of(tmp_path / "a.png", pixels)


def test_colours_of_16_bits_are_refused(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((8, 12, 3), 257, np.uint16))
    with pytest.raises(DataError, match=r"a\.png has 16 bits in each colour, expected"):
        read_label(path)


def test_a_jpeg_by_the_name_of_a_png_is_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(VALUES).save(path, "JPEG")
    message = (
        r"a\.png is a JPEG image of mode L; .* \(JPEG does not keep labels exactly"
    )
    with pytest.raises(DataError, match=message):
        read_label(path)
