"""Prepared records damaged on disk: their facts, their features, their bytes."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import strategies

from hrnet_jax.data.info import METADATA_FILE, load_info
from hrnet_jax.data.records import find_prepared, open_records
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from tests import tiny
from tests.damaging import damaged_bytes, json_files
from tests.foreign import COUNTS, only_our_errors


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    """The files of a small prepared data set, below `tmp_path`."""
    shutil.copytree(tiny.data_dir() / "shapes", tmp_path / "shapes")
    return find_prepared("shapes", tmp_path)


@pytest.mark.parametrize("count", COUNTS, ids=str)
def test_edited_facts_are_read_or_named(count, folder):
    path = folder / METADATA_FILE
    document = json.loads(path.read_text())

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            info = load_info(folder)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            raise
        summarize(info)

    only_our_errors(read, json_files(document), count)


# Fewer: TFDS builds a reader of the whole set for each.
SOME = [20, pytest.param(400, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", SOME, ids=str)
@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_edited_descriptions_of_the_library_are_read_or_named(name, count, folder):
    path = folder / name
    document = json.loads(path.read_text())

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_all(folder)

    only_our_errors(read, json_files(document), count)


@pytest.mark.parametrize("count", SOME, ids=str)
def test_a_damaged_file_of_records_is_named_or_reads_the_same(count, folder):
    """Whatever byte is another, no record is another: its checksum tells."""
    (path,) = folder.glob("*-val.*")
    whole = path.read_bytes()
    expected = read_all(folder)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            found = read_all(folder)
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            raise
        assert found == expected

    cuts = strategies.integers(0, len(whole)).map(lambda at: whole[:at])
    only_our_errors(read, strategies.one_of(cuts, damaged_bytes(whole, 1)), count)


def read_all(folder: pathlib.Path) -> list[bytes]:
    """Every byte of the evaluation records."""
    records = open_records("shapes", folder.parents[1], "val")
    return [
        b"".join(np.asarray(value).tobytes() for value in sample.values())
        for sample in records
    ]


def pixels(number):
    """So many of the first class, in both splits."""
    return dict.fromkeys(("train", "val"), [number] + [0] * 6)


WRONG = [
    ("palette", [[0, 0, 0]], "key 'palette' has 1 entries for num_classes=7"),
    ("palette", [[0, 0, 256]] * 7, "key 'palette' has values outside 0..255"),
    ("counts", {"train": "12"}, "key 'counts.train' must be a value of type int"),
    ("counts", {"dev": 3}, "key 'max_size' lacks splits of key 'counts'"),
    ("default_splits", {}, "key 'default_splits' has no split for 'train'"),
    ("flip_pairs", [[0, 9]], "key 'flip_pairs': flip pair .* outside 0..6"),
    ("point_lines", [[0, 99]], "key 'point_lines' has an index outside"),
    ("normalizers", {"box": [[], [1]]}, "key 'normalizers' has a group without"),
    ("subsets", {"val": {"train": [99]}}, "key 'subsets' has records in 'val'"),
    ("label_histogram", {}, "key 'label_histogram' does not have num_classes=7"),
    ("label_histogram", pixels(-1), "key 'label_histogram' has a negative number"),
    (
        "pixels_where_present",
        pixels(10**400),
        "key 'pixels_where_present' has a number of pixels above 9223372036854775807",
    ),
    (
        "label_histogram",
        pixels(10**9),
        "keys 'label_histogram' and .*: a class has more",
    ),
    ("ignored_pixels", {}, "key 'ignored_pixels' lacks splits"),
    ("colours", 1, "key 'colours' is not read by anything"),
    ("name", None, "key 'name' must be a value of type str, got None"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_facts_that_contradict_each_other_are_named(key, value, message, folder):
    path = folder / METADATA_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(DataError, match=f"^{path}: {message}"):
        load_info(folder)


def test_a_description_of_other_files_is_named(folder):
    path = folder / "dataset_info.json"
    changed = {**json.loads(path.read_text()), "fileFormat": "tfrecord"}
    path.write_text(json.dumps(changed))
    with pytest.raises(DataError, match=r"shapes-train\.tfrecord-.* is missing: copy"):
        open_records("shapes", folder.parents[1], "val")
