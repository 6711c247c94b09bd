"""Prepared records: what they hold, how they are found, what goes wrong."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import pickle
import re
import shutil
import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest

from hrnet_jax.data import registry, writing
from hrnet_jax.data.class_tables import bit_palette
from hrnet_jax.data.class_weights import median_frequency_weights
from hrnet_jax.data.generated.shapes import draw_scene
from hrnet_jax.data.info import (
    DatasetInfo,
    load_info,
)
from hrnet_jax.data.records import (
    find_prepared,
    open_records,
    prepared_names,
    set_aside,
)
from hrnet_jax.errors import DataError
from hrnet_jax.models.variants import VARIANTS
from tests import tiny

OPTIONS = {"image_size": 32, "train": 6, "val": 2}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    registry.prepare("shapes", folder, **OPTIONS)
    return folder


def test_records_hold_what_was_written(data_dir):
    records = open_records("shapes", data_dir, "train")
    assert len(records) == 6
    for index in (0, 5):
        sample, scene = records[index], draw_scene(0, "train", index, size=32)
        for key in ("image", "label", "boxes", "box_class", "points", "visible"):
            expected = getattr(scene, key)
            np.testing.assert_array_equal(sample[key], expected)
            assert sample[key].dtype == expected.dtype
        assert sample["class"] == scene.image_class
        assert sample["image_id"] == f"train_{index:05d}"


def test_negative_indices_and_the_end(data_dir):
    records = open_records("shapes", data_dir, "val")
    assert records[-1]["image_id"] == records[1]["image_id"]
    assert [sample["image_id"] for sample in records] == ["val_00000", "val_00001"]
    assert [sample["image_id"] for sample in records[1:]] == ["val_00001"]
    assert [sample["image_id"] for sample in records[:-3:-1]] == [
        "val_00001",
        "val_00000",
    ]
    with pytest.raises(IndexError, match="record 2 of 2"):
        records[2]


def test_parts_of_a_split(data_dir):
    part = open_records("shapes", data_dir, "train[2:4]")
    assert [sample["image_id"] for sample in part] == ["train_00002", "train_00003"]


def test_sizes_are_known_of_sets_of_an_earlier_version_too(data_dir, monkeypatch):
    records = open_records("shapes", data_dir, "train[1:4]")
    sizes = [sample["image"].shape[:2] for sample in records]
    np.testing.assert_array_equal(records.image_sizes(), sizes)
    # Without their file: of one size, and of several, which are read.
    monkeypatch.setattr(type(records), "_has_sizes", lambda *_: False)
    np.testing.assert_array_equal(records.image_sizes(), sizes)
    records = open_records("shapes", data_dir, "train[1:4]")
    smaller = {split: (1, 1) for split in records.info.min_size}
    records.info = dataclasses.replace(records.info, min_size=smaller)
    np.testing.assert_array_equal(records.image_sizes(), sizes)


def test_many_shards_keep_the_order(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SHARD_BYTES", 2 * 3 * 32 * 32)  # two images
    registry.prepare("shapes", tmp_path, image_size=32, train=7, val=1)
    folder = find_prepared("shapes", tmp_path)
    assert len(list(folder.glob("*-train.*"))) == 4
    names = [sample["image_id"] for sample in open_records("shapes", tmp_path, "train")]
    assert names == [f"train_{index:05d}" for index in range(7)]


def test_info_is_read_back_as_it_was_returned(data_dir, tmp_path):
    info = registry.prepare("shapes", tmp_path, **OPTIONS)
    assert open_records("shapes", tmp_path, "val").info == info
    assert isinstance(info.max_size["train"], tuple)
    loaded = load_info(find_prepared("shapes", data_dir))
    assert loaded.palette == info.palette and loaded.max_size == info.max_size


def test_info_counts_images_and_pixels(data_dir):
    info = open_records("shapes", data_dir, "train").info
    assert info.counts == {"train": 6, "val": 2}
    for split in info.counts:
        labels = np.stack([s["label"] for s in open_records("shapes", data_dir, split)])
        np.testing.assert_array_equal(
            info.label_histogram[split], np.bincount(labels.ravel(), minlength=7)
        )
        shows = [(labels == label).any((1, 2)).sum() for label in range(7)]
        assert info.pixels_where_present[split] == [32 * 32 * n for n in shows]
        assert info.ignored_pixels[split] == 0
        assert info.max_size[split] == info.min_size[split] == (32, 32)


def test_pickled_records_read_in_another_process(data_dir):
    records = open_records("shapes", data_dir, "train")
    copy = pickle.loads(pickle.dumps(records))
    np.testing.assert_array_equal(copy[3]["image"], records[3]["image"])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (image_id,) = pool.map(_image_id, [(records, 4)])
    assert image_id == "train_00004"


def _image_id(task):
    records, index = task
    return records[index]["image_id"]


def test_threads_read_the_same_as_one(data_dir):
    records = open_records("shapes", data_dir, "train")
    order = list(range(6)) * 20
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: records[i]["image"].sum(), order))
    assert together == [records[i]["image"].sum() for i in order]


@pytest.mark.parametrize("work", ["prepare", "read"])
def test_needs_no_tensorflow(work, data_dir, tmp_path):
    """Hides TensorFlow from a fresh interpreter, as if it were not installed."""
    code = f"""
        import sys

        class Hidden:
            def __init__(self, finder):
                self.finder = finder
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "tensorflow":
                    return None
                return self.finder.find_spec(name, path, target)

        sys.meta_path[:] = [Hidden(finder) for finder in sys.meta_path]
        from hrnet_jax.data import registry, writing
        from hrnet_jax.data.records import open_records
        if {work!r} == "prepare":
            registry.prepare("shapes", {str(tmp_path)!r}, train=2, val=1)
            print(len(open_records("shapes", {str(tmp_path)!r}, "train")))
        else:
            print(open_records("shapes", {str(data_dir)!r}, "train")[1]["label"].shape)
        assert "tensorflow" not in sys.modules
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == {"prepare": "2", "read": "(32, 32)"}[work]


def test_reading_in_this_process_imports_no_tensorflow_either(data_dir):
    code = f"""
        import sys
        from hrnet_jax.data.records import open_records
        sample = open_records("shapes", {str(data_dir)!r}, "train")[0]
        print(sample["image"].ndim, "tensorflow" in sys.modules)
        """
    process = tiny.run_python(textwrap.dedent(code))
    assert process.stdout.split() == ["3", "False"], process.stderr


def test_names_the_command_where_nothing_is_prepared(data_dir, tmp_path):
    with pytest.raises(DataError) as caught:
        open_records("camvid", data_dir, "train")
    message = str(caught.value)
    assert "'camvid' is not prepared" in message and "found there: shapes" in message
    assert f"scripts/prepare_data.py --dataset=camvid --data_dir={data_dir}" in message
    assert message.endswith(", or name one of these, as in dataset.name=shapes")
    with pytest.raises(DataError, match=r"found there: none\); run: .*absent$"):
        open_records("shapes", tmp_path / "absent", "train")


@pytest.mark.parametrize("name", ["", "../elsewhere", "/absolute"])
def test_refuses_names_that_leave_the_folder(name, data_dir):
    with pytest.raises(DataError, match="is not a name of a data set"):
        open_records(name, data_dir, "train")


def test_names_the_splits_where_one_does_not_exist(data_dir):
    with pytest.raises(DataError, match=r"no split 'test'; it has train \(6\), val"):
        open_records("shapes", data_dir, "test")


def test_names_a_lost_shard(data_dir, tmp_path):
    copy = tmp_path / "shapes"
    shutil.copytree(data_dir / "shapes", copy)
    lost = next(copy.glob("1.0.0/*-val.*"))
    lost.unlink()
    with pytest.raises(DataError, match=f"{lost.name} is missing"):
        open_records("shapes", tmp_path, "train")


def cut(path):
    """Takes 3000 bytes off the end of a file of records."""
    path.write_bytes(path.read_bytes()[:-3000])


def empty(path):
    path.write_bytes(b"")


def scramble(path):
    """Changes bits in the middle of a file of records."""
    content = bytearray(path.read_bytes())
    first = len(content) // 3
    for index in range(first, 2 * first):
        content[index] ^= 0x5A
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, empty, scramble])
def test_names_a_damaged_file(damage, data_dir, tmp_path):
    shutil.copytree(data_dir / "shapes", tmp_path / "shapes")
    path = next(tmp_path.glob("shapes/1.0.0/*-train.*"))
    damage(path)
    # What it was told travels from worker processes, too.
    for split in ("train", "train[2:5]"):
        with pytest.raises(DataError) as error:
            [*open_records("shapes", tmp_path, split)]
        message = str(pickle.loads(pickle.dumps(error.value)))
        assert message.startswith(f"{path}: record ")
        for text in (" cannot be read (", f"split {split!r} of 'shapes'"):
            assert text in message
        assert message.endswith("or prepare the data set again (--overwrite)")
        assert "\n" not in message


def test_names_the_file_of_a_picture_that_does_not_decode(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SHARD_BYTES", 2 * 3 * 32 * 32)  # two images
    registry.prepare("shapes", tmp_path, image_size=32, train=8, val=1)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    files = sorted(find_prepared("shapes", tmp_path).glob("*-train.*"))
    for split, index, file in (
        ("train", 0, 0),
        ("train", 7, 3),
        ("train[3:6]", 0, 1),
        ("train[3:6]", 2, 2),
        ("val", 0, None),
    ):
        with pytest.raises(DataError) as error:
            open_records("shapes", tmp_path, split)[index]
        name = "val" if file is None else files[file].name
        # Which of both comes first is the parser's choice.
        text = rf"'(image|label)' of record {index} does not decode"
        assert name in str(error.value) and re.search(text, str(error.value))


@pytest.mark.parametrize("file", ["features.json", "dataset_info.json"])
def test_names_the_folder_of_damaged_descriptions(file, data_dir, tmp_path):
    shutil.copytree(data_dir / "shapes", tmp_path / "shapes")
    folder = tmp_path / "shapes" / "1.0.0"
    (folder / file).write_text("{")
    with pytest.raises(DataError) as error:
        open_records("shapes", tmp_path, "train")
    assert str(error.value).startswith(
        f"{folder}: features.json or dataset_info.json cannot be read ("
    )
    assert str(error.value).endswith("prepare the data set again (--overwrite)")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_scripts_name_a_damaged_file_in_one_line(workers, tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    shutil.copytree(tiny.data_dir() / "shapes", tmp_path / "shapes")
    for path in tmp_path.glob("shapes/1.0.0/*.array_record*"):
        cut(path)
    place = [f"--config.dataset.data_dir={tmp_path}"]
    place += [f"--config.dataset.workers={workers}"]
    experiment = [f"--config={tiny.__file__}", f"--workdir={tmp_path / 'run'}"]
    commands = {
        "train": ["train", *experiment, *place],
        "evaluate": ["evaluate", f"--workdir={tiny.finished_run()}", *place],
    }
    outcomes = tiny.run_scripts(commands, tmp_path, "tests.tiny")
    for name, split in (("train", "train"), ("evaluate", "val")):
        code, out, err = outcomes[name]
        assert (code, out) == (2, ""), err
        (line,) = [line for line in err.splitlines() if "error" in line.lower()]
        assert line.startswith(f"error: {tmp_path}/shapes/1.0.0/shapes-{split}.arr")
        assert line.endswith("prepare the data set again (--overwrite)")
        assert "Traceback" not in err


def test_names_broken_metadata(data_dir, tmp_path):
    shutil.copytree(data_dir / "shapes", tmp_path / "shapes")
    path = tmp_path / "shapes" / "1.0.0" / "metadata.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"colour": 1}))
    with pytest.raises(DataError, match="metadata.json: .*'colour'.*--overwrite"):
        open_records("shapes", tmp_path, "train")
    path.write_text("{")
    with pytest.raises(DataError, match="metadata.json: not valid JSON"):
        open_records("shapes", tmp_path, "train")


def test_an_unfinished_preparation_is_not_found(tmp_path):
    unfinished = tmp_path / "shapes" / "incomplete.ABC123_1.0.0"
    unfinished.mkdir(parents=True)
    (unfinished / "metadata.json").write_text("{}")
    (unfinished / "features.json").write_text("{}")
    # A version directory without metadata cannot come from a finished run.
    (tmp_path / "shapes" / "1.0.0").mkdir()
    (tmp_path / "shapes" / "1.0.0" / "features.json").write_text("{}")
    assert find_prepared("shapes", tmp_path) is None
    assert prepared_names(tmp_path) == []


def test_the_newest_version_is_opened(data_dir, tmp_path):
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        shutil.copytree(data_dir / "shapes" / "1.0.0", tmp_path / "shapes" / version)
    assert find_prepared("shapes", tmp_path).name == "1.10.0"


def test_setting_aside_leaves_files_of_the_user(data_dir, tmp_path):
    shutil.copytree(data_dir / "shapes" / "1.0.0", tmp_path / "shapes" / "1.0.0")
    (tmp_path / "shapes" / "incomplete.ABC123_1.0.0").mkdir()
    (tmp_path / "shapes" / "images").mkdir()
    aside = tmp_path / "aside"
    aside.mkdir()
    set_aside("shapes", tmp_path, aside)
    assert [path.name for path in (tmp_path / "shapes").iterdir()] == ["images"]
    assert {path.name for path in aside.iterdir()} == {
        "1.0.0",
        "incomplete.ABC123_1.0.0",
    }


def test_median_frequency_weights_by_hand():
    # Class 0 fills half of all 100 pixels; class 1 a quarter of the only image
    # that shows it (40 labelled pixels); class 2 occurs nowhere; class 3 has
    # 40 of 100.
    info = DatasetInfo(
        name="",
        num_classes=4,
        class_names=("a", "b", "c", "d"),
        palette=bit_palette(4),
        label_histogram={"train": [50, 10, 0, 40]},
        pixels_where_present={"train": [100, 40, 0, 100]},
    )
    frequencies = np.array([0.5, 0.25, 0.4])
    expected = np.median(frequencies) / frequencies
    np.testing.assert_allclose(
        median_frequency_weights(info), [expected[0], expected[1], 0, expected[2]]
    )
    info = dataclasses.replace(
        info,
        default_splits={"train": "all", "eval": "train"},
        label_histogram={"train": [1, 1, 1, 1], "all": [50, 50, 0, 0]},
        pixels_where_present={"train": [4, 4, 4, 4], "all": [100, 100, 0, 0]},
    )
    assert median_frequency_weights(info).tolist() == [1, 1, 0, 0]
    assert median_frequency_weights(info, "train").tolist() == [1, 1, 1, 1]


def test_bit_palette_is_that_of_pascal_voc():
    colours = bit_palette(22)
    assert colours[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert colours[15] == (192, 128, 128)  # person
    assert colours[20] == (0, 64, 128)  # tv monitor
