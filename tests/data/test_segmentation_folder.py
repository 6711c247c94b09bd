"""A user's own folder: masks of all kinds, splits, options, errors."""

import numpy as np
import pytest
from PIL import Image

from hrnet_jax.data import registry
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import default_palette
from tests.data.mask_files import CLASSES, add, make_set, prepare, read


@pytest.fixture
def source(tmp_path):
    return make_set(tmp_path / "mine")


def test_splits_by_ratio_repeatably(source, tmp_path):
    info = prepare(source, tmp_path)
    assert info.counts == {"train": 8, "val": 2}
    assert info.class_names == CLASSES
    first = [sample["image_id"] for sample in read(tmp_path)]
    prepare(source, tmp_path)
    assert [sample["image_id"] for sample in read(tmp_path)] == first
    val = [sample["image_id"] for sample in read(tmp_path, "val")]
    assert sorted(first + val) == [f"img{number}" for number in range(10)]
    prepare(source, tmp_path, seed=1)
    assert [sample["image_id"] for sample in read(tmp_path, "val")] != val


@pytest.mark.parametrize(
    ("ratios", "counts"),
    [
        ((0.6, 0.2, 0.2), [6, 2, 2]),
        ((0.999, 0.001), [9, 1]),
        ((0.001, 0.001, 0.998), [1, 1, 8]),
        ((1.0,), [10]),
    ],
)
def test_no_split_stays_empty(ratios, counts, source, tmp_path):
    info = prepare(source, tmp_path, ratios=ratios)
    assert list(info.counts.values()) == counts


def test_a_single_split_serves_both_ways(source, tmp_path):
    info = prepare(source, tmp_path, ratios=(1.0,))
    assert info.default_splits == {"train": "train", "eval": "train"}


def test_lists_decide_where_they_exist(source, tmp_path):
    add(source, "park/tree")
    (source / "train.txt").write_text("img3\nimages/img1.jpg\n\nimg2.png\n")
    (source / "val.txt").write_text("park/tree\n")
    info = prepare(source, tmp_path)
    assert info.counts == {"train": 3, "val": 1}
    ids = [sample["image_id"] for sample in read(tmp_path)]
    assert ids == ["img3", "img1", "img2"]
    assert read(tmp_path, "val")[0]["image_id"] == "park/tree"


def test_palette_masks_give_indices_and_colours(source, tmp_path):
    values = np.arange(96, dtype=np.uint8).reshape(8, 12) % 4
    for number in range(10):
        mask = Image.fromarray(values)
        mask.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 8, 7])
        mask.save(source / "masks" / f"img{number}.png")
    info = prepare(source, tmp_path)
    assert info.palette == ((200, 0, 0), (0, 200, 0), (0, 0, 200), (9, 8, 7))
    np.testing.assert_array_equal(read(tmp_path)[0]["label"], values)


def test_grey_masks_get_colours_of_which_none_is_black(source, tmp_path):
    palette = prepare(source, tmp_path).palette
    assert palette == default_palette(len(palette))
    # A black first class cannot be told from a picture that failed.
    assert min(max(colour) for colour in palette) > 80
    assert (255, 255, 255) not in palette


def test_one_bit_masks(source, tmp_path):
    bits = np.arange(96).reshape(8, 12) % 2
    for number in range(10):
        mask = Image.fromarray(bits.astype(bool))
        mask.save(source / "masks" / f"img{number}.png")
    prepare(source, tmp_path, classes=("no", "yes"))
    np.testing.assert_array_equal(read(tmp_path)[0]["label"], bits)


def test_numbered_class_lists_and_flip_pairs(source, tmp_path):
    (source / "classes.txt").write_text("0 road\n1 car\n2 left arm\n3 right arm\n")
    info = prepare(source, tmp_path, flip_pairs=("left arm:right arm",))
    assert info.class_names == ("road", "car", "left arm", "right arm")
    assert info.flip_pairs == ((2, 3),)


@pytest.mark.parametrize(
    ("names", "guess"),
    [
        (("road", "car", "left arm", "right arm"), "left arm:right arm"),
        (("arm_r", "leg_l", "arm_l", "leg_r"), "arm_r:arm_l,leg_l:leg_r"),
        (("sky", "LeftWall", "floor", "RightWall"), "LeftWall:RightWall"),
    ],
)
def test_sides_in_the_names_of_classes_must_be_confirmed(
    names, guess, source, tmp_path
):
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path, classes=names)
    assert str(caught.value) == (
        f"some of the classes differ in left and right only ({guess}), and mirrored "
        "images need to know which classes swap: give the option "
        f"flip_pairs={guess!r} if these do, flip_pairs=none where none do"
    )
    pairs = tuple(guess.split(","))
    info = prepare(source, tmp_path, classes=names, flip_pairs=pairs)
    with pytest.raises(DataError):
        prepare(source, tmp_path, classes=names)
    assert read(tmp_path).info == info  # What was prepared is not lost.
    named = [f"{names[a]}:{names[b]}" for a, b in info.flip_pairs]
    assert ",".join(named) == guess
    info = prepare(source, tmp_path, classes=names, flip_pairs=("none",))
    assert info.flip_pairs == ()


def test_classes_without_sides_need_no_flip_pairs(source, tmp_path):
    names = ("left lane", "car", "bright", "lawn")
    info = prepare(source, tmp_path, classes=names)
    assert info.flip_pairs == ()


def test_images_of_other_formats_become_png(source, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 12, 3), np.uint8)
    (source / "images" / "img0.png").unlink()
    Image.fromarray(pixels).save(source / "images" / "img0.tif")
    (source / "train.txt").write_text("img0.tif\n")
    prepare(source, tmp_path)
    np.testing.assert_array_equal(read(tmp_path)[0]["image"], pixels)


def test_grey_images_become_rgb(source, tmp_path):
    grey = np.arange(96, dtype=np.uint8).reshape(8, 12)
    Image.fromarray(grey).save(source / "images" / "img0.png")
    (source / "train.txt").write_text("img0\n")
    prepare(source, tmp_path)
    np.testing.assert_array_equal(
        read(tmp_path)[0]["image"], np.repeat(grey[..., None], 3, axis=2)
    )


def test_images_are_turned_as_viewers_show_them(source, tmp_path):
    """A photograph taken upright and stored lying, with its EXIF note."""
    lying = np.zeros((12, 8, 3), np.uint8)
    lying[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view
    path = source / "images" / "img1.jpg"
    Image.fromarray(lying).save(path, exif=exif, quality=95)
    (source / "train.txt").write_text("img1\n")
    prepare(source, tmp_path)
    image = read(tmp_path)[0]["image"]
    assert image.shape == (8, 12, 3)
    assert image[:3].mean() > 240 and image[-3:].mean() < 15


def test_several_folders_under_own_names(source, tmp_path):
    prepare(source, tmp_path, save_as="roads")
    prepare(source, tmp_path, save_as="roads_2", ratios=(0.5, 0.5))
    assert read(tmp_path, "train", "roads").info.name == "roads"
    assert len(read(tmp_path, "train", "roads_2")) == 5


def test_refuses_to_pass_one_folder_off_as_another(source, tmp_path):
    prepare(source, tmp_path)
    other = source.rename(tmp_path / "other")
    with pytest.raises(DataError, match="was prepared with source .*mine.*--name"):
        registry.prepare("segmentation_folder", tmp_path / "data", other)
    # Without a source there is nothing to contradict.
    assert registry.prepare("segmentation_folder", tmp_path / "data").counts


def test_names_what_is_missing(source, tmp_path):
    (source / "masks" / "img4.png").unlink()
    with pytest.raises(DataError, match=r"images/img4\.png has no mask: .*img4\.png"):
        prepare(source, tmp_path)
    (source / "images" / "img4.png").unlink()
    add(source, "img5")
    with pytest.raises(DataError, match=r"img5\.jpg and .*img5\.png share the mask"):
        prepare(source, tmp_path)
    (source / "images" / "img5.png").unlink()
    (source / "images" / "img5.jpg").unlink()
    with pytest.raises(DataError, match=r"mask .*masks/img5\.png has no image"):
        prepare(source, tmp_path)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": "img1\nimg77\n"}, r"train\.txt:2 names 'img77', which is not in"),
        ({"train": "img1.png\n"}, None),
        ({"train": "img1\n", "val": "img1\n"}, r"val\.txt:1: image 'img1' is already"),
        ({"train": "img1\nimg1\n"}, r"train\.txt:2: image 'img1' is already in train"),
        ({"train": "\n"}, r"train\.txt lists no images"),
    ],
)
def test_names_lines_of_lists(lists, message, source, tmp_path):
    for split, text in lists.items():
        (source / f"{split}.txt").write_text(text)
    if message is None:  # the suffix in a list need not be that of the file
        prepare(source, tmp_path)
        return
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("one",)}, "names 1 classes, expected 2..255; a binary task has"),
        ({"classes": ("a", "a")}, "names class 'a' twice"),
        ({"classes_file": "names.txt"}, "names.txt is missing; write one class name"),
        ({"label_values": (1, 2)}, "gives 2 values for 4 classes"),
        ({"label_values": (1, 1, 2, 3)}, "must be different and 0..65535"),
        ({"ignore_label": 3}, "ignore_label 3 is also the mask value of class 'wall'"),
        ({"ignore_label": -2}, "ignore_label must be -1..65535, got -2"),
        ({"label_map": ("0:0",), "label_values": (0,)}, "label_values both say what"),
        ({"label_map": ("0:0", "5")}, "label_map entry '5' is not of the form VALUE:L"),
        ({"label_map": ("sky:0",)}, "label_map entry 'sky:0' is not of the form VALUE"),
        ({"label_map": ("0:0", "0:1")}, "label_map gives mask value 0 twice"),
        ({"label_map": ("70000:1",)}, "entry '70000:1': mask values are 0..65535"),
        (
            {"label_map": ("0:0", "9:4")},
            r"entry '9:4': there is no class 4; expected 0..3 \(road, .*\) or ignore",
        ),
        (
            {"label_map": ("0:0", "255:1"), "ignore_label": 255},
            "ignore_label 255 is also the mask value of class 'car'; give another",
        ),
        ({"ratios": (0.5, 0.2)}, "positive shares with sum 1, got"),
        ({"ratios": (1.2, -0.2)}, "positive shares with sum 1, got"),
        ({"flip_pairs": ("car",)}, "flip pair 'car' is not of the form left:right"),
        ({"flip_pairs": ("car:bus",)}, "flip pair names 'bus', classes are"),
        ({"flip_pairs": ("none", "car:road")}, "flip pair 'none' is not of the form"),
        ({"images": "photos"}, "photos is missing; expected the images there"),
        ({"masks": "labels"}, "labels is missing; expected the masks there"),
    ],
)
def test_names_wrong_options(options, message, source, tmp_path):
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path, **options)


def test_names_labels_outside_the_classes(source, tmp_path):
    add(source, "img2", np.full((8, 12), 7, np.uint8))
    with pytest.raises(
        DataError,
        match=r"masks/img2\.png holds label 7 \(96 pixels\); expected 0\.\.3 or 255 "
        r"\(ignored\) for 4 classes; --option label_map=VALUE:LABEL,\.\.\. gives values "
        "a class, --option ignore_label=VALUE ignores one$",
    ):
        prepare(source, tmp_path)


def test_refuses_stretched_grey_values(source, tmp_path):
    """A 4-bit grey PNG decodes to multiples of 17."""
    import struct
    import zlib

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + bytes([0x01] * 6)) * 8
    header = struct.pack(">IIBBBBB", 12, 8, 4, 0, 0, 0, 0)
    (source / "masks" / "img2.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(DataError, match=r"img2\.png has 4-bit grey values, expected 8"):
        prepare(source, tmp_path)


def test_what_file_managers_leave_is_no_image(source, tmp_path):
    before = prepare(source, tmp_path)
    for folder in (source / "images", source / "masks"):
        for name in ("._img1.png", "._a0.png", ".DS_Store", "Thumbs.db"):
            (folder / name).write_bytes(b"of a file manager")
        for name in (".thumbnails", "__MACOSX", "@eaDir"):
            (folder / name).mkdir()
            (folder / name / "img.png").write_bytes(b"of a file manager")
    assert prepare(source, tmp_path) == before


def test_a_source_with_litter_only_is_empty(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".DS_Store").write_bytes(b"of a Mac")
    with pytest.raises(DataError, match="mine of segmentation_folder is empty"):
        prepare(tmp_path / "mine", tmp_path)


def test_empty_image_folder(source, tmp_path):
    for path in (source / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="images has no images"):
        prepare(source, tmp_path)
