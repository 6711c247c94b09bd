"""A user with photographs and masks of her own, and one with points in a table.

In the words of README, docs/training.md, docs/data.md and docs/landmarks.md.
"""

import json
import signal

import numpy as np
import pytest

from hrnet_jax.training.reporting import read_metrics
from tests import tiny
from tests.test_experiments import blobs, make_folder, make_landmarks_csv, write
from tests.walks import pages
from tests.walks.desk import Desk

pytestmark = pytest.mark.slow

TABLE = {
    "prepare": ("data.md", "python scripts/prepare_data.py --dataset=segmentation_f"),
    "look": ("data.md", "python scripts/dataset_report.py --name=my_set"),
    "look at points": ("data.md", "python scripts/dataset_report.py --name=my_hands"),
    "curves": ("training.md", "python scripts/plot.py --workdir runs/mine runs/again"),
    "metrics": ("training.md", "python scripts/plot.py --workdir runs/mine --metric"),
    "names": ("training.md", "python scripts/plot.py --workdir runs/mine --list"),
    "report": ("report.md", "python scripts/report.py runs/mine --out"),
    "report of two": ("report.md", "python scripts/report.py runs/mine runs/again"),
    "recorded": ("report.md", "python scripts/report.py runs/mine --no_evaluation"),
    "print": (
        "README.md",
        "python scripts/train.py --config=EXPERIMENT --print_config",
    ),
    "train": (
        "training.md",
        (
            "python scripts/train.py --config=experiments/segmentation/folder.py "
            "--config.dataset.name=my_set --workdir=runs/mine"
        ),
    ),
    "resume": ("training.md", "python scripts/train.py --workdir=runs/mine"),
    "evaluate": ("README.md", "python scripts/evaluate.py --workdir=RUN --step=best"),
    "mistakes": ("README.md", "python scripts/evaluate.py --workdir=RUN --report"),
    "scales": ("results.md", "python scripts/evaluate.py --workdir=RUN --config.eval"),
    "predict": ("README.md", "python scripts/predict.py --workdir=RUN"),
    "export": ("README.md", "python scripts/export.py --workdir=RUN"),
    "exported": ("export.md", "python scripts/predict.py --workdir=w48.onnx"),
    "weights": ("README.md", "python scripts/convert.py RUN mine.pth"),
    "repeat": ("configuration.md", "python scripts/train.py --config=runs/mine/config"),
    "shapes": ("scaling.md", "python scripts/prepare_data.py --dataset=shapes"),
    "long": (
        "training.md",
        "python scripts/train.py --config=experiments/quickstart.py",
    ),
    "extend": ("training.md", "python scripts/train.py --workdir=runs/long --extend"),
    "prepare points": (
        "landmarks.md",
        "python scripts/prepare_data.py --dataset=landm",
    ),
    "train on points": (
        "landmarks.md",
        "python scripts/train.py --config=experiments/",
    ),
    "wrong points": ("landmarks.md", "python scripts/evaluate.py --workdir=runs/faces"),
    "predict points": (
        "landmarks.md",
        "python scripts/predict.py --workdir=runs/faces",
    ),
    "prepare coco": (
        "data.md",
        "python scripts/prepare_data.py --dataset=landmarks_coco",
    ),
    "prepare faces": ("data.md", "python scripts/prepare_data.py --dataset=faces"),
    "option": ("configuration.md", "python scripts/prepare_data.py --dataset=shapes"),
}

STEPS = 24


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("own"), TABLE)
    rng = np.random.default_rng(0)
    make_folder(desk.folder / "my_images", rng)
    make_landmarks_csv(desk.folder / "my_faces", rng)
    image, _ = blobs(rng, 64, 96, (0, 1))
    for name in ("street.jpg", "party.jpg"):
        write(desk.folder / name, image)
    (desk.folder / "faces.csv").write_text("image,x1,y1,x2,y2\nparty.jpg,20,8,70,58\n")
    return desk


@pytest.fixture(scope="module")
def prepared(desk):
    printed = desk.type("prepare")
    assert "my_set: 3 classes" in printed.out
    assert "dataset.name=my_set dataset.data_dir=data" in printed.out
    return desk


@pytest.fixture(scope="module")
def trained(prepared):
    """Begun, stopped by Ctrl-C, resumed to its end."""
    process = prepared.start("train", f"--config.num_steps={STEPS}")
    stopped = prepared.interrupt(process, rf"step 2/{STEPS} loss", signal.SIGINT, 75)
    assert "run the same command again" in stopped.err.splitlines()[-1]
    assert not (prepared.folder / "runs/mine/result.json").exists()
    resumed = prepared.type("resume")
    assert "resuming from step " in resumed.err and f"of {STEPS}" in resumed.err
    assert resumed.out.startswith("mean_iou ")
    return prepared


def test_her_data_are_shown_before_training(prepared):
    printed = prepared.type("look")
    assert "ground" in printed.out and "written to report" in printed.out
    names = "classes.png", "sizes.png", "contact_sheet_train.png", "report.json"
    prepared.has(*(f"report/{name}" for name in names))


def test_a_set_of_another_name_is_found_in_the_message(prepared):
    command = prepared.command("train").replace("--config.dataset.name=my_set ", "")
    printed = prepared.finish(prepared.shell(command), 2)
    assert "or name one of these, as in dataset.name=" in printed.err


def test_keys_are_printed_with_their_meaning(desk):
    printed = desk.type("print")
    assert "schedule.learning_rate" in printed.out and printed.err == ""


def test_a_work_directory_has_the_files_of_the_table(trained):
    names = pages.files_in_table("training.md", "file of a work directory")
    of_wandb = {"wandb.json", "wandb/"}
    assert len(names) > 7 and of_wandb < {*names}
    trained.has(
        *(f"runs/mine/{name}".replace("<step>", "*") for name in {*names} - of_wandb)
    )
    steps = [
        line["step"]
        for line in read_metrics(trained.folder / "runs/mine")
        if "train/loss" in line
    ]
    assert steps == [*range(1, STEPS + 1)]


def test_evaluations_agree_with_the_run(trained):
    result = tiny.result(trained.folder / "runs/mine")
    scores = [
        trained.type(name).out.splitlines()[0].split()
        for name in ("evaluate", "scales")
    ]
    assert scores[0] == ["mean_iou", f"{result['mean_iou']:.4f}"]
    # Enlarged and mirrored images are other images.
    assert scores[1][0] == "mean_iou" and scores[1] != scores[0]


def test_the_mistakes_are_in_the_files_of_the_table(trained):
    assert "report: mistakes" in trained.type("mistakes").err
    names = pages.files_in_table("training.md", "file")
    assert {"confusion.png", "faces.csv"} < {*names}
    of_faces = {"faces.csv", "points.csv", "ced.csv", "ced.png"}
    trained.has(*(f"mistakes/val/{name}" for name in {*names} - of_faces))


def test_a_photograph_is_labelled_by_the_run_and_by_its_file(trained):
    assert "1 image labelled, see out/summary.json" in trained.type("predict").out
    trained.has("out/street_label.png", "out/street_overlay.png", "out/summary.json")
    # A network that has seen two dozen batches rounds more than a trained one.
    assert "largest error" in trained.type("export", "--tolerance=1e-3").out
    trained.has("w48.onnx", "w48.onnx.json")
    labels = (trained.folder / "out/street_label.png").read_bytes()
    trained.type("exported")
    assert (trained.folder / "out/street_label.png").read_bytes() == labels


def test_weights_are_written_for_pytorch(trained):
    assert "tensors written to mine.pth" in trained.type("weights").out
    trained.has("mine.pth")


def test_a_run_is_repeated_with_changes(trained):
    trained.type("repeat", "--config.num_steps=2")
    config = json.loads((trained.folder / "runs/again/config.json").read_text())
    assert (config["seed"], config["dataset"]["name"]) == (1, "my_set")
    for name in ("curves", "metrics"):
        trained.type(name)
    trained.has("both.png", "mine.svg")
    for name in ("report", "report of two", "recorded"):
        assert trained.type(name).out.strip().endswith(".html")
    trained.has("mine.html", "both.html", "report.html")
    assert {"train/loss", "eval/mean_iou"} <= {*trained.type("names").out.split()}


def test_a_run_goes_on_past_its_end(desk):
    desk.type("shapes")
    desk.type("long")
    assert "resuming from step 4 of 6" in desk.type("extend").err
    assert tiny.result(desk.folder / "runs/long")["step"] in (4, 6)


def test_own_points_from_the_table_to_predictions(desk):
    assert "my_faces: 3 points, 1 flip pairs" in desk.type("prepare points").out
    assert desk.type("train on points").out.startswith("nme ")
    assert "report: wrong_faces" in desk.type("wrong points").err
    desk.has(
        *(f"wrong_faces/val/{name}" for name in ("faces.csv", "ced.png", "worst/*"))
    )
    assert "1 image labelled, 1 face, see" in desk.type("predict points").out
    (entry,) = json.loads((desk.folder / "out/summary.json").read_text())["images"]
    names = [point["name"] for point in entry["found"][0]["points"]]
    assert names == ["left_eye", "right_eye", "nose"]


def make_coco(folder):
    """Two hands in each of two images, in the files that the page names."""
    category = {"id": 7, "name": "hand", "keypoints": ["left_tip", "right_tip"]}
    for split in ("train", "val"):
        images, annotations = [], []
        for number in range(2):
            pixels, _ = blobs(np.random.default_rng(number), 70, 90, (0, 1))
            write(folder / f"{split}2017/{number}.jpg", pixels)
            images.append({"id": number, "file_name": f"{number}.jpg"})
            for hand in range(2):
                x = 10 + 30 * hand
                annotations.append(
                    {
                        "id": 2 * number + hand,
                        "image_id": number,
                        "category_id": 7,
                        "bbox": [x, 10, 30, 40],
                        "keypoints": [x + 5, 20, 2, x + 20, 30, 1],
                    }
                )
        path = folder / f"annotations/person_keypoints_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            json.dumps(
                {"images": images, "annotations": annotations, "categories": [category]}
            )
        )


def test_other_sets_of_the_pages_are_prepared(desk):
    make_coco(desk.folder / "my_hands")
    assert "my_hands: 2 points" in desk.type("prepare coco").out
    assert "written to report" in desk.type("look at points").out
    desk.has("report/points.png")
    few = "--option train=4 --option val=2"
    assert "faces_98: 98 points" in desk.type("prepare faces", few).out
    assert "64x64" in desk.type("option", few, "--name=shapes_64").out
