"""Boxes in the XML files of Pascal VOC, and in those that tools write like them."""

import shutil

import numpy as np
import pytest

from hrnet_jax.errors import DataError
from tests.data import object_files as files
from tests.data.object_files import prepare, read

CAT, DOG = ("cat", 3, 5, 20, 25, 0), ("dog", 30, 10, 50, 40, 1)


def official(folder, lists, **xml):
    """The official layout: a, b, c, ... in the lists of splits."""
    for split, names in lists.items():
        path = folder / f"ImageSets/Main/{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in names))
        for name in names:
            files.write_xml(folder / f"Annotations/{name}.xml", [CAT, DOG], **xml)
            files.write_image(folder / f"JPEGImages/{name}.jpg")
    return folder


def test_official_layout_and_pixels_from_1(tmp_path):
    lists = {"train": "ab", "val": "c", "test": "d"}
    source = official(tmp_path / "source", lists, database="The VOC2007 Database")
    info = prepare("voc", source, tmp_path)
    assert info.counts == {"train": 2, "val": 1, "test": 1}
    assert info.box_class_names == ("cat", "dog") and info.category_ids == (1, 2)
    first, second = read("voc", tmp_path, "train")
    # From the left edge of the first pixel to the right edge of the last.
    np.testing.assert_array_equal(first["boxes"], [[2, 4, 20, 25], [29, 9, 50, 40]])
    assert first["box_crowd"].tolist() == [0, 1]
    assert first["box_area"].tolist() == [18 * 21, 21 * 31]
    assert (second["image_id"], second["image_number"]) == ("b", "2")


def test_edges_of_tools_and_difficult_objects_as_others(tmp_path):
    source = official(tmp_path / "source", {"train": "a"})
    prepare("voc", source, tmp_path, difficult="object")
    (sample,) = read("voc", tmp_path, "train")
    np.testing.assert_array_equal(sample["boxes"], [[3, 5, 20, 25], [30, 10, 50, 40]])
    assert sample["box_crowd"].tolist() == [0, 0]
    prepare("voc", source, tmp_path, save_as="pixels", corners="pixels")
    (sample,) = read("pixels", tmp_path, "train")
    np.testing.assert_array_equal(sample["boxes"][0], [2, 4, 20, 25])


def test_train_and_val_in_one_list(tmp_path):
    source = official(tmp_path / "source", {"trainval": "ab", "test": "c"})
    assert prepare("voc", source, tmp_path).counts == {"train": 2, "test": 1}


def test_the_one_list_of_cvat_is_cut(tmp_path):
    source = official(tmp_path / "source", {"default": "abcd"})
    info = prepare("voc", source, tmp_path, ratios=(0.5, 0.5))
    assert info.counts == {"train": 2, "val": 2}


def test_folders_of_roboflow(tmp_path):
    source = tmp_path / "source"
    for split in ("train", "valid"):
        files.write_xml(source / split / "a.xml", [CAT])
        files.write_image(source / split / "a.jpg")
    files.write_image(source / "train/none.jpg")
    with pytest.raises(DataError, match=r"none.jpg has no XML file: .*say empty="):
        prepare("voc", source, tmp_path)
    info = prepare("voc", source, tmp_path, empty="drop")
    assert info.counts == {"train": 1, "val": 1}


def test_folders_of_label_studio_are_cut(tmp_path):
    source = tmp_path / "source"
    for name in "abc":
        files.write_xml(source / f"Annotations/{name}.xml", [CAT], filename="gone.png")
        files.write_image(source / f"images/{name}.png")
    assert prepare("voc", source, tmp_path).counts == {"train": 2, "val": 1}


_WORD = "<object><name>cat</name><bndbox><xmin>a</xmin></bndbox></object>"
BAD = {
    "no XML": ("<annotation>", "is not valid XML: "),
    "other XML": ("<html></html>", "the outermost element is 'html'"),
    "no name": ("<annotation><object/></annotation>", "object 1 has no 'name'"),
    "no box": (
        "<annotation><object><name>cat</name></object></annotation>",
        "object 1: 'xmin' is None, expected pixels",
    ),
    "a word": (
        f"<annotation>{_WORD}</annotation>",
        "object 1: 'xmin' is 'a', expected pixels",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_files(tmp_path, case):
    text, message = BAD[case]
    source = official(tmp_path / "source", {"train": "a"})
    (source / "Annotations/a.xml").write_text(text)
    with pytest.raises(DataError, match=f"a.xml.*{message}"):
        prepare("voc", source, tmp_path)


def test_wrong_boxes_lists_and_sizes(tmp_path):
    source = official(tmp_path / "source", {"train": "ab"})
    path = source / "Annotations/a.xml"
    for size, objects, message in (
        ((30, 60), [CAT], r"image of 60x30 pixels, but .*a.jpg is 60x40"),
        (files.SIZE, [("cat", 5, 5, 5, 9, 0)], r"object 1 \(cat\): .* has size 0 x 4"),
        (files.SIZE, [("cat", 90, 5, 95, 9, 0)], "outside its image of 60x40"),
        (files.SIZE, [], "a.xml: image 'a.jpg' has no object"),
    ):
        files.write_xml(path, objects, size)
        with pytest.raises(DataError, match=message):
            prepare("voc", source, tmp_path)
    path.unlink()
    with pytest.raises(
        DataError, match=r"train.txt names 'a', but .*a.xml is not there"
    ):
        prepare("voc", source, tmp_path)
    source = official(tmp_path / "twice", {"train": "a", "val": "a"})
    with pytest.raises(DataError, match="val.txt: 'a' is already in 'train'"):
        prepare("voc", source, tmp_path)
    (tmp_path / "nothing").mkdir()
    files.write_image(tmp_path / "nothing/a.jpg")
    with pytest.raises(DataError, match="has no XML files"):
        prepare("voc", tmp_path / "nothing", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corners": "x"}, "corners=x: expected one of edges, pixels"),
        ({"difficult": "x"}, "difficult=x: expected one of crowd, object"),
    ],
)
def test_options_that_are_none(tmp_path, options, message):
    source = official(tmp_path / "source", {"train": "a"})
    with pytest.raises(DataError, match=message):
        prepare("voc", source, tmp_path, **options)


@pytest.mark.slow
def test_bccd_has_a_box_without_a_size(real_data, tmp_path):
    """The layout of BCCD, and the boxes of its COCO form."""
    source, samples = tmp_path / "bccd", real_data / "bccd"
    names = []
    for path in sorted((samples / "voc_samples").glob("*.xml")):
        for folder in ("Annotations", "JPEGImages"):
            (source / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, source / "Annotations")
        shutil.copy(samples / f"images/{path.stem}.jpg", source / "JPEGImages")
        names.append(path.stem)
    (source / "ImageSets/Main").mkdir(parents=True)
    (source / "ImageSets/Main/train.txt").write_text("\n".join(names))
    with pytest.raises(
        DataError, match=r"00338.xml, object \d+ \(RBC\): .* size 0 x 0"
    ):
        prepare("voc", source, tmp_path)
    prepare("voc", source, tmp_path, invalid="drop")
    prepare("detection_coco", samples, tmp_path, save_as="bccd")
    boxes = {
        sample["image_id"]: sample["boxes"]
        for split in ("train", "val", "test")
        for sample in read("bccd", tmp_path, split)
        if sample["image_id"] in names
    }
    for sample in read("voc", tmp_path, "train"):
        np.testing.assert_array_equal(sample["boxes"], boxes[sample["image_id"]])
