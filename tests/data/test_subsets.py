"""Subsets open like splits, without an image stored twice."""

import concurrent.futures
import multiprocessing
import pickle

import cv2
import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.records import find_prepared, open_records
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from scripts import prepare_data
from tests.data.landmark_files import (
    official_header,
    official_row,
    random_points,
    write_csv,
    write_image,
)

NAMES = tuple(f"a/{index}.jpg" for index in range(8))
BLUR = (5, 0, 6, 2, 3, 7)  # the order of its own file
CSV = "face_landmarks_wflw_{}.csv"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("subsets")
    source = folder / "WFLW"
    rows = [official_row(name, random_points(98, k)) for k, name in enumerate(NAMES)]
    for index, name in enumerate(NAMES):
        write_image(source / "images" / name, index)
    header = official_header(98)
    write_csv(source / CSV.format("train"), [header, *rows[:6]])
    write_csv(source / CSV.format("test"), [header, *rows])
    write_csv(source / CSV.format("test_blur"), [header, *(rows[k] for k in BLUR)])
    registry.prepare("wflw", folder, source)
    return folder


def ids(records):
    return [sample["image_id"] for sample in records]


def test_a_subset_keeps_its_order_and_stores_nothing(data_dir):
    records = open_records("wflw", data_dir, "blur")
    assert len(records) == 6
    assert ids(records) == [f"a/{k}" for k in BLUR]
    assert records[-1]["image_id"] == "a/7"
    whole = open_records("wflw", data_dir, "test")
    np.testing.assert_array_equal(records[0]["image"], whole[5]["image"])
    with pytest.raises(IndexError, match="record 6 of 6"):
        records[6]
    folder = find_prepared("wflw", data_dir)
    assert not list(folder.glob("*blur*"))


@pytest.mark.parametrize(
    "part",
    ["", "[:2]", "[4:]", "[-2:]", "[1:-1]", "[:50%]", "[50%:]", "[-20%:]", "[30%:70%]"],
)
def test_parts_of_a_subset_are_those_of_a_stored_split(part, data_dir):
    """`train` has as many records, and TFDS cuts it."""
    stored = ids(open_records("wflw", data_dir, f"train{part}"))
    cut = ids(open_records("wflw", data_dir, f"blur{part}"))
    assert cut == [f"a/{BLUR[int(name[-1])]}" for name in stored]
    assert 0 < len(stored) <= 6


def test_info_counts_subsets(data_dir):
    info = open_records("wflw", data_dir, "blur[:1]").info
    assert info.counts == {"train": 6, "test": 8, "blur": 6}
    assert info.max_size["blur"] == info.min_size["blur"] == (32, 40)


def test_sizes_of_a_subset_are_those_of_its_images(tmp_path):
    source = tmp_path / "mine"
    rows = []
    for index, size in enumerate(((20, 60), (30, 50), (40, 40))):
        name = f"{('ibug', 'lfpw/testset')[index > 1]}/{index}.png"
        write_image(source / "images" / name)
        path = source / "images" / name
        cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))
        rows.append(official_row(name, random_points(68, index)))
    valid = "face_landmarks_300w_valid.csv"
    write_csv(source / valid, [official_header(68), *rows])
    info = registry.prepare("w300", tmp_path, source)
    assert info.counts == {"common": 1, "challenge": 2, "full": 3}
    assert info.max_size == {
        "common": (40, 40),
        "challenge": (30, 60),
        "full": (40, 60),
    }
    assert info.min_size["full"] == (20, 40)
    text = summarize(info)
    assert "w300: 68 points, 29 flip pairs" in text and "class" not in text
    assert [line.split() for line in text.splitlines()][-1] == [
        *("full", "3", "40x20", "to", "60x40"),
        *("common", "+", "challenge"),
    ]


def test_an_unknown_split_is_answered_with_subsets_too(data_dir):
    with pytest.raises(
        DataError, match=r"no split 'pose'; it has train \(6\), test \(8\), blur \(6\)"
    ):
        open_records("wflw", data_dir, "pose")
    with pytest.raises(DataError, match=r"no split 'blur\[::2\]'; it has"):
        open_records("wflw", data_dir, "blur[::2]")


@pytest.mark.parametrize("part", ["[:7]", "[:9999]", "[7:]", "[-7:]", "[:120%]"])
def test_parts_beyond_the_records_are_errors_as_of_stored_splits(part, data_dir):
    for split in ("train", "blur"):  # six records each
        with pytest.raises(DataError, match=rf"no split '{split}\[.*; it has train"):
            open_records("wflw", data_dir, f"{split}{part}")
    assert len(open_records("wflw", data_dir, "blur[-6:6]")) == 6


def test_a_pickled_subset_reads_in_another_process(data_dir):
    records = open_records("wflw", data_dir, "blur[1:]")
    copy = pickle.loads(pickle.dumps(records))
    assert ids(copy) == ids(records)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(ids, [records]) == [ids(records)]


def test_threads_read_the_same_as_one(data_dir):
    records = open_records("wflw", data_dir, "blur")
    order = list(range(6)) * 10
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda k: records[k]["image"].mean(), order))
    assert together == [records[k]["image"].mean() for k in order]


def test_samples_can_be_changed(data_dir):
    records = open_records("wflw", data_dir, "blur")
    sample = records[0]
    for key in ("points", "center", "visible", "image"):
        sample[key] += 1
    assert (records[0]["points"] != sample["points"]).all()


def test_the_script_reports_points_and_subsets(data_dir, capsys):
    arguments = ["--dataset=wflw", f"--data_dir={data_dir}"]
    assert prepare_data.main([*arguments, f"--source={data_dir / 'WFLW'}"]) == 0
    out = capsys.readouterr().out
    assert "wflw: 98 points, 44 flip pairs" in out
    assert "part of" in out and f"dataset.name=wflw dataset.data_dir={data_dir}" in out
    (line,) = [line for line in out.splitlines() if line.startswith("blur")]
    assert line.split() == ["blur", "6", "40x32", "test"]
