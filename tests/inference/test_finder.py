"""Boxes that a detector finds, for models that predict in boxes."""

import json
import pathlib
import types

import cv2
import numpy as np
import pytest

from hrnet_jax.conversion.saving import save_converted
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.inference.boxes import read_boxes
from hrnet_jax.inference.finder import ObjectFinder, check_detector
from hrnet_jax.inference.folder import find_images, predict_files
from hrnet_jax.inference.images import for_each
from hrnet_jax.inference.reducing import Reduced
from hrnet_jax.inference.video import predict_video
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model, get_spec
from hrnet_jax.tasks.spec import OutputNames
from tests import tiny, tiny_detection
from tests.inference import test_video as videos
from tests.inference.test_folder_boxes import FakeRun
from tests.scripts.test_predict import landmark_run

IMAGE = np.zeros((80, 100, 3), np.uint8)
NAMES = ("cat", "face")
# Class, score and box of what is found in every image.
FOUND = (
    ("face", 0.9, [10.5, 20.5, 60.5, 70.5]),
    ("cat", 0.8, [0, 0, 50, 60]),
    ("face", 0.6, [30, 30, 30, 60]),  # no size
    ("face", 0.5, [40.5, 10.5, 90.5, 60.5]),
    ("cat", 0.2, [5, 5, 20, 25]),
)


class Detector:
    """An opened model that finds the same in every image."""

    def __init__(self):
        self.about = {"model": "detection/fcos_w18", "step": 3}
        self.sizes = []
        self.task = types.SimpleNamespace(
            finds_objects=True, takes_boxes=False, object_names=NAMES, least_score=0.1
        )

    def predict(self, image, boxes=None):
        assert boxes is None
        self.sizes.append(image.shape[:2])
        names, scores, boxes = zip(*FOUND, strict=True)
        return {
            "boxes": np.array(boxes, np.float32),
            "scores": np.array(scores, np.float32),
            "classes": np.array([NAMES.index(name) for name in names], np.int32),
        }


FACE, CAT, OTHER = [10, 20, 60, 70], [-0.5, -0.5, 49.5, 59.5], [40, 10, 90, 60]


@pytest.mark.parametrize(
    ("classes", "score", "expected"),
    [
        ((), 0.5, [FACE, CAT]),
        (("face",), 0.5, [FACE]),
        ("face", 0.3, [FACE, OTHER]),
        (["face", "cat"], 0.7, [FACE, CAT]),
        ((), 0.95, []),
    ],
)
def test_boxes_of_chosen_objects_are_found(classes, score, expected):
    boxes = ObjectFinder(Detector(), classes, score)(IMAGE)
    # Pixels are counted from the edge of the image there, from their centres here.
    assert boxes.dtype == np.float32 and boxes.shape == (len(expected), 4)
    np.testing.assert_array_equal(boxes, np.reshape(expected, (-1, 4)))


@pytest.mark.parametrize(
    ("run", "classes", "score", "message"),
    [
        (
            Detector(),
            ("face", "dog"),
            0.5,
            "detector detection/fcos_w18 knows no class 'dog'; expected some of cat, f",
        ),
        (Detector(), (), 0.05, "the score of objects is 0.05; expected at least 0.1,"),
        (
            Detector(),
            (),
            1.0,
            "the score of objects is 1; expected at least 0.1, above",
        ),
        (
            FakeRun(),
            (),
            0.5,
            "landmarks/w18 finds no objects, so it is no detector; expected a detection",
        ),
    ],
)
def test_a_wrong_request_is_one_clear_error(run, classes, score, message):
    with pytest.raises(ConfigError) as caught:
        ObjectFinder(run, classes, score)
    assert message in str(caught.value)


def test_models_that_do_not_go_together_are_refused_by_name():
    check_detector("detection/fcos_w18", "landmarks/w18")
    check_detector(None, None)
    with pytest.raises(ConfigError, match="^pose/w32 finds no objects"):
        check_detector("pose/w32", None)
    with pytest.raises(
        ConfigError, match="given, but detection/fcos_w18 looks at whol"
    ):
        check_detector(None, "detection/fcos_w18")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), IMAGE)
    return find_images(folder)


def test_a_folder_is_looked_into_where_the_detector_says(images, tmp_path):
    run, find = FakeRun("pose/w32"), ObjectFinder(Detector(), "face")
    report = predict_files(run, images, tmp_path / "out", find=find, progress=False)
    assert [boxes.tolist() for boxes in run.boxes] == [[FACE]] * 2
    detector = {"model": "detection/fcos_w18", "step": 3}
    chosen = {"classes": ["face"], "score": 0.5}
    assert report["detector"] == {**detector, **chosen}


def test_faces_of_a_detector_are_looked_into_twice_as_well(images, tmp_path):
    run, find = FakeRun(), ObjectFinder(Detector(), "face")
    predict_files(run, images[:1], tmp_path / "out", find=find, progress=False)
    # Points are the corners, moved by two: what a tight box is made of.
    moved = [12.0, 20.0, 62.0, 70.0]
    assert [boxes.tolist() for boxes in run.boxes] == [[FACE], [moved]]


def test_boxes_are_given_or_found_for_a_model_that_takes_them(images, tmp_path):
    find, out = ObjectFinder(Detector()), tmp_path / "out"
    boxes = {"a": np.eye(4), "b": np.eye(4)}
    with pytest.raises(ConfigError, match="boxes are given or found; leave out boxes"):
        predict_files(FakeRun(), images, out, find=find, boxes=boxes, progress=False)
    run = FakeRun("segmentation/w18")
    with pytest.raises(ConfigError, match="a detector was given, but segmentation/w18"):
        predict_files(run, images, out, find=find, progress=False)
    with pytest.raises(ConfigError, match="a detector was given, but segmentation/w18"):
        predict_video(run, "gone.mp4", out, find=find, progress=False)
    assert not out.exists()


def test_every_image_of_several_is_looked_into():
    find = ObjectFinder(Detector(), "face")
    found = for_each([IMAGE, IMAGE], find, lambda image, boxes: boxes.tolist())
    assert found == [[FACE], [FACE]]
    assert for_each(IMAGE, find, lambda image, boxes: boxes.tolist()) == [FACE]


def test_the_scores_of_boxes_go_with_the_prediction(images, tmp_path):
    """So that the score of a person can tell how sure the detector was."""
    find = ObjectFinder(Detector(), "face", 0.3)
    found = for_each(IMAGE, find, lambda image, boxes: {"boxes": boxes})
    np.testing.assert_allclose(found["box_scores"], [0.9, 0.5])
    run, predictions = FakeRun("pose/w32"), []
    run.task.save = lambda *parts: predictions.append(parts[-1]) or {}
    predict_files(run, images[:1], tmp_path / "out", find=find, progress=False)
    # In two steps they are those of the file.
    boxes = read_boxes(summary(tmp_path), classes=["face"], score=0.3)
    predict_files(run, images[:1], tmp_path / "out", boxes=boxes, progress=False)
    for one in predictions:
        np.testing.assert_allclose(one["box_scores"], [0.9, 0.5])
    given = {"a": np.float32([FACE])}
    predict_files(run, images[:1], tmp_path / "out", boxes=given, progress=False)
    assert len(predictions) == 3 and "box_scores" not in predictions[-1]


def test_a_reduced_model_has_its_boxes_found_in_the_whole_image():
    detector, run = Detector(), FakeRun("pose/w32")
    run.info = None
    find = ObjectFinder(detector, "face")
    found = Reduced(run, 50).predict(IMAGE, find)
    assert detector.sizes == [(80, 100)]
    np.testing.assert_allclose(run.boxes[0], [[4.75, 9.75, 29.75, 34.75]])
    np.testing.assert_allclose(found["boxes"], [FACE], atol=1e-5)


def summary(folder, **changes):
    """The file that predicting with the detector leaves."""
    rows = [{"name": name, "score": score, "box": box} for name, score, box in FOUND]
    images = [{"image": "a.png", "found": rows}, {"image": "b.png", "found": []}]
    content = {"model": "detection/fcos_w18", "classes": NAMES, "images": images}
    path = folder / "summary.json"
    path.write_text(json.dumps(content | changes))
    return path


@pytest.mark.parametrize(
    ("classes", "score"), [((), None), (("face",), 0.3), (("cat",), 0.1)]
)
def test_a_summary_of_a_detector_has_the_boxes_that_it_finds(classes, score, tmp_path):
    boxes = read_boxes(summary(tmp_path), classes=classes, score=score)
    find = ObjectFinder(Detector(), classes, 0.5 if score is None else score)
    np.testing.assert_array_equal(boxes["a.png"], find(IMAGE))
    assert boxes["b.png"].shape == (0, 4)


def test_what_cannot_be_chosen_from_a_file_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"of .*summary.json knows no class 'dog'; ex"
    ):
        read_boxes(summary(tmp_path), classes=["dog"])
    with pytest.raises(
        ConfigError, match="the score of objects is 2; expected at leas"
    ):
        read_boxes(summary(tmp_path), score=2)
    rows = [{"name": "cat", "box": FACE}]
    wrong = summary(tmp_path, images=[{"image": "a.png", "found": rows}])
    with pytest.raises(
        DataError, match=r"entry 0 \(a.png\), object 0: .*, expected na"
    ):
        read_boxes(wrong)
    wrong = summary(tmp_path, images=[{"image": "a.png", "labels": []}])
    with pytest.raises(DataError, match="entry 0: no objects of an image, expected"):
        read_boxes(wrong)
    table = tmp_path / "boxes.csv"
    table.write_text("image,x1,y1,x2,y2\na.png,1,2,30,40\n")
    with pytest.raises(
        DataError, match="boxes.csv: its boxes have no classes and scor"
    ):
        read_boxes(table, classes=["face"])


def detection_run(workdir):
    """A work directory with untrained weights for objects of three classes."""
    config = tiny_detection.get_config("faster_rcnn")
    options = {"norm": "batch", **config.model.options}
    model = create_model(config.model.name, num_classes=3, **options)
    names = OutputNames(("disc", "cat", "face"))
    info = get_spec("detection").info_of_outputs("objects", names)
    save_converted(workdir, config, initial_variables(model), info)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Work directories of a detector and of a landmark model, both tiny."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        detection_run(folder / "detector")
        landmark_run(folder / "faces")
        yield folder


@pytest.mark.slow
def test_a_detector_feeds_landmarks(runs, images, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    for path in images:
        cv2.imwrite(str(path), noise)
    find = load_run(runs / "detector").finder(("disc", "face"), 0.0)
    run = load_run(runs / "faces")
    found = run.predict(images, boxes=find)
    counts = [len(one["points"]) for one in found]
    assert counts[0] > 0 and found[0]["points"].shape == (counts[0], 68, 2)
    command = ["predict", f"--workdir={runs}/faces", f"--images={images[0].parent}"]
    chosen = ["--detector_classes=disc,face", "--detector_score=0"]
    objects = tmp_path / "objects"
    ways = {
        "alone": [*command, f"--detector={runs}/detector", *chosen],
        "in two": [*command, f"--boxes={objects}/summary.json", *chosen],
        "unknown": [*command, f"--detector={runs}/detector", "--detector_classes=dog"],
    }
    first = ["predict", f"--workdir={runs}/detector", command[2], f"--out={objects}"]
    commands = {"objects": first}
    commands |= {name: [*way, f"--out={tmp_path}/{name}"] for name, way in ways.items()}
    outcomes = tiny.run_scripts(commands, tmp_path, "tests.tiny")
    for name in ("alone", "in two"):
        code, out, err = outcomes[name]
        assert code == 0, err
        assert f"2 images labelled, {sum(counts)} faces, see " in out
        report = json.loads((tmp_path / name / "summary.json").read_text())
        boxes = [row["box"] for row in report["images"][0]["found"]]
        assert len(boxes) == counts[0]
        if name == "in two":
            np.testing.assert_allclose(boxes, found[0]["boxes"], atol=0.011)
    code, _, err = outcomes["unknown"]
    assert code == 2 and "knows no class 'dog'; expected some of " in err


@pytest.mark.slow
def test_a_detector_feeds_a_video(runs, tmp_path):
    clip = videos.write_clip(tmp_path)
    find = load_run(runs / "detector").finder(score=0.0)
    run = load_run(runs / "faces")
    report = predict_video(
        run, clip, tmp_path / "out", find=find, max_frames=4, progress=False
    )
    rows = pathlib.Path(tmp_path / "out" / report["points"]).read_text().splitlines()
    assert len(rows) == 4 and json.loads(rows[0])["found"]
    assert report["detector"]["score"] == 0.0
