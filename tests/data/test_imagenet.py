"""ImageNet: archives that stay packed, folders, lists of others, ReaL labels."""

import numpy as np
import pytest
from PIL import Image

from hrnet_jax.data.classes.devkit import read_real
from hrnet_jax.data.records import open_records
from hrnet_jax.data.registry import prepare
from hrnet_jax.data.sources.imagenet import ImageNet, ImageNetOptions
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from tests.data import class_files as files

TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"


@pytest.fixture
def source(tmp_path):
    return files.write_archives(tmp_path / "source")


def contents(source, **options):
    return ImageNet(source, ImageNetOptions(**options)).contents


def test_archives_are_read_without_unpacking_them(tmp_path, source):
    files.write_real(source / "real.json")
    info = prepare("imagenet", tmp_path, source, real="real.json")
    assert info.image_class_ids == files.IDS and info.image_class_names == files.WORDS
    assert info.counts == {"train": 6, "val": 4}
    assert info.image_class_counts == {"train": [2, 2, 2], "val": [2, 1, 1]}
    assert info.default_splits == {"train": "train", "eval": "val"}
    assert "1281167 are published" in summarize(info)
    train = open_records("imagenet", tmp_path, "train").encoded()
    names = [f"{i}/{i}_{k}" for i in files.IDS for k in (3, 18)]
    assert [one["image_id"] for one in train] == names
    assert [int(one["class"]) for one in train] == [0, 0, 1, 1, 2, 2]
    assert train[3]["image"] == files.jpeg([1, 18])
    # Number 3, 1, 4, 2 of the archive; the devkit numbers classes in its own order.
    val = open_records("imagenet", tmp_path, "val").encoded()
    order = [3, 1, 4, 2]
    assert [one["image_id"] for one in val] == [files.val_name(k)[:-5] for k in order]
    ids = [files.IDS[files.NUMBERS.index(files.TRUTH[k - 1])] for k in order]
    assert [files.IDS[int(one["class"])] for one in val] == ids
    real = [[0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1]]
    assert [one["real"].tolist() for one in val] == real
    assert not any(one["real"].any() for one in train)
    assert val[0]["real"].dtype == np.uint8


def test_folders_hold_the_same(source, tmp_path):
    whole = contents(source)
    folders = tmp_path / "folders"
    for split, items in whole.splits.items():
        for item in items:
            name = item.image_id.rpartition("/")[2]
            place = folders / split / whole.ids[item.labels[0]] / f"{name}.JPEG"
            files.write_image(place, data=item.place.read())
    rows = zip(files.IDS, files.WORDS, strict=True)
    text = "\n".join(f"{one} {words}" for one, words in rows)
    (folders / "LOC_synset_mapping.txt").write_text(f"{text}\nn99999999 other\n")
    found = contents(folders)
    assert (found.ids, found.names) == (whole.ids, whole.names)

    def labels(splits):
        return {
            one.image_id.rpartition("/")[2]: one.labels
            for items in splits.values()
            for one in items
        }

    assert labels(found.splits) == labels(whole.splits)


@pytest.mark.parametrize("form", ["devkit folder", "synsets", "Kaggle"])
def test_validation_images_in_no_folders(source, form):
    """Beside the archive of the devkit: its folder, and the lists of others."""
    expected = [one.labels for one in contents(source).splits["val"]]
    (source / DEVKIT).unlink()
    ids = [files.IDS[files.NUMBERS.index(number)] for number in files.TRUTH]
    if form == "devkit folder":
        place = source / "ILSVRC2012_devkit_t12" / "data"
        place.mkdir(parents=True)
        for name, data in files.devkit_files().items():
            (place / name).write_bytes(data)
    elif form == "synsets":
        name = "imagenet_2012_validation_synset_labels.txt"
        (source / name).write_text("\n".join(ids))
    else:
        rows = [f"{files.val_name(k)[:-5]},{i} 1 2 3 4" for k, i in enumerate(ids, 1)]
        text = "\n".join(["ImageId,PredictionString", *rows])
        (source / "LOC_val_solution.csv").write_text(text)
        (source / VAL).unlink()
        for number in (3, 1, 4, 2):
            place = source / "ILSVRC/Data/CLS-LOC/val" / files.val_name(number)
            files.write_image(place, number)
        expected = [expected[k] for k in (1, 3, 0, 2)]  # sorted by name
    found = contents(source)
    assert [one.labels for one in found.splits["val"]] == expected


def test_a_split_alone(source):
    (source / TRAIN).unlink()
    found = contents(source)
    assert list(found.splits) == ["val"] and found.ids == files.IDS
    with pytest.raises(DataError, match="option splits=test: expected some of train"):
        ImageNetOptions(splits=("test",))


def rewrite(source, name, data):
    (source / name).write_bytes(data)


WRONG = {
    "no class": (
        TRAIN,
        lambda: files.tar_bytes([("a.JPEG", files.jpeg(0))]),
        rf"{TRAIN}: a.JPEG is of no class; expected an archive for each class",
    ),
    "no number": (
        VAL,
        lambda: files.tar_bytes([(files.val_name(5), files.jpeg(0))]),
        rf"{VAL}: {files.val_name(5)} has no class in .*{DEVKIT}",
    ),
    "truncated": (
        TRAIN,
        lambda: files.train_archive()[:-14000],
        rf"{TRAIN}(: n03000684.tar)? is truncated",
    ),
    "header cut": (
        VAL,
        lambda: files.val_archive()[: 2 * 512 + 100],
        rf"{VAL} is truncated: its end marker is missing|ends behind its end",
    ),
    "compressed": (VAL, files.devkit_archive, "is not an uncompressed tar archive"),
    "empty": (VAL, lambda: files.tar_bytes([]), rf"{VAL} (has no images|is not an)"),
    "another table": (DEVKIT, lambda: b"x" * 40, f"{DEVKIT} is no such archive"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_an_archive_is_named(source, case):
    name, data, message = WRONG[case]
    (source / name).write_bytes(data())
    with pytest.raises(DataError, match=message):
        contents(source)


def test_classes_that_nothing_tells(source):
    (source / DEVKIT).unlink()
    with pytest.raises(DataError, match=r"nothing else tells its class; bring ILSV"):
        contents(source)


def test_a_validation_image_of_another_class(source, tmp_path):
    files.write_image(tmp_path / "source/val/n00000001/x.JPEG", 3)
    (source / VAL).unlink()
    with pytest.raises(DataError, match=r"of the class 'n00000001', of which 'train'"):
        contents(source)


def test_an_empty_source_says_what_is_expected(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"expected ILSVRC2012_img_train.tar.*notes"):
        contents(tmp_path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a": 1}, "expected a list of lists"),
        ([[0], [3]], r"entry 2 is \[3\], expected a list of classes 0..2"),
        ([[0], 1], r"entry 2 is 1, expected a list"),
        ([[True]], r"entry 1 is \[True\]"),
    ],
)
def test_wrong_real_labels(tmp_path, entries, message):
    with pytest.raises(DataError, match=message):
        read_real(files.write_real(tmp_path / "real.json", entries), 3)


def test_real_labels_of_fewer_images(source):
    files.write_real(source / "real.json", [[0]])
    with pytest.raises(DataError, match=r"real.json has labels of 1 images, none of"):
        contents(source, real="real.json")


def test_images_in_cmyk_are_converted(tmp_path):
    cmyk = files.picture(1).convert("CMYK")
    data = files.encoded(cmyk, quality=95)
    for split in ("train", "val"):
        for seed, identity in enumerate(files.IDS):
            files.write_image(tmp_path / "a" / split / identity / "x.JPEG", seed)
    files.write_image(tmp_path / "a/train" / files.IDS[0] / "y.JPEG", data=data)
    info = prepare("imagenet", tmp_path / "data", tmp_path / "a")
    finding = ("train", "images in CMYK, converted to RGB", 1)
    assert finding in info.findings
    records = open_records("imagenet", tmp_path / "data", "train")
    (image,) = (one["image"] for one in records if one["image_id"].endswith("y"))
    with Image.open(tmp_path / "a/train" / files.IDS[0] / "y.JPEG") as opened:
        np.testing.assert_array_equal(image, np.asarray(opened.convert("RGB")))
