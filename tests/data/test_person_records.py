"""Records of images as examples of persons: parts, boxes that were given, workers."""

import json
import pickle

import numpy as np
import pytest

from hrnet_jax.data.examples import as_examples
from hrnet_jax.data.persons.detections import read_boxes
from hrnet_jax.data.records import open_records, prepared_directory
from hrnet_jax.data.stream.batches import eval_batches, train_batches
from hrnet_jax.errors import ConfigError, DataError
from tests import tiny
from tests.data import person_files as files
from tests.data.person_files import persons, prepare

FOUND = [
    {"image_id": 9, "category_id": 1, "bbox": [1, 2, 30, 20], "score": 0.25},
    {"image_id": 12, "category_id": 1, "bbox": [10.5, 5, 20, 30], "score": 0.9},
    {"image_id": 12, "category_id": 3, "bbox": [1, 1, 5, 5], "score": 0.9},
    {"image_id": 9, "category_id": 1, "bbox": [0, 0, 60, 40], "score": 0.5},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("persons")
    prepare("keypoints_coco", files.write_coco(folder / "source"), folder)
    return folder


def boxes(folder, entries=FOUND):
    path = folder / "found.json"
    path.write_text(json.dumps(entries))
    return read_boxes(path, 1)


def test_a_part_of_a_split_has_the_persons_of_its_images(folder):
    assert len(persons("keypoints_coco", folder, "train[:2]")) == 2
    part = persons("keypoints_coco", folder, "train[:1]")
    assert [one["image_id"] for one in part] == ["a#1", "a#3"]
    assert part.truth().image_numbers.tolist() == [12]
    with pytest.raises(DataError, match=r"split 'train\[1:\]' .* has no person with"):
        persons("keypoints_coco", folder, "train[1:]")


def test_what_is_annotated_is_known_without_images(folder):
    examples = persons("keypoints_coco", folder)
    truth = examples.truth()
    assert truth.examples == ("a#1", "a#3") and truth.image_names == ("a", "b", "c")
    assert truth.image.tolist() == [0, 0] and truth.person.tolist() == [0, 2]
    assert truth.image_numbers.tolist() == [12, 7, 9]
    found = truth.persons
    assert found.image.tolist() == [0, 0, 0, 1]
    assert found.number.tolist() == [100, 101, 103, 102]
    assert found.counted.tolist() == [True, False, True, False]
    assert found.bbox[0].tolist() == [10, 5, 20.5, 30]
    for at, one in zip(truth.person, examples, strict=True):
        np.testing.assert_array_equal(found.points[at], one["points"])
    np.testing.assert_array_equal(truth.box, [one["box"] for one in examples])
    assert truth.box_score.tolist() == [1, 1]
    assert examples.image_sizes().tolist() == [[40, 60], [40, 60]]


def test_boxes_of_a_detector_take_the_place_of_annotated_ones(folder):
    examples = persons("keypoints_coco", folder, boxes=boxes(folder))
    # Image after image, those of one in the order of the file; another category not.
    assert [one["image_id"] for one in examples] == ["a#1", "c#1", "c#2"]
    assert [one["box_score"] for one in examples] == [0.9, 0.25, 0.5]
    assert examples[0]["box"].tolist() == [10.5, 5, 30.5, 35]
    assert examples[1]["image_number"] == 9 and not examples[1]["annotated"].any()
    truth = examples.truth()
    assert truth.person.tolist() == [-1, -1, -1] and truth.image.tolist() == [0, 2, 2]
    assert len(truth.persons.image) == 4
    part = persons("keypoints_coco", folder, "train[:1]", boxes(folder))
    assert [one["box_score"] for one in part] == [0.9]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, r"found\.json is no list; expected boxes as COCO's results are"),
        ([7], r"entry 1 is 7, expected an object"),
        ([FOUND[0] | {"image_id": "x"}], r"entry 1: 'image_id' is 'x', expected a who"),
        ([FOUND[0] | {"bbox": [1, 2, 0, 5]}], r"entry 1: the box has size 0 x 5; exp"),
        ([FOUND[0] | {"bbox": [1, 2]}], r"entry 1: bbox is \[1, 2\], expected \[x, y"),
        ([FOUND[0] | {"score": None}], r"entry 1: 'score' is None, expected a number"),
        ([FOUND[2]], r"has no box of category 1, the one with key points; it has 3"),
        (
            [FOUND[0] | {"image_id": 99}],
            r"found\.json has boxes of image 99, which split 'train' does not have \(1 s",
        ),
    ],
)
def test_wrong_boxes_are_named(entries, message, folder):
    with pytest.raises(DataError, match=message):
        persons("keypoints_coco", folder, boxes=boxes(folder, entries))


def test_a_split_without_boxes_is_named(folder):
    with pytest.raises(
        DataError, match=r"no box in the images of split 'train\[1:2\]'"
    ):
        persons("keypoints_coco", folder, "train[1:2]", boxes(folder))


def test_views_are_for_tasks_that_ask_for_them(folder):
    records = open_records("keypoints_coco", folder, "train")
    assert as_examples(records, "") is records
    assert len(as_examples(records, "persons")) == 2
    with pytest.raises(
        ConfigError, match=r"found\.json: boxes of a detector are for t"
    ):
        as_examples(records, "", folder / "found.json")
    shapes = open_records("shapes", tiny.data_dir(), "train")
    with pytest.raises(DataError, match="'shapes' has no persons with points; prepare"):
        as_examples(shapes, "persons")


def test_the_stream_sees_persons(folder):
    examples = persons("keypoints_coco", folder)
    again = pickle.loads(pickle.dumps(examples))
    assert [one["image_id"] for one in again] == ["a#1", "a#3"]
    seen = [
        name
        for batch in eval_batches(examples, lambda sample: sample, batch_size=1)
        for name in batch["image_id"]
    ]
    assert seen == ["a#1", "a#3"]
    stream = train_batches(
        examples, lambda sample, rng: sample, batch_size=2, seed=0, threads=1
    )
    assert sorted(next(stream)["image_id"]) == seen
    stream.close()


def test_what_is_in_a_sample_can_be_changed(folder):
    examples = persons("keypoints_coco", folder)
    examples[0]["points"][:] = -1
    examples[0]["box"][:] = -1
    assert examples[0]["points"].min() == 0 and examples[0]["box"].min() == 5
    with pytest.raises(IndexError, match="person 2 of 2"):
        examples[2]
    assert examples[-1]["image_id"] == "a#3"


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("persons_train.npy", None, r"persons_train\.npy is missing; prepare the data"),
        ("persons_train.npy", np.array([[3, 0]]), "does not have places in 3 records"),
        ("annotations_train.npz", b"PK", r"annotations_train\.npz cannot be read"),
    ],
)
def test_damaged_files_beside_the_records_are_named(name, write, message, tmp_path):
    prepare("keypoints_coco", files.write_coco(tmp_path / "source"), tmp_path)
    path = prepared_directory("keypoints_coco", tmp_path) / name
    path.unlink()
    if isinstance(write, bytes):
        path.write_bytes(write)
    elif write is not None:
        np.save(path, write)
    with pytest.raises(DataError, match=message):
        persons("keypoints_coco", tmp_path).truth()
