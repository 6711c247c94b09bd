"""What can be wrong with a COCO file of boxes is one line that names it."""

import json

import pytest

from hrnet_jax.errors import DataError
from tests.data import object_files as files
from tests.data.object_files import prepare

CASES = {
    "image that is not listed": (
        files.with_annotation(0, image_id=99),
        "annotation 100 is on image 99, which is not listed under 'images'",
    ),
    "image that is not there": (
        files.document(
            images=[*files.DOCUMENT["images"], {"id": 1, "file_name": "c.jpg"}]
        ),
        r"c.jpg, not found \(1 of 3 in 'train'\)",
    ),
    "one image twice": (
        files.document(
            images=[*files.DOCUMENT["images"], {"id": 1, "file_name": "a.jpg"}]
        ),
        "image 'a.jpg' of 'train' is already in .*entry 1 of 'images'",
    ),
    "box of zero size": (
        files.with_annotation(0, bbox=[10, 5, 0, 10]),
        r"annotation 100: the box from \(10, 5\) to \(10, 15\) has size 0 x 10",
    ),
    "box of zeros": (
        files.with_annotation(0, bbox=[0, 0, 0, 0]),
        r"annotation 100: the box from \(0, 0\) to \(0, 0\) has size 0 x 0",
    ),
    "box outside": (
        files.with_annotation(0, bbox=[70, 5, 5, 10], segmentation=[]),
        r"the box from \(70, 5\) to \(75, 15\) is outside its image of 60x40",
    ),
    "box of three numbers": (
        files.with_annotation(0, bbox=[70, 5, 5]),
        r"annotation 100: bbox is \[70, 5, 5\], expected \[x, y, width, height\]",
    ),
    "no box": (
        files.with_annotation(0, drop=["bbox", "segmentation"]),
        "annotation 100 has neither 'bbox' nor polygons",
    ),
    "polygon of two points": (
        files.with_annotation(0, segmentation=[[1, 2, 3, 4]]),
        "annotation 100: a polygon has 2 points, expected 3 or more",
    ),
    "polygon of odd numbers": (
        files.with_annotation(0, segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
        "a polygon has 7 numbers, expected x and y of each point",
    ),
    "polygon of words": (
        files.with_annotation(0, segmentation=[["a"] * 6]),
        r"a polygon is \['a', .*expected \[x, y, x, y, ...\]",
    ),
    "polygon far outside": (
        files.with_annotation(0, segmentation=[[1, 2, 3, 4, 5e8, 6]]),
        "a polygon leaves its image of 60x40 by far",
    ),
    "no segmentation": (
        files.with_annotation(0, segmentation="x"),
        "'segmentation' is 'x', expected polygons or run lengths",
    ),
    "run lengths of another size": (
        files.with_annotation(1, segmentation={"size": [4, 6], "counts": [0, 24]}),
        "annotation 101: run lengths of 6x4 pixels for an image of 60x40",
    ),
    "run lengths of another sum": (
        files.with_annotation(1, segmentation={"size": [40, 60], "counts": [0, 24]}),
        "'counts' has 24 pixels, the image 2400",
    ),
    "run lengths of letters": (
        files.with_annotation(1, segmentation={"size": [40, 60], "counts": "~"}),
        "'counts' is '~': not run lengths of COCO",
    ),
    "run lengths without a size": (
        files.with_annotation(1, segmentation={"counts": "1"}),
        r"the size of the run lengths is None, expected \[height, width\]",
    ),
    "negative run lengths": (
        files.with_annotation(1, segmentation={"size": [40, 60], "counts": [-1, 2401]}),
        r"'counts' is \[-1, 2401\], expected whole numbers",
    ),
    "no run lengths": (
        files.with_annotation(1, segmentation={"size": [40, 60]}),
        "'counts' is None, expected a text or a list",
    ),
    "two images of one id": (
        files.document(
            images=[*files.DOCUMENT["images"], {"id": 7, "file_name": "c.jpg"}]
        ),
        "entry 3 of 'images' has the id 7 of 'b.jpg' too; expected an id of its own",
    ),
    "category that is not listed": (
        files.with_annotation(0, category_id=5),
        "annotation 100 is of category 5, which is not listed under 'categories'",
    ),
    "category that no image has": (
        files.document(
            categories=[*files.DOCUMENT["categories"], {"id": 1, "name": "cow"}]
        ),
        "no image shows an object of 'cow'; leave such classes out with unused=drop",
    ),
    "category without a name": (
        files.document(categories=[{"id": 3}, {"id": 9, "name": "dog"}]),
        "category 3 is called None, expected a name",
    ),
    "two categories of one id": (
        files.document(
            categories=[*files.DOCUMENT["categories"], {"id": 3, "name": "cow"}]
        ),
        "categories 'cat' and 'cow' both have the id 3",
    ),
    "two categories of one name": (
        files.document(
            categories=[*files.DOCUMENT["categories"], {"id": 4, "name": "cat"}]
        ),
        "category 'cat' has the ids 3 and 4; expected one",
    ),
    "no categories": (files.document(categories=[]), "has no categories"),
    "duplicate ids": (
        files.with_annotation(2, id=100),
        "annotation 100 has the id of another annotation; expected an id of its own",
    ),
    "another size": (
        files.document(
            images=[
                {"id": 12, "file_name": "a.jpg", "height": 60, "width": 40},
                files.DOCUMENT["images"][1],
            ]
        ),
        r"is for an image of 40x60 pixels, but .*a.jpg is 60x40 \(upright",
    ),
    "crowds only": (
        files.document(
            annotations=[{**one, "iscrowd": 1} for one in files.DOCUMENT["annotations"]]
        ),
        "all 3 objects of 'train' are crowds",
    ),
    "no objects": (files.document(annotations=[]), "has no object .* say empty=keep"),
    "shares of the image": (
        files.document(
            annotations=[
                {"id": 1, "image_id": k, "category_id": 3, "bbox": [0.1, 0.2, 0.3, 0.4]}
                for k in (7,)
            ]
        ),
        "all 1 boxes are in the first 2 pixels of their images",
    ),
    "corners": (
        files.document(
            annotations=[
                {"id": k, "image_id": 7, "category_id": 3, "bbox": [20 + k, 10, 50, 30]}
                for k in range(4)
            ]
        ),
        r"4 of 4 boxes leave their image, but none would as \[x1, y1, x2, y2\]",
    ),
    "no annotations": (
        {"images": [], "categories": []},
        "has no list 'annotations'; COCO boxes have images",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_files(tmp_path, case):
    content, message = CASES[case]
    source = files.write_coco(tmp_path / "source", content)
    with pytest.raises(DataError, match=message) as caught:
        prepare("detection_coco", source, tmp_path)
    assert "\n" not in str(caught.value)


def test_wrong_objects_are_left_out_if_asked(tmp_path):
    content = files.with_annotation(2, bbox=[10, 5, 0, 10])
    source = files.write_coco(tmp_path / "source", content)
    info = prepare("detection_coco", source, tmp_path, invalid="drop", unused="drop")
    assert info.max_objects == 1
    assert any("left out" in what for _, what, _ in info.findings)


def test_a_split_of_crowds_alone_is_not_evaluated_by_default(tmp_path):
    source = files.write_coco(tmp_path / "source")
    crowds = files.document(
        annotations=[{**one, "iscrowd": 1} for one in files.DOCUMENT["annotations"]]
    )
    for image in crowds["images"]:
        image["file_name"] = f"val_{image['file_name']}"
        files.write_image(source / "images" / image["file_name"])
    (source / "annotations/val.json").write_text(json.dumps(crowds))
    info = prepare("detection_coco", source, tmp_path)
    assert info.counts == {"train": 2, "val": 2}
    assert info.default_splits == {"train": "train", "eval": "train"}


def test_the_same_annotation_twice_is_left_out(tmp_path):
    content = files.document()
    content["annotations"].append(content["annotations"][0])
    source = files.write_coco(tmp_path / "source", content)
    info = prepare("detection_coco", source, tmp_path)
    what = ("train.json", "annotations that are there twice, left out", 1)
    assert what in info.findings
    assert len(files.read("detection_coco", tmp_path, "train")[0]["boxes"]) == 1


def test_boxes_over_the_edge_are_counted(tmp_path):
    content = files.with_annotation(0, bbox=[50, 5, 20, 10])
    source = files.write_coco(tmp_path / "source", content)
    info = prepare("detection_coco", source, tmp_path)
    assert (
        "images",
        "boxes that reach over the edge of their image",
        1,
    ) in info.findings
    first = files.read("detection_coco", tmp_path, "train")[0]
    assert first["boxes"].tolist() == [[50, 5, 70, 15]]


def test_splits_share_their_categories_but_no_image(tmp_path):
    source = files.write_coco(tmp_path / "source")
    val = source / "annotations/val.json"
    val.write_text(json.dumps(files.DOCUMENT))
    with pytest.raises(DataError, match="'a.jpg' of 'val' is already in .*'train'"):
        prepare("detection_coco", source, tmp_path)
    val.write_text(
        json.dumps(
            files.document(
                categories=[{"id": 3, "name": "cat"}, {"id": 9, "name": "cow"}]
            )
        )
    )
    with pytest.raises(DataError, match="differ in the category 'cow'"):
        prepare("detection_coco", source, tmp_path)


@pytest.mark.parametrize("key", ["empty", "unused", "invalid"])
def test_options_that_are_none(tmp_path, key):
    source = files.write_coco(tmp_path / "source")
    with pytest.raises(DataError, match=f"option {key}=x: expected one of"):
        prepare("detection_coco", source, tmp_path, **{key: "x"})


def test_no_file_names_what_is_there(tmp_path):
    source = files.write_coco(tmp_path / "source", None, "labels/mine.json")
    with pytest.raises(DataError, match=r"has none of .*\(there is labels/mine.json\)"):
        prepare("detection_coco", source, tmp_path)
    info = prepare(
        "detection_coco",
        source,
        tmp_path,
        annotations="labels/mine.json",
        ratios=(1.0,),
    )
    assert info.counts == {"train": 2}
