"""The command line and `registry.prepare`: repeat, overwrite, kill, report."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_jax.config import assignments
from hrnet_jax.data import registry, sources
from hrnet_jax.data.class_tables import CLASS_TABLES
from hrnet_jax.data.records import find_prepared, open_records
from hrnet_jax.errors import ConfigError, DataError
from scripts import prepare_data
from tests.data.landmark_files import random_points, write_image

SMALL = ["--option", "image_size=32", "--option=train=3", "--option=val=1"]


def command(tmp_path, *more):
    return ["--dataset=shapes", f"--data_dir={tmp_path}", *SMALL, *more]


def test_prepares_and_reports(tmp_path, capsys):
    assert prepare_data.main(command(tmp_path)) == 0
    out, err = capsys.readouterr()
    assert f"shapes is prepared in {tmp_path}/shapes/1.0.0" in out
    assert "preparing shapes: 100%" in err
    for text in ("train       3  32x32", "6  cross", "#####", "0.00 %"):
        assert text in out
    weights = out.split("class weights (median frequency, split train): ")[1]
    assert len(weights.splitlines()[0].split(", ")) == 7
    assert f"dataset.name=shapes dataset.data_dir={tmp_path}" in out


def test_the_second_time_returns_at_once(tmp_path, capsys):
    prepare_data.main(command(tmp_path))
    written = find_prepared("shapes", tmp_path).stat().st_mtime_ns
    capsys.readouterr()
    assert prepare_data.main(command(tmp_path)) == 0
    out, err = capsys.readouterr()
    assert "shapes is already prepared in" in out and "6  cross" in out
    assert err == ""
    assert find_prepared("shapes", tmp_path).stat().st_mtime_ns == written


def test_other_options_need_overwrite_or_a_name(tmp_path, capsys):
    prepare_data.main(command(tmp_path))
    assert prepare_data.main(command(tmp_path, "--option=seed=5")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "'seed': 5" in error and "--overw" in error
    assert prepare_data.main(command(tmp_path, "--option=seed=5", "--name=five")) == 0
    first, second = (
        open_records(name, tmp_path, "train")[0]["image"] for name in ("shapes", "five")
    )
    assert (first != second).any()
    assert prepare_data.main(command(tmp_path, "--option=seed=5", "--overwrite")) == 0
    third = open_records("shapes", tmp_path, "train")[0]["image"]
    np.testing.assert_array_equal(third, second)


def test_overwrite_keeps_what_is_there_if_the_source_is_incomplete(tmp_path):
    source = tmp_path / "mine"
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
        for name in "ab":
            pixels = np.zeros((8, 8), np.uint8)
            cv2.imwrite(str(source / folder / f"{name}.png"), pixels)
    options = {"classes": ("no", "yes"), "ratios": (0.5, 0.5)}
    registry.prepare("segmentation_folder", tmp_path, source, **options)
    (source / "masks" / "a.png").unlink()
    with pytest.raises(DataError, match="has no mask"):
        registry.prepare("segmentation_folder", tmp_path, source, True, **options)
    assert len(open_records("segmentation_folder", tmp_path, "train")) == 1


def test_a_class_without_pixels_is_pointed_out(tmp_path, capsys):
    source = tmp_path / "mine"
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4] = 255  # a binary mask whose object value is the ignore label
    for folder, pixels in (("images", mask), ("masks", mask)):
        (source / folder).mkdir(parents=True)
        for name in "ab":
            cv2.imwrite(str(source / folder / f"{name}.png"), pixels)
    arguments = [
        "--dataset=segmentation_folder",
        f"--source={source}",
        f"--data_dir={tmp_path / 'data'}",
        "--name=binary",
        "--option=classes=no,yes",
        "--option=ratios=0.5,0.5",
    ]
    assert prepare_data.main(arguments) == 2
    assert "is 255 class 1 (yes), then give --option" in capsys.readouterr().err
    assert prepare_data.main([*arguments, "--option=label_map=0:0,255:1"]) == 0
    assert "25.000" in capsys.readouterr().out
    arguments += ["--overwrite", "--option=ignore_label=255"]
    assert prepare_data.main(arguments) == 0
    out = capsys.readouterr().out
    assert "note: class 1 (yes) has no pixel in split train" in out
    assert "25.00 %" in out and "dataset.name=binary" in out


def test_says_what_it_made_of_the_names_and_left_out(tmp_path, capsys):
    source = tmp_path / "mine"
    write_image(source / "images" / "a.jpg")
    keypoints = [5, 6, 2, 20, 21, 2]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "x", "keypoints": ["left ear", "right ear"]}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "keypoints": keypoints},
            {"id": 2, "image_id": 1, "category_id": 1, "keypoints": [0] * 6},
        ],
    }
    (source / "annotations").mkdir()
    (source / "annotations" / "train.json").write_text(json.dumps(document))
    arguments = [f"--source={source}", f"--data_dir={tmp_path / 'data'}"]
    assert prepare_data.main(["--dataset=landmarks_coco", *arguments]) == 0
    out, error = capsys.readouterr()
    assert "flip pairs by the names of the points: left ear:right ear\n" in error
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "train.json annotations without key points, left out 1" in lines

    source = tmp_path / "300w" / "ibug"
    for name in ("a", "b", "c"):
        write_image(source / f"{name}.jpg")
    lines = [f"{x} {y}" for x, y in random_points(68, 0)]
    (source / "a.pts").write_text("\n".join(["{", *lines, "}"]))
    arguments = [f"--source={source.parent}", f"--data_dir={tmp_path / 'data'}"]
    assert prepare_data.main(["--dataset=w300", *arguments]) == 0
    assert "left out 2 images without .pts\n" in capsys.readouterr().err


def test_a_killed_preparation_does_not_look_complete(tmp_path):
    arguments = [
        "--dataset=shapes",
        f"--data_dir={tmp_path}",
        "--option=train=100000",
        "--option=image_size=32",
    ]
    script = Path(prepare_data.__file__)
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(script.parents[1])},
    )
    deadline = time.monotonic() + 60
    folder = tmp_path / "shapes"
    while not list(folder.glob(".*.unfinished/shapes/incomplete*/*train*")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(folder.glob(".*.unfinished"))
    assert find_prepared("shapes", tmp_path) is None
    registry.prepare("shapes", tmp_path, image_size=32, train=2, val=1)
    assert len(open_records("shapes", tmp_path, "train")) == 2
    assert [path.name for path in folder.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=nope"], "error: unknown data set 'nope'; known: ade20k, aflw, ca"),
        (["--dataset=camvid"], "error: camvid needs the folder of its files"),
        (
            ["--dataset=shapes", "--option=size=3"],
            "error: unknown --option 'size' (expected one of image_size",
        ),
        (["--dataset=shapes", "--option=train"], "error: --option train: expected KEY"),
        (
            ["--dataset=shapes", "--option=train=few"],
            "error: --option train='few': expected a value of type",
        ),
        (["--dataset=shapes", "--name=My Set"], "error: name 'My Set' must be lower"),
        (
            ["--dataset=shapes", "--name=camvid"],
            "error: name 'camvid' is the name of another",
        ),
    ],
)
def test_mistakes_are_one_line(arguments, message, tmp_path, capsys):
    assert prepare_data.main([f"--data_dir={tmp_path}", *arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message) and err.count("\n") == 1 and out == ""


def test_help_answers(capsys):
    with pytest.raises(SystemExit) as stopped:
        prepare_data.main(["--help"])
    out = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "label_map=\n" in out and "ignore_label=255\n" in out
    assert "image_size=96" in out and "ratios=0.8,0.2" in out


def test_options_are_read_by_their_type():
    kinds = registry.option_kinds("segmentation_folder")
    values = assignments.parse(
        ["label_values=1-3,7", "classes=sky, tall tree", "ratios=.5,.5", "seed=3"],
        "--option",
        kinds,
    )
    assert values == {
        "label_values": (1, 2, 3, 7),
        "classes": ("sky", "tall tree"),
        "ratios": (0.5, 0.5),
        "seed": 3,
    }
    with pytest.raises(ConfigError, match="label_values='a': expected a value of"):
        assignments.parse(["label_values=a"], "--option", kinds)


def test_every_data_set_can_be_asked_for_its_options():
    for name in sources.SOURCES:
        assert sources.source_class(name).Options() is not None


def test_the_tables_of_classes_are_those_of_the_data_sets(tmp_path):
    for name, table in CLASS_TABLES.items():
        cls = sources.source_class(name)
        info = cls(tmp_path, cls.Options()).info(name)
        assert dict(zip(info.class_names, info.palette, strict=True)) == table
