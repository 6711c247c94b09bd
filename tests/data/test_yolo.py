"""Text files of the YOLO kind, in the folders of tools."""

import numpy as np
import pytest

from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths
from tests.data import object_files as files
from tests.data.object_files import prepare, read

# Of 60 x 40 pixels: x from 15 to 45, y from 10 to 20.
BOX = "1 0.5 0.375 0.5 0.25"
NAMES = {
    "data.yaml": "train: images/train\nnames: [cat, dog]\nnc: 2\n",
    "classes.txt": "cat\ndog\n",
    "obj.names": "cat\r\ndog\r\n",
}


def write(folder, pairs, names="data.yaml", text=None):
    """Images and text files, `(image, file, lines)`; a file of None is not written."""
    for image, label, lines in pairs:
        files.write_image(folder / image)
        if label is not None:
            (folder / label).parent.mkdir(parents=True, exist_ok=True)
            (folder / label).write_text("\n".join(lines))
    if names:
        (folder / names).write_text(text or NAMES[names])
    return folder


@pytest.mark.parametrize(
    ("names", "image", "label"),
    [
        ("data.yaml", "images/{}/a.jpg", "labels/{}/a.txt"),
        ("data.yaml", "{}/images/a.jpg", "{}/labels/a.txt"),
        ("obj.names", "obj_{}_data/a.jpg", "obj_{}_data/a.txt"),
    ],
    ids=["ultralytics", "roboflow", "cvat"],
)
def test_folders_of_splits(tmp_path, names, image, label):
    pairs = [
        (image.format(split), label.format(split), ["0 0.5 0.5 1 1", BOX])
        for split in ("train", "valid")
    ]
    info = prepare("yolo", write(tmp_path / "source", pairs, names), tmp_path)
    assert info.counts == {"train": 1, "val": 1}
    assert info.box_class_names == ("cat", "dog") and info.category_ids == (0, 1)
    (sample,) = read("yolo", tmp_path, "val")
    np.testing.assert_allclose(sample["boxes"], [[0, 0, 60, 40], [15, 10, 45, 20]])
    assert sample["box_class"].tolist() == [0, 1]
    assert sample["box_area"].tolist() == [2400, 300] and "masks" not in sample


def test_folders_without_splits_are_cut_and_empty_files_are_negatives(tmp_path):
    pairs = [(f"images/{k}.jpg", f"labels/{k}.txt", [BOX]) for k in "abc"]
    pairs += [("images/d.jpg", "labels/d.txt", []), ("images/e.jpg", None, [])]
    source = write(tmp_path / "source", pairs, "classes.txt")
    with pytest.raises(DataError, match=r"[de].jpg.* has no object .*say empty=keep"):
        prepare("yolo", source, tmp_path, unused="drop")
    options = {"unused": "drop", "ratios": (0.6, 0.4), "empty": "keep"}
    info = prepare("yolo", source, tmp_path, **options)
    assert info.counts["train"] == 3 and info.counts["val"] == 2
    # The number of the class is that of the files.
    assert info.box_class_names == ("dog",) and info.category_ids == (1,)


def test_polygons_are_masks(tmp_path):
    line = "0 0.25 0.25 0.75 0.25 0.75 0.5 0.25 0.5"
    pairs = [("images/train/a.jpg", "labels/train/a.txt", [line])]
    source = write(tmp_path / "source", pairs, "data.yaml", "names: {0: cat}\n")
    info = prepare("yolo", source, tmp_path)
    assert info.object_masks
    (sample,) = read("yolo", tmp_path, "train")
    np.testing.assert_allclose(sample["boxes"], [[15, 10, 45, 20]])
    assert run_lengths.decode(sample["masks"], files.SIZE)[10:20, 15:45].all()
    assert sample["box_area"].tolist() == [300]


LINES = {
    "words": ("cat 0.5 0.5 0.1 0.1", "a.txt:1: 'cat 0.5 .* is not numbers"),
    "class": ("2 0.5 0.5 0.1 0.1", r"a.txt:1: class 2 is none of 0..1 \(2 names\)"),
    "half a class": ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is none of 0..1"),
    "pixels": ("0 30 20 10 10", "is not within 0 and 1; expected shares"),
    "not finite": ("0 nan 0.5 0.1 0.1", "is not within 0 and 1"),
    "three numbers": ("0 0.5 0.5 0.1", "3 numbers behind the class, expected 4"),
    "two points and a half": ("0 0.5 0.5 0.1 0.1 0.2", "5 numbers behind the class"),
    "no size": ("0 0.5 0.5 0 0.1", "a.txt:1: the box .* has size 0 x 4"),
}


@pytest.mark.parametrize("case", LINES)
def test_wrong_lines(tmp_path, case):
    line, message = LINES[case]
    pairs = [("images/train/a.jpg", "labels/train/a.txt", [line])]
    with pytest.raises(DataError, match=message):
        prepare("yolo", write(tmp_path / "source", pairs), tmp_path)


@pytest.mark.parametrize(
    ("names", "text", "message"),
    [
        ("", None, "has none of data.yaml, classes.txt, obj.names"),
        ("data.yaml", "names: [", "data.yaml is not valid YAML"),
        ("data.yaml", "nc: 2", "data.yaml has no list 'names'"),
        (
            "data.yaml",
            "names: {1: cat}",
            r"numbers of 'names' are \[1\], expected 0..0",
        ),
        ("data.yaml", "names: []", r"expected names of classes, got \[\]"),
        ("classes.txt", "cat\ncat\n", "names the class 'cat' twice"),
    ],
)
def test_wrong_names(tmp_path, names, text, message):
    pairs = [("images/train/a.jpg", "labels/train/a.txt", [BOX])]
    with pytest.raises(DataError, match=message):
        prepare("yolo", write(tmp_path / "source", pairs, names, text), tmp_path)


def test_two_images_of_one_text_file(tmp_path):
    pairs = [("images/train/a.jpg", "labels/train/a.txt", [BOX])]
    source = write(tmp_path / "source", pairs)
    files.write_image(source / "images/train/a.png")
    with pytest.raises(DataError, match=r"a.png and .*a.jpg differ in their endings"):
        prepare("yolo", source, tmp_path)


def test_folders_without_boxes_or_images(tmp_path):
    source = write(tmp_path / "source", [("images/a.jpg", None, [])])
    with pytest.raises(DataError, match=r"no text file with boxes: .*labels/a.txt"):
        prepare("yolo", source, tmp_path)
    (source / "images/a.jpg").unlink()
    with pytest.raises(DataError, match="has no images"):
        prepare("yolo", source, tmp_path)


def test_names_of_the_option(tmp_path):
    pairs = [("images/train/a.jpg", "labels/train/a.txt", [BOX, "0 0.5 0.5 1 1"])]
    source = write(tmp_path / "source", pairs, "")
    info = prepare("yolo", source, tmp_path, names=("cat", "dog"))
    assert info.box_class_names == ("cat", "dog")
