"""Colours of classes: in the list of classes, in RGB masks, and drawn."""

import numpy as np
import pytest
from PIL import Image

from hrnet_jax.data.files.label_files import hex_colour
from hrnet_jax.errors import DataError
from tests.data.mask_files import CLASSES, add_ten, prepare, read

COLOURS = np.array([[128, 64, 128], [0, 0, 142], [107, 142, 35], [0, 0, 0]], np.uint8)
LABELS = np.arange(96, dtype=np.uint8).reshape(8, 12) % 4


def lines_of(names, colours):
    return [f"{name} {hex_colour(c)}" for name, c in zip(names, colours, strict=True)]


def save_rgb(source, pixels, names=tuple(range(10))):
    for number in names:
        Image.fromarray(pixels).save(source / "masks" / f"img{number}.png")


@pytest.fixture
def source(tmp_path):
    """Coloured masks, and a list as Windows writes it."""
    folder = tmp_path / "mine"
    add_ten(folder)
    save_rgb(folder, COLOURS[LABELS])
    text = "\r\n".join(lines_of(CLASSES, COLOURS)) + "\r\n\r\n"
    (folder / "classes.txt").write_text(text, encoding="utf-8-sig", newline="")
    return folder


def test_colours_are_labels_and_palette(source, tmp_path):
    info = prepare(source, tmp_path)
    assert info.class_names == CLASSES
    assert info.palette == tuple(map(tuple, COLOURS.tolist()))
    np.testing.assert_array_equal(read(tmp_path)[0]["label"], LABELS)
    (source / "classes.txt").unlink()
    again = prepare(source, tmp_path, classes=tuple(lines_of(CLASSES, COLOURS)))
    assert again.palette == info.palette
    assert again.label_histogram == info.label_histogram


def test_labels_before_the_names_and_colours_behind(source, tmp_path):
    lines = enumerate(lines_of(CLASSES, COLOURS))
    (source / "classes.txt").write_text("\n".join(f"{k}: {line}" for k, line in lines))
    assert prepare(source, tmp_path).class_names == CLASSES


def test_colours_only_colour_pictures_where_masks_hold_labels(source, tmp_path):
    add_ten(source)
    info = prepare(source, tmp_path)
    assert info.palette[0] == (128, 64, 128)
    np.testing.assert_array_equal(read(tmp_path)[0]["label"], LABELS)


def test_unknown_colours_are_named_the_most_frequent_first(source, tmp_path):
    pixels = COLOURS[LABELS]
    pixels[0, 0], pixels[1:3] = (1, 2, 3), (255, 128, 0)
    save_rgb(source, pixels, (4,))
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path)
    assert str(caught.value) == (
        f"{source}/masks/img4.png holds colour #ff8000 (24 pixels), #010203 (1 pixels), "
        "which no class has; write it behind the name of a class, or give --option "
        "ignore_colours=#ff8000 to ignore it"
    )
    info = prepare(source, tmp_path, ignore_colours=("#FF8000", "#010203"))
    assert sum(info.ignored_pixels.values()) == 25


def test_many_unknown_colours_are_counted(source, tmp_path):
    rng = np.random.default_rng(0)
    save_rgb(source, rng.integers(150, 255, (8, 12, 3), np.uint8), (4,))
    with pytest.raises(DataError, match=r"\) and 91 more colours, which no class has"):
        prepare(source, tmp_path)


def test_black_and_white_rgb_is_read_by_colour(source, tmp_path):
    (source / "classes.txt").write_text("no #000000\nyes #ffffff\n")
    binary = np.where(LABELS[..., None] == 0, np.uint8([255] * 3), np.uint8(0))
    save_rgb(source, binary)
    info = prepare(source, tmp_path)
    assert info.label_histogram["val"] == [2 * 72, 2 * 24]
    # Grey masks hold labels, so what 255 is has to be said.
    save_rgb(source, binary[..., 0], (3,))
    with pytest.raises(DataError, match=r"in .*img3\.png\): is 255 class 1 \(yes\)"):
        prepare(source, tmp_path)


def test_colours_without_classes_of_colours_name_the_way(source, tmp_path):
    (source / "classes.txt").write_text("\n".join(CLASSES))
    with pytest.raises(
        DataError,
        match=r"img\d\.png is a colour image, which holds #\w{6} .* pixels\).*; expected "
        "a label PNG with one channel, or a palette PNG, or the colour of each class behind its "
        "name in the list of classes, as in 'sky #87ceeb'$",
    ):
        prepare(source, tmp_path)


def test_a_palette_in_another_order_is_refused(source, tmp_path):
    mask = Image.fromarray(LABELS)
    mask.putpalette(COLOURS[[0, 1, 2, 3]].tobytes())
    mask.save(source / "masks" / "img4.png")
    prepare(source, tmp_path)
    mask.putpalette(COLOURS[[0, 2, 1, 3]].tobytes())
    mask.save(source / "masks" / "img4.png")
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path)
    assert str(caught.value) == (
        f"{source}/masks/img4.png is a palette PNG whose index 1 stands for label 1, "
        "but has the colour #6b8e23 of label 2; save it as RGB, whose colours are read"
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a #000000\nb", r"classes\.txt gives 'b' no colour, but 'a' one; expected"),
        ("a #000000\nb #000000", r"gives colour #000000 to 'a' and to 'b'"),
        ("a #000000\nb #fff", r"class 'b': '#fff' is not a colour; expected six hexa"),
    ],
)
def test_names_what_is_wrong_with_colours(lines, message, source, tmp_path):
    (source / "classes.txt").write_text(lines)
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path)


@pytest.mark.parametrize(
    ("ignored", "message"),
    [
        ("black", "ignore_colours: 'black' is not a colour; expected six hexadecimal"),
        ("#00008E", "ignore_colours=#00008E is also the colour of class 'car'"),
    ],
)
def test_names_wrong_colours_to_ignore(ignored, message, source, tmp_path):
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path, ignore_colours=(ignored,))


def test_colours_to_ignore_need_colours_of_classes(source, tmp_path):
    (source / "classes.txt").write_text("item #1\nitem #2\n")
    with pytest.raises(DataError, match="ignore_colours=#000000 goes with colours of"):
        prepare(source, tmp_path, ignore_colours=("#000000",))


def test_lists_as_windows_writes_them(source, tmp_path):
    for split, name in (("train", "images\\img1.jpg"), ("val", "img2")):
        text = f"{name}\r\n"
        path = source / f"{split}.txt"
        path.write_text(text, encoding="utf-8-sig", newline="")
    assert prepare(source, tmp_path).counts == {"train": 1, "val": 1}
    (source / "val.txt").write_text("img2\r\n", encoding="utf-16")
    assert prepare(source, tmp_path).counts == {"train": 1, "val": 1}
    (source / "val.txt").write_text("img2\r\nimgß\r\n", encoding="cp1252")
    message = (
        r"val\.txt is not a text file in UTF-8 \(byte 0xdf in line 2\); save it as"
    )
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path)
