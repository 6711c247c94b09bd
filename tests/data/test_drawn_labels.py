"""Outlines of labelme, CVAT and COCO, and panoptic segments, as label maps."""

import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.records import open_records
from hrnet_jax.errors import DataError
from tests.data import drawn_files
from tests.data.drawn_files import CAR, CVAT, MAKERS, ROAD, drawn
from tests.data.segmentation_sets import labels_of, opened, save_image

# Column 0 of both first rows, and the second of row 1.
BIT = [(0, 0, 1, 2), (1, 1, 2, 2)]


def read_one(name, folder, **options):
    source = opened(name, folder, **options)
    (found,) = labels_of(source)["train"].values()
    return found, source.info("x")


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        # The smaller lies above, as COCO's files have no order.
        (
            "segmentation_coco",
            ("background", "car", "road"),
            drawn((2, ROAD), (1, CAR)),
        ),
        # The later lies above; classes by name.
        (
            "segmentation_labelme",
            ("background", "car", "road"),
            drawn((1, CAR), (2, ROAD), *((1, box) for box in BIT)),
        ),
        # By z_order; classes as in the project.
        (
            "segmentation_cvat",
            ("background", "road", "car"),
            drawn((1, ROAD), (2, CAR), *((2, box) for box in BIT)),
        ),
        # Without a segment there is no class.
        (
            "segmentation_panoptic",
            ("car", "road"),
            drawn((1, ROAD), (0, CAR), rest=255),
        ),
    ],
)
def test_outlines_become_labels(name, names, expected, tmp_path):
    labels, info = read_one(name, MAKERS[name](tmp_path))
    np.testing.assert_array_equal(labels, expected)
    assert info.class_names == names and info.num_classes == len(names)
    if name == "segmentation_cvat":
        assert info.palette[1:] == ((0x80, 0x40, 0x80), (0, 0, 0x8E))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"overlap": "later"}, drawn((1, CAR), (2, ROAD))),
        ({"overlap": "ignore"}, drawn((2, ROAD), (1, CAR), (255, (2, 2, 6, 4)))),
        ({"background": "ignore"}, drawn((1, ROAD), (0, CAR), rest=255)),
        ({"background": "road"}, drawn((1, ROAD), (0, CAR), rest=1)),
        ({"classes": ("road",)}, drawn((1, ROAD))),
    ],
)
def test_options_of_drawing(options, expected, tmp_path):
    drawn_files.make_coco(tmp_path)
    labels, _ = read_one("segmentation_coco", tmp_path, **options)
    np.testing.assert_array_equal(labels, expected)


def test_crowds_lie_below(tmp_path):
    document = drawn_files.coco_document()
    document["annotations"][0]["iscrowd"] = 1
    drawn_files.make_coco(tmp_path, document)
    labels, _ = read_one("segmentation_coco", tmp_path)
    np.testing.assert_array_equal(labels, drawn((1, CAR), (2, ROAD)))


def test_records_are_those_of_segmentation(tmp_path):
    drawn_files.make_cvat(tmp_path)
    info = registry.prepare(
        "segmentation_cvat", tmp_path / "data", tmp_path, save_as="mine"
    )
    (sample,) = open_records("mine", tmp_path / "data", "train")
    assert sample.keys() == {"image", "label", "image_id"}
    assert sample["label"].shape == sample["image"].shape[:2] == drawn_files.SHAPE
    assert sum(info.label_histogram["train"]) == 48
    assert info.default_splits == {"train": "train", "eval": "train"}


def test_boxes_are_asked_about(tmp_path):
    box = '<box label="car" xtl="6" ytl="0" xbr="8" ybr="1" z_order="0"/>'
    text = CVAT.replace("<tag", f"{box}<tag", 1)
    drawn_files.make_cvat(tmp_path, text)
    with pytest.raises(
        DataError, match="element 4 .car. has a box but no outline; say b"
    ):
        read_one("segmentation_cvat", tmp_path)
    for boxes, pixels in (("fill", 12 + 3 + 2), ("drop", 12 + 3)):
        labels, _ = read_one("segmentation_cvat", tmp_path, boxes=boxes)
        assert (labels == 2).sum() == pixels


@pytest.mark.parametrize(
    ("element", "pixels"),
    [
        ('<ellipse label="car" cx="4" cy="3" rx="3" ry="2"/>', 6 * np.pi),
        ('<ellipse label="car" cx="4" cy="3" rx="2" ry="3" rotation="90"/>', 6 * np.pi),
    ],
)
def test_ellipses_of_cvat_are_drawn(element, pixels, tmp_path):
    start, end = CVAT.index("<polygon"), CVAT.index("<tag")
    drawn_files.make_cvat(tmp_path, CVAT[:start] + element + CVAT[end:])
    labels, _ = read_one("segmentation_cvat", tmp_path, unused="keep")
    assert abs((labels == 2).sum() - pixels) < 4
    # Both lie across: two rows above and below, three columns at the sides.
    rows, columns = np.nonzero(labels == 2)
    assert (np.ptp(rows), np.ptp(columns)) == (3, 5)


def test_circles_of_labelme_are_drawn(tmp_path):
    document = drawn_files.labelme_document()
    document["shapes"] = [
        {"label": "car", "points": [[4, 3], [4, 5.5]], "shape_type": "circle"}
    ]
    drawn_files.make_labelme(tmp_path, document)
    labels, _ = read_one("segmentation_labelme", tmp_path)
    assert abs((labels == 1).sum() - np.pi * 2.5**2) < 4


def test_files_of_labelme_without_folders_are_cut_by_ratio(tmp_path):
    for name in "abcde":
        save_image(tmp_path / f"{name}.png", drawn_files.SHAPE)
        document = drawn_files.labelme_document() | {"imagePath": f"x\\{name}.png"}
        (tmp_path / f"{name}.json").write_text(drawn_files.json.dumps(document))
    source = opened("segmentation_labelme", tmp_path)
    assert {k: len(items) for k, items in source.splits().items()} == {
        "train": 4,
        "val": 1,
    }


def test_sides_in_the_names_of_classes_must_be_confirmed(tmp_path):
    text = CVAT.replace('"car"', '"left lane"').replace('"road"', '"right lane"')
    text = text.replace(">car<", ">left lane<").replace(">road<", ">right lane<")
    drawn_files.make_cvat(tmp_path, text)
    with pytest.raises(
        DataError, match="flip_pairs='right lane:left lane' if these do"
    ):
        opened("segmentation_cvat", tmp_path).info("x")
    source = opened("segmentation_cvat", tmp_path, flip_pairs=("none",))
    assert source.info("x").flip_pairs == ()


def shape(**values):
    document = drawn_files.labelme_document()
    document["shapes"][0] |= values
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"images": []},
            "a.json has no list 'shapes'; expected .* as segmentation_coco",
        ),
        (shape(label=""), "shape 1: 'label' is '', expected a class"),
        (
            shape(shape_type="line"),
            "shape 1 .car. is of the type 'line', which has no in",
        ),
        (shape(points=[[1, 2]]), "a polygon has 1 points, expected 3 or more"),
        (
            shape(points=[[1, "x"]]),
            r"'points' is \[\[1, 'x'\]\], expected \[\[x, y\], ",
        ),
        (shape(points=[[0, 0]] * 3, shape_type="circle"), "a circle has 3 points, exp"),
        (
            shape(points=[[0, 0], [2, 2]], shape_type="mask", mask="AAAA"),
            "'mask' is 'AAAA', expected a PNG in base64",
        ),
        (
            {**drawn_files.labelme_document(), "imagePath": "b.png"},
            r"a.json names .*b.png, not found \(1 of 1 in 'train'\)",
        ),
        (
            {**drawn_files.labelme_document(), "imageWidth": 9},
            "for an image of 9x6 pixels, but .*a.png is 8x6",
        ),
    ],
)
def test_wrong_files_of_labelme_are_named(document, message, tmp_path):
    drawn_files.make_labelme(tmp_path, document)
    with pytest.raises(DataError, match=message):
        read_one("segmentation_labelme", tmp_path)


def test_lines_of_labelme_are_left_out_where_asked(tmp_path):
    drawn_files.make_labelme(tmp_path, shape(shape_type="line"))
    labels, info = read_one("segmentation_labelme", tmp_path, invalid="drop")
    assert (labels == 1).sum() == 3  # The mask.
    assert info.findings[0][1:] == ("shapes without an inside, left out", 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "<annotations>",
            "<annotation>",
            "annotations.xml is not valid XML: mismatched",
        ),
        (
            'rle="0, 1',
            'rle="1, 1',
            "'rle' is '1, 1, 1, 2', expected run lengths of 2x2",
        ),
        ("2.00,1.00;", "2.00;", "'points' is '2.00;6.00,.*', expected 'x,y;x,y;...'"),
        ('label="car" rle', "rle", "element 3 .mask. has no 'label'"),
        ('width="8"', 'width="9"', "for an image of 9x6 pixels, but .*a.png is 8x6"),
        ('width="8"', 'width="x"', "'width' is 'x', expected a number"),
        ("<tag", "<polyline", "element 4 .road. is 'polyline', which has no inside"),
        (
            'name="a.png"',
            'name="b.png"',
            r"names .*b.png, not found \(1 of 1 in 'train'",
        ),
        ("<meta>", "<track/><meta>", "got 'annotations' with tracks of a video"),
    ],
)
def test_wrong_files_of_cvat_are_named(old, new, message, tmp_path):
    drawn_files.make_cvat(tmp_path, CVAT.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_one("segmentation_cvat", tmp_path)


def panoptic(place, key, value):
    document = drawn_files.panoptic_document()
    annotation = document["annotations"][0]
    {"annotation": annotation, "segment": annotation["segments_info"][0]}[place][
        key
    ] = value
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (panoptic("segment", "id", 9), r"a.png holds segment 70000 \(12 pixels\); exp"),
        (
            panoptic("segment", "id", 7),
            "a segment has the id 7, expected a number of its",
        ),
        (
            panoptic("segment", "category_id", 4),
            "segment 70000 is of category 4, which",
        ),
        (panoptic("annotation", "image_id", 6), "is on image 6, which is not listed"),
        (
            panoptic("annotation", "segments_info", None),
            "prepared as segmentation_coco",
        ),
        (
            panoptic("annotation", "file_name", "b.png"),
            "has no mask: .*b.png not found",
        ),
    ],
)
def test_wrong_panoptic_files_are_named(document, message, tmp_path):
    drawn_files.make_panoptic(tmp_path, document)
    with pytest.raises(DataError, match=message):
        read_one("segmentation_panoptic", tmp_path)


def test_a_panoptic_file_is_no_file_of_instances(tmp_path):
    drawn_files.make_coco(tmp_path, drawn_files.panoptic_document())
    with pytest.raises(
        DataError, match="the file is panoptic; prepare it as segmentat"
    ):
        read_one("segmentation_coco", tmp_path)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_an_empty_folder_is_named_with_what_it_holds(name, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=f"{tmp_path}.* (holds notes.txt|has none of)"):
        opened(name, tmp_path).splits()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"overlap": "first"},
            "option overlap=first: expected one of later, smaller, ig",
        ),
        ({"boxes": "keep"}, "option boxes=keep: expected one of fill, drop"),
        (
            {"background": " "},
            "option background is empty; expected the name of a class",
        ),
        (
            {"classes": ("sky",)},
            "option classes has 'sky', the files have 'car', 'road'",
        ),
        (
            {"classes": ("car",), "background": "ignore"},
            "has 1 classes .'car'., expected",
        ),
    ],
)
def test_wrong_options_are_named(options, message, tmp_path):
    drawn_files.make_coco(tmp_path)
    with pytest.raises(DataError, match=message):
        opened("segmentation_coco", tmp_path, **options).info("x")
