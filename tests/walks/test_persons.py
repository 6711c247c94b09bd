"""A user with photographs of dogs and their joints, in the words of docs/pose.md."""

import json

import numpy as np
import pytest

from tests.test_experiments import DOG, blobs, make_own_joints, write
from tests.walks.desk import Desk

pytestmark = pytest.mark.slow

TABLE = {
    "prepare": (
        "pose.md",
        "python scripts/prepare_data.py --dataset=keypoints_coco --source=my_dogs",
    ),
    "train": (
        "pose.md",
        "python scripts/train.py --config=experiments/pose/own.py",
    ),
    "predict": ("pose.md", "python scripts/predict.py --workdir=runs/dogs"),
    "prepare figures": (
        "pose.md",
        "python scripts/prepare_data.py --dataset=figures --name=figures_coco",
    ),
    "train on figures": (
        "pose.md",
        "python scripts/train.py --config=experiments/pose/coco.py:debug",
    ),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("persons"), TABLE)
    rng = np.random.default_rng(0)
    make_own_joints(desk.folder / "my_dogs", rng)
    for name in ("a", "b"):
        write(desk.folder / f"park/{name}.jpg", blobs(rng, 64, 96, (0, 1))[0])
    return desk


def test_joints_of_dogs_are_learnt_and_drawn(desk):
    assert "my_dogs: 4 points, 1 flip pairs, persons 12" in desk.type("prepare").out
    assert desk.type("train").out.startswith("score ")
    printed = desk.type("predict")
    assert "2 images labelled, 2 persons" in printed.out
    desk.has("out/a_points.png", "out/b_points.png", "out/keypoints.json")
    summary = json.loads((desk.folder / "out/summary.json").read_text())
    (dog,) = summary["images"][0]["found"]
    assert [point["name"] for point in dog["points"]] == DOG


def test_generated_persons_train_in_their_debug_form(desk):
    desk.type("prepare figures", "--option train=8 --option val=4")
    assert "score " in desk.type("train on figures").out
