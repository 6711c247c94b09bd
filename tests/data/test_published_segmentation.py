"""Published segmentation sets: layouts, tables of labels, and what is named when wrong."""

import json

import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.class_tables import PASCAL_CONTEXT_IDS
from hrnet_jax.data.records import open_records
from hrnet_jax.data.sources import source_class
from hrnet_jax.errors import DataError
from tests.data.segmentation_sets import (
    MAKERS,
    labels_of,
    make_context,
    make_merged,
    make_stuff_10k,
    make_voc,
    merged_document,
    opened,
    save_image,
    save_palette,
    save_values,
    write_list,
)

KNOWN = sorted(MAKERS)


def read_one(name, folder, values, **options):
    """The labels of one image whose file holds these values."""
    MAKERS[name](folder, np.asarray(values, np.uint8).reshape(2, 3))
    source = opened(name, folder, splits=("train",), **options)
    ((labels,),) = (found.values() for found in labels_of(source).values())
    return labels.ravel().tolist()


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("lip", [0, 1, 14, 15, 19, 255], [0, 1, 14, 15, 19, 255]),
        # The reduced zero of ADE20K and PASCAL-Context; 254 of the reference does
        # not occur for COCO-Stuff.
        ("ade20k", [0, 1, 2, 149, 150, 150], [255, 0, 1, 148, 149, 149]),
        ("coco_stuff_164k", [0, 11, 12, 91, 181, 255], [0, 255, 11, 80, 170, 255]),
        ("coco_stuff_10k", [0, 1, 12, 13, 92, 182], [255, 0, 255, 11, 80, 170]),
        ("voc2012", [0, 1, 15, 20, 255, 0], [0, 1, 15, 20, 255, 0]),
        ("pascal_context_60", [0, 1, 37, 59, 255, 0], [0, 1, 37, 59, 255, 0]),
        ("pascal_context_59", [0, 1, 37, 59, 255, 0], [255, 0, 36, 58, 255, 255]),
    ],
)
def test_values_become_labels(name, values, expected, tmp_path):
    assert read_one(name, tmp_path, values) == expected


WRONG = {
    "lip": (20, "20 (1 pixels); expected 0..19 or 255 (ignored)"),
    "ade20k": (151, "151 (1 pixels); expected 0 (ignored) or 1..150"),
    "coco_stuff_164k": (182, "182 (1 pixels); expected 0..181 or 255 (ignored)"),
    "coco_stuff_10k": (183, "183 (1 pixels); expected 0 (ignored) or 1..182"),
    "voc2012": (21, "21 (1 pixels); expected 0..20 or 255 (borders, ignored)"),
    "pascal_context_60": (60, "60 (1 pixels); expected 0..59 or 255 (ignored)"),
    "pascal_context_59": (60, "60 (1 pixels); expected 0..59 or 255 (ignored)"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_labels_outside_the_table_are_named(name, tmp_path):
    value, message = WRONG[name]
    with pytest.raises(DataError) as caught:
        read_one(name, tmp_path, [0, 0, 0, 0, 0, value])
    assert f" holds label {message}" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", KNOWN)
def test_a_wrong_root_is_named_with_what_is_there(name, tmp_path):
    """What was looked for and found, the folder that was meant, and where to get it."""
    MAKERS[name](tmp_path / "archive", np.zeros((2, 3), np.uint8))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError) as caught:
        opened(name, tmp_path).splits()
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/") and " is missing" in message
    assert f"; {tmp_path} holds archive, notes.txt. " in message
    assert f"Is it --source={tmp_path / 'archive'}?" in message
    assert source_class(name).origin.place in message


@pytest.mark.parametrize("name", KNOWN)
def test_a_file_without_its_partner_is_named(name, tmp_path):
    MAKERS[name](tmp_path, np.zeros((2, 3), np.uint8))
    (picture,) = tmp_path.rglob("*.jpg")
    picture.rename(picture.with_name("other.jpg"))
    # Of folders the image without a label; of lists the line without a file.
    with pytest.raises(DataError, match=r"other.jpg has no label|txt:1 names .* but"):
        opened(name, tmp_path, splits=("train",)).splits()


@pytest.mark.parametrize("name", KNOWN)
def test_splits_that_a_set_does_not_have_are_named(name, tmp_path):
    with pytest.raises(
        DataError, match="splits=dev: there is no split 'dev'; expected"
    ):
        opened(name, tmp_path, splits=("dev",))


@pytest.mark.parametrize("name", ["lip", "ade20k", "coco_stuff_164k"])
def test_colours_are_named_with_their_number(name, tmp_path):
    MAKERS[name](tmp_path, np.full((2, 3, 3), (0, 0, 255), np.uint8))
    source = opened(name, tmp_path, splits=("train",))
    with pytest.raises(DataError) as caught:
        labels_of(source)
    assert "is a colour image, which holds #ff0000 (6 pixels); expected" in str(
        caught.value
    )
    assert "segmentation_folder, with the colour of each class behind its name" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("lip", "Testing_images/testing_images"),
        ("ade20k", "images/testing"),
        ("coco_stuff_164k", "test2017"),
    ],
)
def test_test_images_have_no_labels(name, images, tmp_path):
    MAKERS[name](tmp_path, np.zeros((2, 3), np.uint8), "val")
    save_image(tmp_path / images / "t.jpg", (5, 4))
    info = registry.prepare(
        name, tmp_path / "data", tmp_path, splits=("val", "test"), save_as="some"
    )
    assert info.unlabelled_splits == ("test",)
    (sample,) = open_records("some", tmp_path / "data", "test")
    assert sample["image_id"] == "t" and sample["image"].shape == (5, 4, 3)
    assert "label" not in sample


def test_lists_of_lip_and_of_voc_keep_their_order_and_refuse_doubles(tmp_path):
    zeros = np.zeros((2, 3), np.uint8)
    for name in ("b", "a"):
        make_voc(tmp_path, zeros, name=name)
        MAKERS["lip"](tmp_path, zeros, name=name)
    write_list(tmp_path / "train_id.txt", "b", "a")
    (found,) = opened("lip", tmp_path, splits=("train",)).splits().values()
    assert [pair.image_id for pair in found] == ["b", "a"]
    write_list(tmp_path / "train_id.txt", "b", "a", "b")
    with pytest.raises(DataError, match=r"train_id.txt:3 names 'b', as line 1 does"):
        opened("lip", tmp_path, splits=("train",)).splits()
    write_list(tmp_path / "ImageSets/Segmentation/trainaug.txt", "a", "b")
    write_list(tmp_path / "ImageSets/Segmentation/val.txt", "a")
    for name in "ab":
        save_values(tmp_path / f"SegmentationClassAug/{name}.png", zeros + 3)
    source = opened("voc2012", tmp_path, splits=("train_aug",))
    assert labels_of(source)["train_aug"]["b"].max() == 3
    with pytest.raises(DataError, match=r"a.jpg is in split 'val' and in 'train_aug'"):
        opened("voc2012", tmp_path, splits=("train_aug", "val")).splits()
    write_list(tmp_path / "ImageSets/Segmentation/val.txt", "a", "c", "d")
    with pytest.raises(
        DataError, match=r"val.txt:2 names 'c', but .*c.jpg is not there \(4 files of 3"
    ):
        opened("voc2012", tmp_path, splits=("val",)).splits()


@pytest.mark.parametrize("name", ["coco_stuff_10k", "ade20k"])
def test_the_folders_of_the_published_lists_are_read(name, tmp_path):
    values = np.array([[0, 1, 13], [92, 150, 150]], np.uint8)
    save_image(tmp_path / "val/image/a.jpg")
    save_values(tmp_path / "val/label/a.png", values)
    (labels,) = labels_of(opened(name, tmp_path, splits=("val",)))["val"].values()
    assert labels.ravel().tolist() == source_class(name).table[values].ravel().tolist()
    assert labels[0, :2].tolist() == [255, 0]


def test_stuff_labels_are_those_of_the_reference():
    """But for the ids of no class, which its uint8 arithmetic makes 254.

    The published reader takes the position of an id among 0 and the 171 ids that are
    used, 255 for others, less one in eight bits.
    """
    unused = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91]
    used = [0, *(number for number in range(1, 183) if number not in unused)]
    assert len(used) == 172
    positions = np.full(183, 255, np.uint8)
    positions[used] = np.arange(172)
    reference = positions - np.uint8(1)
    assert (reference[unused] == 254).all()
    reference[unused] = 255
    np.testing.assert_array_equal(source_class("coco_stuff_10k").table[:183], reference)
    large = source_class("coco_stuff_164k").table
    np.testing.assert_array_equal(large[:182], reference[1:])


def context_ids():
    """Numbers of 459 classes: background, aeroplane, one of no class, wood."""
    return np.array([[0, 2, 1], [458, 458, 9]], np.uint16)


def names_of_459(table):
    """`labels.txt` with the names at the numbers of the merged file."""
    names = {number: f"other {number}" for number in range(1, 460)}
    names |= dict(zip(PASCAL_CONTEXT_IDS[1:], table, strict=True))
    return [f"{number}: {name}" for number, name in names.items()]


@pytest.mark.parametrize("classes", [59, 60])
def test_context_from_files_of_459_classes(classes, tmp_path):
    name = f"pascal_context_{classes}"
    table = source_class("pascal_context_59").classes
    make_context(tmp_path, context_ids(), suffix=".mat")
    with pytest.raises(
        DataError, match=r"labels\.txt is missing; expected the folder V"
    ):
        labels_of(opened(name, tmp_path, splits=("train",)))
    lines = names_of_459(table)
    # Two spellings of the original list.
    lines = [line.replace(": table", ": diningtable") for line in lines]
    write_list(tmp_path / "labels.txt", *lines)
    found = labels_of(opened(name, tmp_path, splits=("train",)))
    expected = (
        [[0, 1, 0], [59, 59, 2]] if classes == 60 else [[255, 0, 255], [58, 58, 1]]
    )
    assert found["train"]["2008_000002"].tolist() == expected
    write_list(tmp_path / "labels.txt", *lines[:457])
    with pytest.raises(DataError, match="labels.txt has no class 'wood'; expected the"):
        labels_of(opened(name, tmp_path, splits=("train",)))
    write_list(tmp_path / "labels.txt", "2 aeroplane")
    with pytest.raises(DataError, match="labels.txt:1: expected 'NUMBER: NAME'"):
        labels_of(opened(name, tmp_path, splits=("train",)))


@pytest.mark.parametrize("classes", [59, 60])
def test_context_from_the_merged_file(classes, tmp_path):
    """Of its numbers the 60; a later mask lies over an earlier one."""
    values = np.array([[0, 2, 2], [458, 458, 9]], np.uint16)
    make_merged(tmp_path, values)
    document = merged_document(values)
    document["annos_segmentation"].append(
        {**document["annos_segmentation"][0], "category_id": 18, "id": 9}
    )
    (tmp_path / "trainval_merged.json").write_text(json.dumps(document))
    name = f"pascal_context_{classes}"
    found = labels_of(opened(name, tmp_path, splits=("train",)))
    expected = [[0, 3, 3], [59, 59, 2]] if classes == 60 else [[255, 2, 2], [58, 58, 1]]
    assert found["train"]["2008_000002"].tolist() == expected
    with pytest.raises(DataError, match="merged.json has no images of phase 'val'"):
        opened(name, tmp_path, splits=("val",)).splits()
    (tmp_path / "JPEGImages/2008_000002.jpg").unlink()
    with pytest.raises(
        DataError, match=r"names .*_000002.jpg, not found \(1 of 1 in 'tr"
    ):
        opened(name, tmp_path, splits=("train",)).splits()


def test_numbers_of_context_are_sixty_and_rise():
    """With some of the ranks that the published reader gives."""
    assert len(PASCAL_CONTEXT_IDS) == 60
    assert list(PASCAL_CONTEXT_IDS) == sorted(set(PASCAL_CONTEXT_IDS))
    names = list(source_class("pascal_context_60").classes)
    for number, name in ((0, "background"), (46, "cabinet"), (284, "person")):
        assert names[PASCAL_CONTEXT_IDS.index(number)] == name
    for number, name in ((397, "table"), (424, "truck"), (458, "wood")):
        assert names[PASCAL_CONTEXT_IDS.index(number)] == name


def test_several_labels_of_context_are_asked_about(tmp_path):
    make_context(tmp_path, np.zeros((2, 3), np.uint8))
    make_merged(tmp_path, np.full((2, 3), 9, np.uint16))
    with pytest.raises(
        DataError, match="which to read: --option labels=json, or labels=p"
    ):
        opened("pascal_context_60", tmp_path).splits()
    for labels, expected in (("json", 2), ("png", 0)):
        source = opened("pascal_context_60", tmp_path, splits=("train",), labels=labels)
        assert labels_of(source)["train"]["2008_000002"].max() == expected
    with pytest.raises(DataError, match="option labels=xml: expected one of json, mat"):
        opened("pascal_context_60", tmp_path, labels="xml")
    with pytest.raises(DataError, match="trainval is missing; expected the folder VOC"):
        opened("pascal_context_60", tmp_path, labels="mat").splits()


def edited(key, value, where="annos_segmentation"):
    document = merged_document(np.full((2, 3), 9, np.uint16))
    if value is None:
        del document[where][0][key]
    else:
        document[where][0][key] = value
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"images": []}, "has no list 'annos_segmentation'; expected the merged anno"),
        (
            edited("image_id", 3),
            "entry 1 of 'annos_segmentation' is on image 3, which is",
        ),
        (edited("category_id", "x"), "'category_id' is 'x', expected a number"),
        (
            edited("category_id", 3),
            r"merged.json holds label 3 \(6 pixels\); expected the",
        ),
        (edited("segmentation", []), r"'segmentation' is \[\], expected run lengths"),
        (
            edited("segmentation", {"size": [9, 9], "counts": "1"}),
            "run lengths of 9x9 pixels for an image of 3x2",
        ),
        (edited("phase", 1, "images"), "'phase' is 1, expected train or val"),
        (
            edited("height", 0, "images"),
            r"height and width are \[0, 3\], expected pixels",
        ),
        (
            edited("file_name", "x" * 300, "images"),
            r"xxx, not found \(1 of 1 in 'train'",
        ),
        (edited("image_id", None, "images"), "'image_id' is None, expected a number"),
    ],
)
def test_wrong_entries_of_the_merged_file_are_named(document, message, tmp_path):
    make_merged(tmp_path, np.full((2, 3), 9, np.uint16))
    (tmp_path / "trainval_merged.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=message):
        labels_of(opened("pascal_context_60", tmp_path, splits=("train",)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"T": np.zeros((2, 3))}, "has no array 'S'; its arrays are: T"),
        (
            {"S": np.zeros((2, 3, 1, 2))},
            r"'S' has the shape \[2, 3, 1, 2\], expected \[",
        ),
        (
            {"S": np.full((2, 3), 0.5)},
            "array 'S' holds 0.5, expected whole numbers 0..6",
        ),
        ({"S": np.zeros((3, 3))}, r"\.mat is 3x3 but its image .* is 3x2 pixels"),
    ],
)
def test_wrong_arrays_of_matlab_files_are_named(content, message, tmp_path):
    import scipy.io

    make_stuff_10k(tmp_path, np.zeros((2, 3), np.uint8))
    (path,) = tmp_path.rglob("*.mat")
    scipy.io.savemat(path, content)
    with pytest.raises(DataError, match=message):
        labels_of(opened("coco_stuff_10k", tmp_path, splits=("train",)))


def test_a_mirror_image_of_lip_swaps_the_sides():
    cls = source_class("lip")
    names = list(cls.classes)
    assert cls.flip_pairs == ((14, 15), (16, 17), (18, 19))
    assert [names[a] for a, _ in cls.flip_pairs] == [
        "left-arm",
        "left-leg",
        "left-shoe",
    ]


SAMPLES = {
    "lip": ("lip", ("train", "val")),
    "ade20k": ("ade20k/ADEChallengeData2016", ("val",)),
    "coco_stuff_164k": ("coco_stuff", ("train", "val")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_real_samples_are_read(name, real_data, tmp_path):
    folder, splits = SAMPLES[name]
    source = real_data / "samples" / folder
    if not source.is_dir():
        pytest.skip(f"no {source}")
    info = registry.prepare(name, tmp_path, source, splits=splits)
    for split in splits:
        records = open_records(name, tmp_path, split)
        assert len(records) == info.counts[split] >= 1
        for sample in records:
            assert sample["image"].shape == (*sample["label"].shape, 3)
        shown = np.count_nonzero(info.label_histogram[split])
        assert shown >= 3, "an image of several classes"
    if name == "lip":  # The evaluated one is a grey JPEG.
        image = open_records(name, tmp_path, "val")[0]["image"]
        assert (image == image[..., :1]).all() and image.std() > 10


def test_palette_files_are_read_by_their_indices(tmp_path):
    values = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    make_voc(tmp_path, values)
    save_palette(tmp_path / "SegmentationClass/2007_000032.png", values)
    found = labels_of(opened("voc2012", tmp_path, splits=("train",)))
    np.testing.assert_array_equal(found["train"]["2007_000032"], values)
