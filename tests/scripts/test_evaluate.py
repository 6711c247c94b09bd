"""`scripts/evaluate.py`: several splits, published predictions, curves."""

import csv
import importlib.util
import json
import shutil
import sys

import numpy as np
import pytest
import scipy.io

import hrnet_jax
from hrnet_jax.config import command_line
from hrnet_jax.data.records import open_records
from hrnet_jax.keypoints import ced
from hrnet_jax.keypoints.metrics import summarize
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.workdir.files import write_json
from tests import tiny, tiny_landmarks
from tests.coloured import colours


@pytest.fixture
def script(monkeypatch):
    """The script as a module, which leaves the log of this process alone."""
    path = tiny.ROOT / "scripts" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("evaluate_script", path)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(command_line, "show_log", lambda: None)
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    return module


@pytest.fixture
def run(script, monkeypatch, capsys):
    """Starts the script: arguments -> (exit code, standard output and error)."""

    def start(*arguments):
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
        code = 0
        try:
            script.main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return start


def table(text):
    """Rows of what was printed: name -> values."""
    rows = (line.split() for line in text.splitlines())
    return {name: [float(value) for value in values] for name, *values in rows}


def test_several_splits_are_columns_and_each_is_as_if_alone(run, tmp_path):
    workdir = tiny.finished_run()
    out = tmp_path / "metrics.json"
    code, text, _ = run(f"--workdir={workdir}", "--split=train,val", f"--out={out}")
    assert code == 0
    head, _, rest = text.partition("\n")
    assert head.split() == ["train", "val"]
    written = json.loads(out.read_text())
    assert list(written) == ["train", "val"]
    assert written["val"] == tiny.result(workdir)["metrics"]
    assert written["train"] == evaluate(tiny.config(), workdir, split="train")
    assert written["train"] != written["val"]
    for name, values in table(rest).items():
        expected = [written[split][name] for split in written]
        assert values == pytest.approx(expected, abs=5e-5)
    # Columns are right-aligned below their names.
    assert {len(line) for line in text.splitlines()} == {len(head)}


def test_one_split_prints_and_writes_as_without(run, tmp_path):
    workdir = tiny.finished_run()
    out = tmp_path / "metrics.json"
    _, expected, _ = run(f"--workdir={workdir}")
    code, text, _ = run(f"--workdir={workdir}", "--split=val", f"--out={out}")
    assert (code, text) == (0, expected)
    assert json.loads(out.read_text()) == tiny.result(workdir)["metrics"]


def test_a_split_that_is_not_there_is_found_before_the_others_are_read(
    run, script, monkeypatch
):
    from hrnet_jax.training import evaluation

    def never(*arguments, **kwargs):
        raise AssertionError("evaluated")

    monkeypatch.setattr(evaluation, "evaluator_over", never)
    code, text, error = run(f"--workdir={tiny.finished_run()}", "--split=val,dark")
    assert code == 2 and text == ""
    assert "has no split 'dark'; it has train (12), val (6)" in error


def test_a_split_without_labels_has_no_metrics(run, tmp_path):
    shutil.copytree(tiny.data_dir() / "shapes", tmp_path / "shapes")
    (path,) = tmp_path.rglob("metadata.json")
    facts = json.loads(path.read_text()) | {"unlabelled_splits": ["val"]}
    path.write_text(json.dumps(facts))
    data = f"--config.dataset.data_dir={tmp_path}"
    code, out, err = run(f"--workdir={tiny.finished_run()}", "--split=val", data)
    assert (code, out) == (2, "")
    assert err.strip().splitlines()[-1] == (
        "error: split 'val' of data set 'shapes' has no labels (they are not published): "
        "it has no metrics, and cannot be trained on; its images can be predicted. Splits "
        "with labels: train"
    )


def test_a_report_shows_the_worst_images(run, tmp_path):
    workdir, folder = tiny.finished_run(), tmp_path / "report"
    code, text, error = run(f"--workdir={workdir}", f"--report={folder}")
    assert code == 0 and f"report: {folder}\n" in error
    # A class of which the tiny split has none.
    assert "note: val: no pixel is labelled ring (IoU 0 counts in the mean;" in error
    # What is reported changes nothing of the metrics.
    assert table(text)["mean_iou"] == [
        pytest.approx(tiny.result(workdir)["metrics"]["mean_iou"], abs=5e-5)
    ]
    lines = (folder / "val" / "images.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    run_ = hrnet_jax.load_run(workdir)
    accuracies = {}
    for sample in open_records("shapes", tiny.data_dir(), "val"):
        valid = sample["label"] != 255
        right = run_.predict(sample["image"])["label"] == sample["label"]
        accuracies[str(sample["image_id"])] = right[valid].mean()
    assert {row["image"]: float(row["pixel_accuracy"]) for row in rows} == (
        pytest.approx(accuracies, abs=5e-5)
    )
    ious = [float(row["mean_iou"]) for row in rows]
    assert ious == sorted(ious) and len(set(ious)) > 1
    pictures = sorted(path.stem for path in (folder / "val" / "worst").iterdir())
    assert pictures == [
        f"{rank:02d}_{row['image'].replace('/', '_')}"
        for rank, row in enumerate(rows, 1)
    ]


@pytest.mark.parametrize("count", [0, 2])
def test_a_report_shows_as_many_of_the_worst_as_asked_for(count, run, tmp_path):
    arguments = f"--workdir={tiny.finished_run()}", f"--report={tmp_path}/report"
    code, _, error = run(*arguments, f"--worst={count}")
    assert code == 0, error
    rows = (tmp_path / "report" / "val" / "images.csv").read_text().splitlines()[1:]
    assert len(rows) == tiny.VAL_IMAGES
    pictures = (tmp_path / "report" / "val" / "worst").glob("*.png")
    assert sorted(path.stem for path in pictures) == [
        f"{rank:02d}_{row.split(',')[0].replace('/', '_')}"
        for rank, row in enumerate(rows[:count], 1)
    ]


def test_errors_of_faces_are_for_landmarks(run, tmp_path):
    workdir = tiny.finished_run()
    code, text, error = run(f"--workdir={workdir}", f"--ced={tmp_path}/ced.png")
    assert code == 2 and error.endswith(
        "error: --errors and --ced are for landmarks; this task has neither\n"
    )
    # Before the evaluation.
    assert text == ""


class FaceEvaluator:
    """What the script asks of an evaluator of faces."""

    default = "inter_ocular"

    def __init__(self, errors):
        self._errors = errors

    def compute(self):
        values = np.array([*self._errors.values()])
        return summarize({self.default: values}, self.default)

    def errors(self):
        return dict(self._errors)

    def remarks(self):
        return ["a remark"] if len(self._errors) == 1 else []


def test_faces_of_a_run_are_drawn_and_listed(run, monkeypatch, tmp_path):
    faces = {
        "common": {"a.jpg": 0.02, "b.jpg": 0.09, "c.jpg": 0.03},
        "challenge": {"d.jpg": 0.11},
    }
    asked = []

    def evaluators(config, workdir, step, splits, report, worst, detections):
        asked.append((workdir, step, splits))
        return {split: FaceEvaluator(faces[split]) for split in splits}

    monkeypatch.setattr("hrnet_jax.training.evaluate.evaluators_of_run", evaluators)
    curves = {}
    draw = ced.draw_ced

    def spy(values, out, **kwargs):
        curves.update(values)
        assert kwargs == {"normalizer": "inter_ocular"}
        return draw(values, out, **kwargs)

    monkeypatch.setattr(ced, "draw_ced", spy)
    # Nothing else is read of the run.
    workdir = tmp_path / "run"
    write_json(workdir / "config.json", tiny_landmarks.get_config().to_dict())
    code, text, error = run(
        f"--workdir={workdir}",
        "--step=latest",
        "--split=common,challenge",
        f"--errors={tmp_path}/errors.json",
        f"--ced={tmp_path}/ced.png",
    )
    assert (code, error) == (0, "note: challenge: a remark\n")
    assert asked == [(workdir, "latest", ["common", "challenge"])]
    rows = table(text.partition("\n")[2])
    assert rows["nme"] == rows["nme_percent/inter_ocular"] == [4.6667, 11.0]
    assert rows["failure_rate_percent/0.08"] == [33.3333, 100.0]
    written = json.loads((tmp_path / "errors.json").read_text())
    assert written == {"normalizer": "inter_ocular", "errors": faces}
    # A curve for each split.
    assert colours(tmp_path / "ced.png") == 2
    assert list(written["errors"]["common"]) == ["b.jpg", "c.jpg", "a.jpg"]
    assert {name: list(values) for name, values in curves.items()} == {
        name: list(values.values()) for name, values in faces.items()
    }


def test_prints_the_published_error_of_the_published_predictions(
    run, real_data, tmp_path
):
    folder = real_data / "samples" / "cofw68"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    code, text, error = run(
        f"--predictions={folder}/Results/CFSS_COFW68.txt",
        f"--truth={folder}/test_annotations",
        f"--ced={tmp_path}/ced.png",
    )
    assert (code, error) == (0, "")
    rows = table(text)
    assert rows["nme"] == rows["nme_percent/inter_ocular"] == [6.2831]
    assert rows["failure_rate_percent/0.10"] == [9.0730]
    assert colours(tmp_path / "ced.png") == 1


def write_faces(folder, count):
    """The layout of COFW68 with `count` faces; predictions hit exactly."""
    points = np.random.default_rng(0).uniform(0, 500, (count, 68, 2)).round(3)
    (folder / "truth").mkdir()
    lines = []
    for number, face in enumerate(points, 1):
        path = folder / "truth" / f"{number}_points.mat"
        scipy.io.savemat(path, {"Points": face, "Occ": np.zeros((1, 68))})
        rows = [" ".join(map(str, row)) for row in (*face.T, [0] * 68)]
        lines += [str(number), *rows]
    (folder / "method.txt").write_text("\n".join(lines))


def test_predictions_are_of_the_same_faces(run, tmp_path):
    write_faces(tmp_path, 3)
    arguments = f"--predictions={tmp_path}/method.txt", f"--truth={tmp_path}/truth"
    code, text, _ = run(*arguments)
    assert code == 0 and table(text)["nme"] == [0]
    assert table(text)["auc_percent/0.08"] == [100]
    (tmp_path / "truth" / "3_points.mat").unlink()
    code, text, error = run(*arguments)
    assert code == 2 and text == "" and error.startswith("error: ")
    assert "method.txt has 3 faces" in error and "truth 2; expected the same" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --workdir --predictions is required"),
        (["--workdir=a", "--predictions=b"], "not allowed with argument"),
        (["--predictions=b"], "--predictions needs --truth"),
        (["--workdir=a", "--truth=b"], "--truth goes with --predictions"),
        (["--predictions=a", "--truth=b", "--split=c"], "--split goes with --workdir"),
        (["--predictions=a", "--truth=b", "--step=1"], "--step goes with --workdir"),
        (
            ["--predictions=a", "--truth=b", "--detections=c"],
            "--detections goes with --workdir",
        ),
        (["--workdir=a", "--worst=3"], "--worst goes with --report"),
        (["--workdir=a", "--worst=-1"], "argument --worst: expected 0 or more, got -1"),
        (
            ["--predictions=a", "--truth=b", "--set=c=1"],
            "--config.KEY=VALUE goes with --workdir",
        ),
    ],
)
def test_sources_do_not_mix(arguments, message, run):
    code, text, error = run(*arguments)
    assert code == 2 and text == ""
    assert error.splitlines()[-1].startswith("evaluate.py: error: ")
    assert message in error


def test_a_metric_that_one_split_lacks_is_a_dash(script, capsys):
    script.print_metrics({"val": {"AP": 0.5}, "train": {"AP": 0.25, "APl": 1.0}})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["val", "train"],
        ["AP", "0.5000", "0.2500"],
        ["APl", "-", "1.0000"],
    ]
