"""Values of own masks: which class they stand for, and the question what 255 is."""

import json

import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.info import METADATA_FILE
from hrnet_jax.data.records import find_prepared
from hrnet_jax.errors import DataError
from tests.data.mask_files import add, add_ten, make_set, prepare, read


@pytest.fixture
def source(tmp_path):
    return make_set(tmp_path / "mine")


BINARY = np.where(np.arange(96).reshape(8, 12) % 3 == 0, 255, 0).astype(np.uint8)


@pytest.fixture
def binary(source):
    """Masks of 0 and 255, a third of the pixels."""
    add_ten(source, BINARY)
    (source / "classes.txt").write_text("no\nyes\n")
    return source


@pytest.mark.parametrize(
    "options",
    [
        {"label_values": (0, 255), "ignore_label": -1},
        {"label_values": (0, 255)},
        {"label_map": ("0:0", "255:1")},
        {"label_map": ("0:0", "7:0", "255:1"), "ignore_label": 9},
    ],
)
def test_options_name_the_class_of_each_value(options, binary, tmp_path):
    info = prepare(binary, tmp_path, **options)
    assert info.label_histogram["val"] == [2 * 64, 2 * 32]
    np.testing.assert_array_equal(read(tmp_path)[0]["label"], BINARY // 255)


@pytest.mark.parametrize("names", ["no\nyes\n", "a\nb\nc\nd\n"])
def test_asks_what_255_is_in_masks_of_0_and_255(names, binary, tmp_path):
    (binary / "classes.txt").write_text(names)
    add(binary, "img0", np.zeros((8, 12), np.uint8))
    with pytest.raises(DataError) as caught:
        prepare(binary, tmp_path, ratios=(1.0,))
    assert str(caught.value) == (
        "the masks hold only 0 and 255 (255 for example in "
        f"{binary}/masks/img1.png): is 255 class 1 ({names.split()[1]}), then give "
        "--option label_map=0:0,255:1, or is it ignored, then give --option "
        "ignore_label=255"
    )


@pytest.mark.parametrize(
    "options", [{"ignore_label": 255}, {"label_map": ("0:0", "255:ignore")}]
)
def test_255_can_be_said_to_be_ignored(options, binary, tmp_path):
    info = prepare(binary, tmp_path, **options)
    assert info.label_histogram["val"] == [2 * 64, 0]
    assert info.ignored_pixels["val"] == 2 * 32


def test_255_is_void_where_a_mask_shows_another_class(binary, tmp_path):
    add(binary, "img9", np.ones((8, 12), np.uint8), ".jpg")
    info = prepare(binary, tmp_path, ratios=(1.0,))
    assert info.label_histogram["train"] == [9 * 64, 96]
    assert info.ignored_pixels["train"] == 9 * 32


def test_the_question_does_not_cost_what_was_prepared(source, tmp_path):
    info = prepare(source, tmp_path)
    add_ten(source, BINARY)
    with pytest.raises(DataError, match="the masks hold only 0 and 255"):
        prepare(source, tmp_path)
    assert read(tmp_path).info == info


def test_label_map_joins_values_to_one_class(source, tmp_path):
    options = {"classes": ("flat", "upright"), "label_map": ("0:0", "1:0", "2:1")}
    with pytest.raises(
        DataError, match=r"holds label 3 \(24 pixels\); expected 0\.\.2"
    ):
        prepare(source, tmp_path, **options)
    options["label_map"] += ("3:ignore",)
    info = prepare(source, tmp_path, **options)
    assert info.label_histogram["val"] == [2 * 48, 2 * 24]
    assert info.ignored_pixels["val"] == 2 * 24


def test_records_of_before_an_option_existed_are_still_those(source, tmp_path):
    info = prepare(source, tmp_path)
    path = find_prepared("segmentation_folder", tmp_path / "data") / METADATA_FILE
    facts = json.loads(path.read_text())
    del facts["prepared_from"]["options"]["label_map"]
    facts["prepared_from"]["options"]["ignore_label"] = 255  # Once the default.
    path.write_text(json.dumps(facts))
    again = registry.prepare("segmentation_folder", tmp_path / "data", source)
    assert again.counts == info.counts
    with pytest.raises(DataError, match="was prepared with options"):
        registry.prepare(
            "segmentation_folder", tmp_path / "data", source, ignore_label=254
        )


def test_any_value_can_be_ignored(source, tmp_path):
    info = prepare(
        source,
        tmp_path,
        classes=("a", "b", "c"),
        label_values=(1, 2, 3),
        ignore_label=0,
    )
    assert info.ignored_pixels["val"] == 2 * 24
    expected = np.arange(96).reshape(8, 12) % 4 - 1
    np.testing.assert_array_equal(
        read(tmp_path)[0]["label"], np.where(expected < 0, 255, expected)
    )
