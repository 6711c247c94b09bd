"""Boxes and masks in COCO's JSON: official, of one's own, and as tools export it."""

import json

import numpy as np
import pytest
from pycocotools import mask as oracle

from hrnet_jax.data.class_tables import COCO_THINGS
from hrnet_jax.data.info import load_info
from hrnet_jax.data.records import open_records, prepared_directory
from hrnet_jax.data.sources.coco_detection import COCODetection, COCODetectionOptions
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths
from tests.data import object_files as files
from tests.data.object_files import prepare, read


def test_ids_with_gaps_boxes_masks_and_crowds(tmp_path):
    source = files.write_coco(tmp_path / "source")
    info = prepare("detection_coco", source, tmp_path)
    # In the order of their ids.
    assert info.box_class_names == ("cat", "dog") and info.category_ids == (3, 9)
    assert info.max_objects == 2 and info.object_masks and not info.num_classes
    assert info.default_splits == {"train": "train", "eval": "train"}
    first, second = read("detection_coco", tmp_path, "train")
    assert (first["image_id"], first["image_number"]) == ("a", "12")
    np.testing.assert_array_equal(first["boxes"], [[10, 5, 30.5, 15]])
    assert first["box_class"].tolist() == [1] and first["box_area"].tolist() == [150.5]
    assert second["box_crowd"].tolist() == [1, 0]
    # Not told, and 0, so that of the mask: one column, and 4 x 5 pixels.
    assert second["box_area"].tolist() == [40, 20]
    crowd, cat = second["masks"].split(" ")
    whole = run_lengths.decode(crowd, files.SIZE)
    assert whole[:, 0].all() and not whole[:, 1:].any()
    (drawn,) = oracle.frPyObjects(
        [files.DOCUMENT["annotations"][2]["segmentation"][0]], *files.SIZE
    )
    assert cat == drawn["counts"].decode()
    assert "boxes and masks of 2 classes, up to 2 in an image" in summarize(info)
    assert "classes: cat, dog" in summarize(info).splitlines()


def test_a_set_of_boxes_alone(tmp_path):
    content = files.document()
    for annotation in content["annotations"]:
        annotation["segmentation"] = []
    source = files.write_coco(tmp_path / "source", content)
    info = prepare("detection_coco", source, tmp_path)
    assert not info.object_masks and not info.findings
    (first, _) = read("detection_coco", tmp_path, "train")
    assert "masks" not in first
    assert open_records("detection_coco", tmp_path, "train").image_sizes().tolist() == [
        [40, 60],
        [40, 60],
    ]


def test_several_polygons_are_one_mask(tmp_path):
    polygons = [[10, 5, 20, 5, 20, 15], [15, 5, 30, 5, 30, 15]]
    content = files.with_annotation(0, segmentation=polygons, drop=["area"])
    source = files.write_coco(tmp_path / "source", content)
    prepare("detection_coco", source, tmp_path)
    wanted = oracle.merge(oracle.frPyObjects(polygons, *files.SIZE))
    first = read("detection_coco", tmp_path, "train")[0]
    assert first["masks"] == wanted["counts"].decode()
    assert first["box_area"].tolist() == [oracle.area(wanted)]


def test_files_of_splits_may_number_their_classes_differently(tmp_path):
    source = files.write_coco(tmp_path / "source")
    content = files.document(
        categories=[{"id": 3, "name": "dog"}, {"id": 9, "name": "cat"}]
    )
    for image in content["images"]:
        image["file_name"] = f"val_{image['file_name']}"
        files.write_image(source / "images" / image["file_name"])
    (source / "annotations/val.json").write_text(json.dumps(content))
    info = prepare("detection_coco", source, tmp_path)
    assert info.box_class_names == ("cat", "dog")
    assert info.default_splits["eval"] == "val"
    train = read("detection_coco", tmp_path, "train")
    val = read("detection_coco", tmp_path, "val")
    assert train[0]["box_class"].tolist() == [1] and val[0]["box_class"].tolist() == [0]


@pytest.mark.parametrize(
    ("names", "images"),
    [
        (
            ("train/_annotations.coco.json", "valid/_annotations.coco.json"),
            ("train", "valid"),
        ),
        (
            (
                "annotations/instances_Train.json",
                "annotations/instances_Validation.json",
            ),
            ("images/Train", "images/Validation"),
        ),
        (
            (
                "annotations/instances_train2017.json",
                "annotations/instances_val2017.json",
            ),
            ("train2017", "val2017"),
        ),
    ],
    ids=["roboflow", "cvat", "coco"],
)
def test_folders_of_tools(tmp_path, names, images):
    source = tmp_path / "source"
    for name, folder in zip(names, images, strict=True):
        files.write_coco(source, None, name, folder)
    info = prepare("detection_coco", source, tmp_path)
    assert info.counts == {"train": 2, "val": 2}


@pytest.mark.parametrize(
    ("name", "images", "file_name"),
    [
        ("annotations/instances_default.json", "images/default", "{}.jpg"),
        ("result.json", "images", "images\\{}.jpg"),
        ("annotations.json", "", "/home/user/pictures/{}.jpg"),
    ],
    ids=["cvat", "label_studio", "other"],
)
def test_one_file_is_cut_by_image(tmp_path, name, images, file_name):
    content = files.document()
    for image, letter in zip(content["images"], "ab", strict=True):
        image["file_name"] = file_name.format(letter)
    source = files.write_coco(tmp_path / "source", content, name, images)
    info = prepare("detection_coco", source, tmp_path, ratios=(0.5, 0.5), unused="keep")
    assert info.counts == {"train": 1, "val": 1}


def test_images_without_objects_are_negatives_if_asked(tmp_path):
    images = [*files.DOCUMENT["images"], {"id": 3, "file_name": "empty.jpg"}]
    source = files.write_coco(tmp_path / "source", files.document(images=images))
    files.write_image(source / "images/empty.jpg", (30, 20))
    with pytest.raises(
        DataError, match=r"'empty.jpg' has no object \(1 of 3 in 'train'\); say empty="
    ):
        prepare("detection_coco", source, tmp_path)
    info = prepare("detection_coco", source, tmp_path, empty="keep")
    assert info.counts == {"train": 3, "train_with_objects": 2}
    assert info.default_splits["train"] == "train"
    assert ("source", "images without objects, negatives", 1) in info.findings
    empty = read("detection_coco", tmp_path, "train")[2]
    assert empty["boxes"].shape == (0, 4) and empty["masks"] == ""
    some = open_records("detection_coco", tmp_path, "train_with_objects")
    assert [sample["image_id"] for sample in some] == ["a", "b"]
    assert some.image_sizes().tolist() == [[40, 60]] * 2
    for part, sizes in (
        ("train[1:]", [[40, 60], [30, 20]]),
        ("train[2:3]", [[30, 20]]),
    ):
        records = open_records("detection_coco", tmp_path, part)
        assert records.image_sizes().tolist() == sizes
    info = prepare("detection_coco", source, tmp_path, overwrite=True, empty="drop")
    assert info.counts == {"train": 2}


def test_classes_are_chosen_by_name(tmp_path):
    source = files.write_coco(tmp_path / "source")
    options = {"classes": ("dog",), "empty": "drop"}
    info = prepare("detection_coco", source, tmp_path, **options)
    assert info.box_class_names == ("dog",) and info.category_ids == (9,)
    assert info.counts == {"train": 1}
    with pytest.raises(
        DataError, match="option classes has 'cow', the files have 'cat'"
    ):
        prepare("detection_coco", source, tmp_path / "b", classes=("cow",))


def test_roboflows_class_without_objects_is_left_out(tmp_path):
    categories = [{"id": 0, "name": "pets"}, *files.DOCUMENT["categories"]]
    source = files.write_coco(
        tmp_path / "source", files.document(categories=categories)
    )
    with pytest.raises(DataError, match="no image shows an object of 'pets'; leave"):
        prepare("detection_coco", source, tmp_path)
    info = prepare("detection_coco", source, tmp_path / "b", unused="drop")
    assert info.box_class_names == ("cat", "dog")
    info = prepare("detection_coco", source, tmp_path / "c", unused="keep")
    assert info.category_ids == (0, 3, 9)


def test_sizes_of_images_that_are_lost_or_damaged(tmp_path):
    source = files.write_coco(tmp_path / "source")
    prepare("detection_coco", source, tmp_path)
    records = open_records("detection_coco", tmp_path, "train")
    path = prepared_directory("detection_coco", tmp_path) / "sizes_train.npy"
    np.save(path, np.ones((3, 2), np.int32))
    with pytest.raises(DataError, match="height and width of 2 images"):
        records.image_sizes()
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"sizes_train.npy cannot be read"):
        records.image_sizes()
    path.unlink()
    with pytest.raises(DataError, match=r"sizes_train.npy is missing"):
        records.image_sizes()


def test_facts_that_do_not_go_together(tmp_path):
    source = files.write_coco(tmp_path / "source")
    prepare("detection_coco", source, tmp_path)
    directory = prepared_directory("detection_coco", tmp_path)
    path = directory / "metadata.json"
    facts = json.loads(path.read_text())
    for change, message in (
        ({"category_ids": [1]}, "'category_ids' has 1 numbers for 2"),
        ({"max_objects": -1}, "'max_objects' is -1"),
    ):
        path.write_text(json.dumps(facts | change))
        with pytest.raises(DataError, match=message):
            load_info(directory)


def test_official_layout(real_data, tmp_path):
    """The samples: 80 classes, crowds, boxes as they are in the files."""
    source = real_data / "samples" / "coco"
    info = prepare("coco_detection", source, tmp_path)
    assert info.counts == {"train": 8, "val": 8}
    assert len(info.category_ids) == 80 and info.category_ids[-1] == 90
    assert info.max_objects == 34 and info.object_masks
    assert "fire hydrant, stop sign" in summarize(info)
    assert summarize(info).endswith("sheep, cow, and 60 more")
    content = json.loads((source / "annotations/instances_val2017.json").read_text())
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    assert dict(zip(info.category_ids, info.box_class_names, strict=True)) == names
    for sample in read("coco_detection", tmp_path, "val"):
        number = int(sample["image_number"])
        wanted = [a for a in content["annotations"] if a["image_id"] == number]
        boxes = np.array([a["bbox"] for a in wanted], np.float64)
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_array_equal(sample["boxes"], boxes.astype(np.float32))
        crowds = [a["iscrowd"] for a in wanted]
        assert sample["box_crowd"].tolist() == crowds
        ids = [info.category_ids[label] for label in sample["box_class"]]
        assert ids == [a["category_id"] for a in wanted]
        size = sample["image"].shape[:2]
        for text, annotation in zip(sample["masks"].split(" "), wanted, strict=True):
            shape = annotation["segmentation"]
            drawn = oracle.frPyObjects(shape, *size)
            drawn = oracle.merge(drawn) if isinstance(drawn, list) else drawn
            assert text == drawn["counts"].decode()


def test_a_test_split_without_labels(tmp_path):
    source = tmp_path / "source"
    path = source / "annotations/image_info_test-dev2017.json"
    path.parent.mkdir(parents=True)
    images = [{"id": 5, "file_name": "a.jpg", "height": 40, "width": 60}]
    path.write_text(json.dumps({"images": images, "categories": []}))
    files.write_image(source / "test2017/a.jpg")
    info = prepare("coco_detection", source, tmp_path)
    assert info.counts == {"test": 1} and len(info.box_class_names) == 80
    (sample,) = read("coco_detection", tmp_path, "test")
    assert sample["boxes"].shape == (0, 4) and sample["image_number"] == "5"


def test_officially_images_without_objects_are_not_trained_on(tmp_path):
    """Boxes stay as they are, one without an inside too; a year of its own."""
    names = COCO_THINGS.items()
    content = files.document(
        categories=[{"id": number, "name": name} for number, name in names],
        annotations=[{"id": 1, "image_id": 7, "category_id": 90, "bbox": [3, 4, 5, 0]}],
    )
    name = "annotations/instances_train2014.json"
    source = files.write_coco(tmp_path / "source", content, name, "train2014")
    info = prepare("coco_detection", source, tmp_path, year=2014)
    assert info.counts == {"train": 2, "train_with_objects": 1}
    assert info.default_splits["train"] == "train_with_objects"
    (sample,) = read("coco_detection", tmp_path, "train_with_objects")
    assert sample["boxes"].tolist() == [[3, 4, 8, 4]]
    assert sample["box_class"].tolist() == [79]


def test_official_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="has none of .*instances_train2017.json"):
        files.write_image(tmp_path / "source/a.jpg")
        prepare("coco_detection", tmp_path / "source", tmp_path)
    name = "annotations/instances_train2017.json"
    source = files.write_coco(tmp_path / "other", None, name, "train2017")
    with pytest.raises(DataError, match="80 categories .* --dataset=detection_coco"):
        prepare("coco_detection", source, tmp_path)


def test_planned_without_files():
    info = COCODetection(None, COCODetectionOptions()).info("coco_detection")
    assert info.box_class_names[:2] == ("person", "bicycle")
    assert info.category_ids[11] == 13


@pytest.mark.slow
def test_bccd(real_data, tmp_path):
    info = prepare("detection_coco", real_data / "bccd", tmp_path, save_as="bccd")
    assert info.counts == {"train": 205, "val": 87, "test": 72}
    assert info.box_class_names == ("RBC", "WBC", "Platelets")
    assert info.max_objects == 30 and not info.object_masks
    counts = np.zeros(3, int)
    for sample in read("bccd", tmp_path, "test"):
        counts += np.bincount(sample["box_class"], minlength=3)
    assert counts.tolist() == [805, 71, 69]
