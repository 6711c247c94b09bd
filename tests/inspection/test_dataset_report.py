"""The report on a prepared set: counts, warnings, pictures of labels or points."""

import json
import shutil

import cv2
import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.records import open_records
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from hrnet_jax.inspection import dataset_report
from hrnet_jax.inspection.dataset_drawing import CELL, contact_sheet
from hrnet_jax.inspection.label_contents import LabelContents
from hrnet_jax.inspection.point_contents import PointContents
from scripts import dataset_report as script
from tests.data.landmark_files import write_csv, write_image
from tests.data.mask_files import add
from tests.data.segmentation_sets import make_lip, save_image


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Five images to train on, one of them all car; two to evaluate."""
    folder = tmp_path_factory.mktemp("report")
    masks = [np.zeros((8, 12), np.uint8) for _ in range(7)]
    masks[0][:] = 1
    masks[1][:2], masks[2][0], masks[5][:4] = 2, 255, 1
    for number, mask in enumerate(masks):
        add(folder / "mine", f"img{number}", mask)
    add(folder / "mine", "img6", np.zeros((20, 10), np.uint8))
    for split, numbers in (("train", range(5)), ("val", (5, 6))):
        lines = "\n".join(f"img{number}" for number in numbers)
        (folder / "mine" / f"{split}.txt").write_text(lines)
    colours = ("#000000", "#0000ff", "#00ff00", "#ff0000")
    classes = [
        f"{n} {c}"
        for n, c in zip(["road", "car", "tree", "wall"], colours, strict=True)
    ]
    (folder / "mine" / "classes.txt").write_text("\n".join(classes))
    registry.prepare("segmentation_folder", folder, folder / "mine", save_as="small")
    write_faces(folder / "faces")
    registry.prepare(
        "landmarks_csv", folder, folder / "faces", save_as="ears", point_origin=1.0
    )
    return folder


def make_lip_test(folder, split):
    if split == "test":
        save_image(folder / "Testing_images/testing_images/a.jpg")
    else:
        make_lip(folder, np.zeros((2, 3), np.uint8), split)


def write_faces(folder):
    """Three faces on two images of 40x32 to train on, one to evaluate."""
    header = ["image_name", "x1", "y1", "x2", "y2", "l_x", "l_y", "r_x", "r_y"]
    header += ["nose_x", "nose_y", "l_visible"]
    rows = [
        ["a.png", 9, 9, 25, 29, 11, 12, 21, 12, "", "", 1],
        ["a.png", 5, 5, 17, 13, 3, 5, 44, 9, "", "", 0],
        ["b.png", 1, 1, 33, 33, 5, 6, 28, 9, "", "", 1],
    ]
    for name in ("a", "b", "c"):
        write_image(folder / "images" / f"{name}.png", seed=3)
    write_csv(folder / "train.csv", [header, *rows])
    write_csv(folder / "val.csv", [header, ["c.png", *rows[0][1:9], 16, 22, 1]])


@pytest.fixture(scope="module")
def report(data_dir):
    text = dataset_report.write_dataset_report(
        "small", data_dir, data_dir / "out", progress=False
    )
    return text.splitlines()


def test_the_table_has_pixels_and_images_of_each_class(report):
    assert report[0] == "small: 4 classes"
    assert [line.split() for line in report[2:8]] == [
        ["class", "train", "pixels", "%", "images", "val", "pixels", "%", "images"],
        ["0", "road", "348", "74.359", "4", "248", "83.784", "2"],
        ["1", "car", "96", "20.513", "1", "48", "16.216", "1"],
        ["2", "tree", "24", "5.128", "1", "0", "0.000", "0"],
        ["3", "wall", "0", "0.000", "0", "0", "0.000", "0"],
        ["ignored", "12", "2.500", "of", "5", "0", "0.000", "of", "2"],
    ]


def test_weights_of_classes_by_three_rules(report, data_dir):
    """Of 348, 96 and 24 pixels; the road is on 4 images of 96, the others on one each."""
    assert report[9].split() == [
        *("class", "weights", "of", "train"),
        *("median", "inverse", "enet"),
    ]
    # Road is on 4 images with 372 labelled pixels, car and tree on one of 96 each.
    shares = np.array([348, 96, 24, 0]) / 468
    frequency = np.array([348 / 372, 96 / 96, 24 / 96])
    stored = json.loads((data_dir / "out" / "report.json").read_text())["class_weights"]
    expected = {
        "median": [*(np.median(frequency) / frequency), 0],
        "inverse": [*(1 / (3 * shares[:3])), 0],
        "enet": 1 / np.log(1.02 + shares),
    }
    for column, (rule, values) in enumerate(expected.items()):
        np.testing.assert_allclose(stored[rule], values)
        shown = [float(line.split()[2 + column]) for line in report[10:14]]
        np.testing.assert_allclose(shown, values, atol=6e-5)


def test_images_without_labels_are_counted_and_shown(data_dir, tmp_path):
    for split in ("val", "test"):
        make_lip_test(tmp_path / "lip", split)
    source = tmp_path / "lip"
    info = registry.prepare("lip", tmp_path, source, splits=("val", "test"))
    text = dataset_report.write_dataset_report(
        "lip", tmp_path, tmp_path / "out", progress=False
    )
    assert "test: 1 images without labels" in text.splitlines()
    # The class of the background is there; the others are named together.
    assert text.splitlines()[-1] == (
        "warning: 19 of 20 classes, the first 1 (hat), 2 (hair), 3 (glove), 4 "
        "(sunglasses), 5 (upper-clothes), never occur; are the mask values and the class "
        "list as intended?"
    )
    (note,) = [line for line in summarize(info).splitlines() if "note" in line]
    assert note.startswith("note: 19 of 20 classes have no pixel in split val, the fir")
    stored = json.loads((tmp_path / "out" / "report.json").read_text())["splits"]
    assert stored["test"]["labelled"] is False and stored["test"]["sizes"] == [[2, 3]]
    sheet = cv2.imread(str(tmp_path / "out" / "contact_sheet_test.png"))
    assert (sheet == 90).all(-1).sum() > 20_000  # The image as it is.


def test_classes_that_never_occur_are_warned_of(report):
    assert report[15:] == [
        "warning: class 2 (tree) never occurs in val",
        (
            "warning: class 3 (wall) never occurs; are the mask values and the class list "
            "as intended?"
        ),
    ]


def test_the_folder_holds_counts_and_pictures(report, data_dir):
    folder = data_dir / "out"
    assert {path.name for path in folder.iterdir()} == {
        *("report.json", "classes.png", "sizes.png"),
        *("contact_sheet_train.png", "contact_sheet_val.png"),
    }
    stored = json.loads((folder / "report.json").read_text())
    assert stored["class_names"] == ["road", "car", "tree", "wall"]
    assert stored["warnings"] == report[15:]
    assert stored["splits"]["val"] == {
        "images": 2,
        "labelled": True,
        "pixels": [248, 48, 0, 0],
        "images_with_class": [2, 1, 0, 0],
        "ignored_pixels": 0,
        "sizes": [[8, 12], [20, 10]],
    }
    bars = cv2.imread(str(folder / "classes.png"), cv2.IMREAD_COLOR_RGB)
    assert (bars == (0, 0, 255)).all(-1).sum() > 1000  # The bar of the cars.


def test_contact_sheets_show_labels_over_images(data_dir):
    records = open_records("small", data_dir, "train")
    picture = LabelContents(records.info).picture
    sheet = contact_sheet(records, 3, picture)
    # Three cells of 240 and gaps of 8; below each its name in 20.
    assert sheet.shape == (240 + 20 + 2 * 8, 3 * 248 + 8, 3)
    all_car = sheet[60:160, 60:200].reshape(-1, 3)
    assert (all_car == (2, 2, 130)).all()  # Half of grey 4, half of blue.
    assert len(contact_sheet(records, 99, picture)[0]) == 5 * 248 + 8


def test_the_command_prints_the_table(data_dir, capsys, monkeypatch):
    arguments = [f"--data_dir={data_dir}", f"--out={data_dir}/cli", "--images=1"]
    monkeypatch.setattr("sys.argv", ["x", "--name=small", *arguments])
    script.main()
    out = capsys.readouterr().out
    assert "warning: class 3 (wall) never occurs;" in out
    assert out.endswith(f"written to {data_dir}/cli\n")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("absent", {}, "data set 'absent' is not prepared in"),
        (
            "nothing",
            {},
            "'nothing' is for none of the tasks classification, detection, la",
        ),
        ("small", {"shown": 0}, "a contact sheet shows at least 1 image, got 0"),
        ("small", {"out": "small.txt"}, "small.txt is a file; expected a folder"),
    ],
)
def test_mistakes_are_named(name, changes, message, data_dir):
    (data_dir / "small.txt").touch()
    copied = data_dir / "nothing" / "1.0.0"
    if not copied.exists():
        shutil.copytree(data_dir / "small" / "1.0.0", copied)
        info = json.loads((copied / "metadata.json").read_text())
        info |= {"name": "nothing", "num_classes": 0, "class_names": [], "palette": []}
        (copied / "metadata.json").write_text(json.dumps(info))
    out = data_dir / changes.pop("out", "unused")
    with pytest.raises(DataError, match=message):
        dataset_report.write_dataset_report(name, data_dir, out, **changes)


@pytest.fixture(scope="module")
def ears(data_dir):
    text = dataset_report.write_dataset_report(
        "ears", data_dir, data_dir / "ears_out", progress=False
    )
    return text.splitlines()


def test_the_table_has_faces_of_each_point(ears):
    assert ears[0] == "ears: 3 points, 1 flip pairs"
    header = "point train annotated % in sight val annotated % in sight"
    assert " ".join(ears[2].split()) == header
    assert [line.split() for line in ears[3:10]] == [
        ["0", "l", "3", "100.0", "2", "1", "100.0", "1"],
        ["1", "r", "3", "100.0", "3", "1", "100.0", "1"],
        ["2", "nose", "0", "0.0", "0", "1", "100.0", "1"],
        ["faces", "3", "1"],
        ["images", "2", "1"],
        ["faces", "per", "image", "1", "to", "2", "1"],
        ["side", "of", "boxes", "12", "to", "32", "20"],
    ]
    assert ears[11:] == [
        "warning: point 2 (nose) is never annotated in train",
        "warning: 1 of 6 points of train are outside their image, most often r",
    ]


def test_the_folder_holds_counts_and_pictures_of_points(ears, data_dir):
    folder = data_dir / "ears_out"
    assert {path.name for path in folder.iterdir()} == {
        *("report.json", "points.png", "sizes.png"),
        *("contact_sheet_train.png", "contact_sheet_val.png"),
    }
    stored = json.loads((folder / "report.json").read_text())
    assert stored["point_names"] == ["l", "r", "nose"]
    assert stored["warnings"] == ears[11:]
    assert stored["splits"]["train"] == {
        "faces": 3,
        "images": 2,
        "annotated": [3, 3, 0],
        "visible": [2, 3, 0],
        "outside": [0, 1, 0],
        "box_sides": [20, 12, 32],
        "sizes": [[32, 40], [32, 40]],
        "faces_per_image": [2, 1],
    }


def test_a_picture_of_a_face_shows_box_and_points_where_they_are(data_dir):
    records = open_records("ears", data_dir, "train")
    picture = PointContents(records.info).picture(records[0])
    # The box of 20 around (16, 18) and half as much again: x 1..31, y 3..32 (the end).
    assert picture.shape == (232, CELL, 3)
    scale = CELL / 30
    for x, y in ((10, 11), (20, 11)):
        assert (
            picture[round((y - 3 + 0.5) * scale), round((x - 1 + 0.5) * scale)].max()
            > 200
        )
    left = round((6 - 1 + 0.5) * scale)
    assert picture[100:130, left - 3 : left + 3].max(axis=1).min() > 150  # The box.
    assert (picture[120, left + 20 : left + 60] == 40).all()  # Its inside is the image.
