"""A user with photographs of objects, in the words of docs/detection.md."""

import json

import numpy as np
import pytest

import hrnet_jax
from tests.test_experiments import blobs, make_own_objects, write
from tests.walks.desk import Desk

pytestmark = pytest.mark.slow

TABLE = {
    "prepare shapes": (
        "detection.md",
        "python scripts/prepare_data.py --dataset=shapes_objects",
    ),
    "train on shapes": (
        "detection.md",
        "python scripts/train.py --config=experiments/detection/shapes.py",
    ),
    "prepare": (
        "detection.md",
        "python scripts/prepare_data.py --dataset=detection_coco --source=my_pets",
    ),
    "train": (
        "detection.md",
        "python scripts/train.py --config=experiments/detection/own.py",
    ),
    "mistakes": ("detection.md", "python scripts/evaluate.py --workdir=runs/pets"),
    "predict": ("detection.md", "python scripts/predict.py --workdir=runs/pets"),
    "stablehlo": (
        "detection.md",
        "python scripts/export.py --workdir=runs/pets --out=pets.stablehlo",
    ),
    "onnx": (
        "detection.md",
        "python scripts/export.py --workdir=runs/pets --out=pets.onnx",
    ),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("objects"), TABLE)
    rng = np.random.default_rng(0)
    make_own_objects(desk.folder / "my_pets", rng)
    for name in ("a", "b"):
        write(desk.folder / f"garden/{name}.jpg", blobs(rng, 64, 96, (0, 1))[0])
    return desk


@pytest.fixture(scope="module")
def trained(desk):
    assert "my_pets: boxes and masks of 2 classes" in desk.type("prepare").out
    command = desk.command("train").replace("--config.model.init_from=WEIGHTS ", "")
    printed = desk.finish(desk.shell(f"{command} --config.model.norm=batch"))
    assert printed.out.startswith("AP ")
    return desk


def test_pets_are_found_and_drawn(trained):
    trained.type("mistakes")
    names = "classes.csv", "images.csv", "coco_bbox.json", "worst/*.png"
    trained.has(*(f"pets_report/val/{name}" for name in names))
    printed = trained.type("predict")
    assert "2 images labelled, " in printed.out
    summary = json.loads((trained.folder / "out/summary.json").read_text())
    assert [entry["name"] for entry in summary["images"]] == ["a", "b"]
    assert all("found" in entry for entry in summary["images"])
    trained.has("out/a_objects.png", "out/b_objects.png")


@pytest.mark.parametrize("suffix", ["stablehlo", "onnx"])
def test_pets_are_found_by_a_file(suffix, trained):
    command = trained.command(suffix)
    config = json.loads((trained.folder / "runs/pets/config.json").read_text())
    canvas = sorted(config["dataset"]["augmentation"]["test_scale"])
    size = "x".join(str(-(-side // 32) * 32) for side in canvas)
    command = command.replace("--size=800x1344", f"--size={size} --tolerance=1e-3")
    assert "largest error" in trained.finish(trained.shell(command)).out
    model = hrnet_jax.open_exported(trained.folder / f"pets.{suffix}")
    found = model.predict(trained.folder / "garden/a.jpg")
    assert {"boxes", "scores", "classes"} <= found.keys()


def test_generated_shapes_train_in_their_debug_form(desk):
    desk.type("prepare shapes", "--option train=8 --option val=4")
    assert "mask_AP " in desk.type("train on shapes").out
