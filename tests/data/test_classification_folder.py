"""Own images with classes: folders, tables, and the files that are wrong in them."""

import numpy as np
import pytest
from PIL import Image

from hrnet_jax.data.classes.images import read_class_image
from hrnet_jax.data.classes.items import ImagePlace
from hrnet_jax.data.classes.source import ClassOptions
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.records import open_records
from hrnet_jax.data.registry import prepare
from hrnet_jax.data.sources.classification_csv import (
    ClassificationCSV,
    ClassificationCSVOptions,
)
from hrnet_jax.data.sources.classification_folder import ClassificationFolder
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from tests.data import class_files as files

NAMES = [f"{c}/{k}.jpg" for c in ("dog", "cat") for k in range(5)]


def folder(source, **options):
    return ClassificationFolder(source, ClassOptions(**options)).contents


def table(source, **options):
    return ClassificationCSV(source, ClassificationCSVOptions(**options)).contents


def named(found, split):
    """Name -> classes of the images of a split."""
    return {
        one.image_id: tuple(found.ids[label] for label in one.labels)
        for one in found.splits[split]
    }


def test_folders_of_splits(tmp_path):
    source = tmp_path / "source"
    names = [f"{s}/{n}" for s in ("train", "valid") for n in NAMES]
    files.write_folders(source, [*names, "train/cat/far/7.png"])
    (source / "classes.txt").write_text("0 dog a good dog\n1 cat\n")
    info = prepare("classification_folder", tmp_path, source)
    assert info.image_class_ids == ("dog", "cat")
    assert info.image_class_names == ("a good dog", "cat")
    assert info.counts == {"train": 11, "val": 10} and not info.multi_label
    assert info.image_class_counts == {"train": [5, 6], "val": [5, 5]}
    text = summarize(info)
    assert "images of 2 classes" in text and "1  cat" in text
    train = open_records("classification_folder", tmp_path, "train")
    classes = {one["image_id"]: int(one["class"]) for one in train}
    assert classes["dog/3"] == 0 and classes["cat/far/7"] == 1
    # Part of a split shows all classes.
    assert {int(one["class"]) for one in train[:3]} == {0, 1}
    one = train.encoded()[0]
    assert one["image"] == (source / f"train/{one['image_id']}.jpg").read_bytes()
    assert DatasetInfo.from_json(info.to_json()) == info


def test_folders_without_splits_are_cut_class_by_class(tmp_path):
    files.write_folders(tmp_path, NAMES)
    found = folder(tmp_path, ratios=(0.6, 0.4))
    assert found.ids == ("cat", "dog")
    for split, each in (("train", 3), ("val", 2)):
        classes = sorted(named(found, split).values())
        assert classes == [("cat",)] * each + [("dog",)] * each
    again = folder(tmp_path, ratios=(0.6, 0.4))
    assert found.splits == again.splits
    chosen = folder(tmp_path, classes=("dog", "cat"), ratios=(1.0,))
    assert chosen.ids == ("dog", "cat") and len(chosen.splits["train"]) == 10


def test_files_that_differ_in_their_endings_keep_them(tmp_path):
    files.write_folders(tmp_path, ["cat/a.jpg", "cat/a.jpeg", "dog/a.jpg", "dog/b.jpg"])
    ids = named(folder(tmp_path, ratios=(1.0,)), "train")
    assert ids.keys() == {"cat/a.jpg", "cat/a.jpeg", "dog/a", "dog/b"}


FOLDERS = {
    "empty class": (
        ["cat/a.jpg", "dog/notes.txt"],
        r"/dog has no images \(.jpg.*it holds notes.txt; put some there, or remove",
    ),
    "loose images": (["a.jpg", "cat/b.jpg"], r"a.jpg is in the folder of no class"),
    "one class": (["cat/a.jpg", "cat/b.jpg"], r"images of 1 classes \(cat\)"),
    "one image": (["cat/a.jpg", "cat/b.jpg", "dog/c.jpg"], "'dog' has 1 of the 2 imag"),
    "no folders": (["notes.txt"], "has no folders; expected train/CLASS/a.jpg"),
    "another class": (
        ["train/cat/a.jpg", "train/dog/b.jpg", "val/cow/c.jpg"],
        "split 'val' has the class 'cow', which 'train' lacks",
    ),
    "two of a split": (
        ["val/cat/a.jpg", "valid/dog/b.jpg"],
        "/val and .*/valid are both the split 'val'",
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_wrong_folders(tmp_path, case):
    names, message = FOLDERS[case]
    files.write_folders(tmp_path, names)
    with pytest.raises(DataError, match=message):
        folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat\n", "classes.txt has no line for class 'dog'"),
        ("cat\ndog\ncat\n", "classes.txt:3: class 'cat' is there twice"),
        ("cat\ndog\ncow x\n", "classes.txt:3: there is no class 'cow'"),
    ],
)
def test_wrong_lists_of_classes(tmp_path, text, message):
    files.write_folders(tmp_path, NAMES)
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        folder(tmp_path)


def test_one_file_in_two_classes(tmp_path):
    files.write_folders(tmp_path, [f"train/{name}" for name in NAMES])
    data = (tmp_path / "train/cat/1.jpg").read_bytes()
    files.write_image(tmp_path / "train/cat/same.jpg", data=data)
    files.write_image(tmp_path / "val/cat/b.jpg", data=data)
    reader = ClassificationFolder(tmp_path, ClassOptions())
    assert len(reader.contents.splits["train"]) == 11
    found = {(what, number) for _, what, number in reader.findings.listed()}
    assert ("images that are there twice", 1) in found
    assert ("images of val that are in train as well", 1) in found
    files.write_image(tmp_path / "train/dog/same.jpg", data=data)
    message = (
        r"cat/1.jpg and .*dog/same.jpg are the same image in two classes, 'cat' and"
    )
    with pytest.raises(DataError, match=message):
        folder(tmp_path)
    assert len(folder(tmp_path, duplicates="keep").splits["train"]) == 12
    with pytest.raises(DataError, match="duplicates=drop: expected keep"):
        ClassOptions(duplicates="drop")


def test_unknown_and_repeated_classes_of_the_option(tmp_path):
    files.write_folders(tmp_path, NAMES)
    with pytest.raises(
        DataError, match="option classes has 'cow', the classes of .* ar"
    ):
        folder(tmp_path, classes=("cow", "cat"))
    with pytest.raises(DataError, match="option classes names 'cat' twice"):
        ClassOptions(classes=("cat", "cat"))


def write_table(source, text, name="labels.csv"):
    for seed, image in enumerate("abcd"):
        files.write_image(source / "images" / f"{image}.jpg", seed)
    (source / name).write_text(text)
    return source


ROWS = "image,label\na.jpg,10\nb.jpg,9\nc.jpg,10\nd.jpg,9\n"


def test_tables(tmp_path):
    found = table(write_table(tmp_path / "one", ROWS), ratios=(1.0,))
    assert found.ids == ("9", "10")
    assert named(found, "train") == {
        "a": ("10",),
        "b": ("9",),
        "c": ("10",),
        "d": ("9",),
    }
    source = write_table(tmp_path / "two", "file_name;class;age\na.jpg;cat;3\n")
    (source / "labels.csv").rename(source / "train.csv")
    with pytest.raises(DataError, match=r"images of 1 classes \(cat\)"):
        table(source)
    (source / "val.csv").write_text("path,category\nimages/b.jpg,dog\n")
    (source / "classes.txt").write_text("dog\ncat\n")
    reader = ClassificationCSV(source, ClassificationCSVOptions())
    found = reader.contents
    assert found.ids == ("dog", "cat") and named(found, "val") == {"b": ("dog",)}
    whats = [what for _, what, _ in reader.findings.listed()]
    assert whats == ["columns 'age', left out", "class dog, without images"]


@pytest.mark.parametrize(
    "text",
    [
        "image,label\na.jpg,cat|dog\nb.jpg,\nc.jpg,dog\n",
        "image,label\na.jpg,cat\na.jpg,dog\nb.jpg,\nc.jpg,dog\n",
        "filename,cat,dog\na.jpg,1,1\nb.jpg,0,0\nc.jpg,0,1\n",
    ],
    ids=["cells", "rows", "columns"],
)
def test_images_of_several_classes(tmp_path, text):
    source = write_table(tmp_path / "source", text)
    options = {"multi_label": True, "ratios": (1.0,)}
    found = table(source, **options)
    expected = {"a": ("cat", "dog"), "b": (), "c": ("dog",)}
    assert named(found, "train") == expected and found.several


def test_records_of_several_classes(tmp_path):
    text = "image,label\na.jpg,cat|dog\nb.jpg,\nc.jpg,dog\n"
    source = write_table(tmp_path / "source", text)
    options = {"multi_label": True, "ratios": (1.0,)}
    info = prepare("classification_csv", tmp_path, source, **options)
    assert info.multi_label and info.image_class_counts == {"train": [1, 2]}
    records = open_records("classification_csv", tmp_path, "train")
    flags = {one["image_id"]: one["classes"].tolist() for one in records}
    assert flags == {"a": [1, 1], "b": [0, 0], "c": [0, 1]}
    assert records[0]["classes"].dtype == np.uint8


TABLES = {
    "no column": ("image,age\na.jpg,3\n", "got 'image', 'age'"),
    "two columns": (
        "image,label,class\na.jpg,x,y\n",
        "'label' and 'class'; expected one",
    ),
    "no cell": ("image,label\na.jpg,\n", r"csv:2, column 'label': the cell is empty"),
    "no image": (
        "image,label\nx.jpg,cat\n",
        r"csv:2 names .*x.jpg, not found \(1 of 1",
    ),
    "no rows": ("image,label\n", "has no images below its header"),
    "two classes": (
        "image,label\na.jpg,cat\na.jpg,dog\n",
        r"csv:3: 'a.jpg' is of class 'dog', but of 'cat' in .*csv:2; say multi_label",
    ),
    "no table": ("", "expected a header with a column of images"),
}


@pytest.mark.parametrize("case", TABLES)
def test_wrong_tables(tmp_path, case):
    text, message = TABLES[case]
    with pytest.raises(DataError, match=message):
        table(write_table(tmp_path, text))


def test_wrong_tables_of_several(tmp_path):
    source = write_table(tmp_path, "image,cat,dog\na.jpg,1,2\n")
    with pytest.raises(DataError, match=r"csv:2, column 'dog': '2', expected 0 or 1"):
        table(source, multi_label=True)
    (source / "labels.csv").write_text("image,cat,cat\na.jpg,1,1\n")
    with pytest.raises(DataError, match="different names of classes"):
        table(source, multi_label=True)


def test_tables_and_files_beside_each_other(tmp_path):
    with pytest.raises(
        DataError, match=r"has none of train.csv, .*labels.csv \(the op"
    ):
        table(tmp_path)
    source = write_table(tmp_path, ROWS)
    (source / "classes.txt").write_text("9\n")
    with pytest.raises(DataError, match=r"csv:2: class '10' is not in .*classes.txt"):
        table(source)
    (source / "train.csv").write_text(ROWS)
    with pytest.raises(DataError, match=r"has labels.csv beside train.csv; keep"):
        table(source)
    (source / "labels.csv").rename(source / "val.csv")
    (source / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"image 'a.jpg' is already in .*train.csv:2"):
        table(source)


def image_of(tmp_path, data):
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    return read_class_image(ImagePlace(path))


def test_what_becomes_of_other_images(tmp_path):
    """JPEG files in RGB and grey are kept; others are converted, which is counted."""
    picture = files.picture(0)
    for image in (picture, picture.convert("L")):
        data = files.encoded(image)
        assert image_of(tmp_path, data)[0].data == data
    for image, note in (
        (picture.convert("CMYK"), "images in CMYK, converted to RGB"),
        (Image.new("I;16", (4, 3), 700), "images of 16 bits, of which the upper 8"),
        (picture.convert("P"), ""),
    ):
        kind = "JPEG" if image.mode == "CMYK" else "PNG"
        stored, said = image_of(tmp_path, files.encoded(image, kind))
        assert said.startswith(note) and bool(said) == bool(note)
        assert stored.data.startswith(b"\x89PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, _ = image_of(tmp_path, files.encoded(picture, exif=exif))
    assert (turned.height, turned.width) == files.SIZE[::-1]


def twelve_bits():
    data = bytearray(files.jpeg(0))
    frame = data.index(b"\xff\xc0")
    data[frame + 4] = 12
    return bytes(data)


IMAGES = {
    "truncated": (lambda: files.jpeg(0)[:-200], "x.jpg is truncated or damaged"),
    "12 bits": (twelve_bits, "x.jpg is a JPEG of 12 bits, of which no library"),
    "text": (lambda: b"words", "x.jpg is not an image file"),
    "32 bits": (
        lambda: files.encoded(Image.new("F", (3, 4)), "TIFF"),
        "x.jpg: a Pillow image of mode F has 32-bit pixels",
    ),
}


@pytest.mark.parametrize("case", IMAGES)
def test_wrong_images(tmp_path, case):
    data, message = IMAGES[case]
    with pytest.raises(DataError, match=message):
        image_of(tmp_path, data())


def test_a_part_of_an_archive_that_is_not_there(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"abc")
    with pytest.raises(DataError, match=r"a.tar: b.jpg has 2 of 9 bytes"):
        ImagePlace(path, "b.jpg", 1, 9).read()
    path.unlink()
    with pytest.raises(DataError, match=r"cannot read .*a.tar: b.jpg: No such file"):
        ImagePlace(path, "b.jpg", 1, 9).read()


def test_generated_scenes_with_their_classes(tmp_path):
    sizes = {"train": 5, "val": 3, "test": 0, "image_size": 32}
    info = prepare("shapes_classes", tmp_path, **sizes)
    scenes = prepare("shapes", tmp_path, **sizes)
    assert info.image_class_names == scenes.image_class_names
    assert not info.num_classes and sum(info.image_class_counts["val"]) == 3
    ours = open_records("shapes_classes", tmp_path, "val")
    theirs = open_records("shapes", tmp_path, "val")
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == {"image", "image_id", "class"}
        assert one["class"] == other["class"] and one["image_id"] == other["image_id"]
        np.testing.assert_array_equal(one["image"], other["image"])
