"""Frames in, a video and points out; Ctrl-C; sources that are none."""

import itertools
import json
import logging
import signal
import time
import types

import cv2
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.inference import video_files
from hrnet_jax.inference.video import predict_video
from hrnet_jax.inference.video_files import VideoFiles
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import get_spec
from hrnet_jax.segmentation.drawing import overlay
from tests import tiny

HEIGHT, WIDTH, RATE, FRAMES = 48, 64, 20.0, 12
SIDE = 16


def frame(index):
    """A red square that moves by two pixels a frame, RGB."""
    image = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
    left = 6 + 2 * index
    image[14 : 14 + SIDE, left : left + SIDE] = (230, 30, 30)
    return image


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


def write_clip(folder):
    """A video of the moving square."""
    path = folder / "clip.mp4"
    codec = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), codec, RATE, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for index in range(FRAMES):
        writer.write(frame(index)[..., ::-1])
    writer.release()
    return path


class FakeRun:
    """Points are the corners of the red square, in whatever box."""

    def __init__(self, model="landmarks/w18"):
        self.about = {"model": model, "step": 7}
        info = DatasetInfo("some", 0, (), (), tight_boxes=True)
        self.task = get_spec(model).task_class(None, info)
        self.task.draw = self.draw
        self.boxes = []

    def draw(self, image, prediction, target=None):
        picture = image.copy()
        picture[:, :, 1] = 200
        return picture

    def predict(self, image, boxes=None):
        self.boxes.append(boxes)
        y, x = np.nonzero(image[..., 0] > 127)
        points = np.array([[x.min(), y.min()], [x.max(), y.max()]], np.float32)
        count = 0 if boxes is None else len(boxes)
        return {
            "points": np.repeat(points[None], count, 0),
            "scores": np.full((count, 2), 0.5, np.float32),
            "boxes": boxes,
        }


class Finder:
    """Finds the red square, and notes the frames that it was asked about."""

    def __init__(self):
        self.lefts = []

    def __call__(self, image):
        _, x = np.nonzero(image[..., 0] > 127)
        self.lefts.append(int(x.min()))
        box = [x.min() - 1, 13, x.max() + 1, 13 + SIDE + 2]
        return np.array([box], np.float32)


def frames_of(path):
    stream = cv2.VideoCapture(str(path))
    assert stream.isOpened()
    pictures = []
    while True:
        read, picture = stream.read()
        if not read:
            break
        pictures.append(picture[..., ::-1])
    rate = stream.get(cv2.CAP_PROP_FPS)
    stream.release()
    return pictures, rate


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_writes_a_picture_and_the_points_of_every_frame(clip, tmp_path):
    finder, run = Finder(), FakeRun()
    report = predict_video(run, clip, tmp_path / "out", find=finder, progress=False)
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == report
    assert report["model"] == "landmarks/w18" and report["source"] == str(clip)
    assert (report["width"], report["height"]) == (WIDTH, HEIGHT)
    assert (report["frames"], report["rate"]) == (FRAMES, RATE)
    assert report["predicted_per_second"] > 0 and report["interrupted"] is False
    pictures, rate = frames_of(tmp_path / "out" / report["video"])
    assert len(pictures) == FRAMES and rate == RATE
    # What `draw` did, below the rate in the corner.
    assert all(abs(picture[-8:, :, 1] - 200.0).mean() < 10 for picture in pictures)
    rows = lines_of(tmp_path / "out" / report["points"])
    assert [row["frame"] for row in rows] == list(range(FRAMES))
    assert [row["seconds"] for row in rows] == [
        round(index / RATE, 3) for index in range(FRAMES)
    ]
    for index, row in enumerate(rows):
        (face,) = row["found"]
        left = 6 + 2 * index
        expected = [[left, 14], [left + SIDE - 1, 14 + SIDE - 1]]
        np.testing.assert_allclose(face["points"], expected, atol=1)
        assert face["scores"] == [0.5, 0.5]
        assert face["box"] == pytest.approx(run.boxes[index][0], abs=0.005)


def test_frames_come_in_rgb_order(clip, tmp_path):
    seen = []
    run = FakeRun()
    run.task.draw = lambda image, prediction: seen.append(image) or image
    predict_video(run, clip, tmp_path, find=Finder(), max_frames=1, progress=False)
    assert abs(seen[0].astype(float) - frame(0)).mean() < 6
    pictures, _ = frames_of(tmp_path / "clip_predicted.mp4")
    assert abs(pictures[0].astype(float) - frame(0)).mean() < 8


def test_faces_are_looked_for_now_and_then_and_followed_between(clip, tmp_path):
    finder, run = Finder(), FakeRun()
    predict_video(run, clip, tmp_path, find=finder, every=5, progress=False)
    np.testing.assert_allclose(finder.lefts, [6, 16, 26], atol=1)
    for index in range(1, FRAMES):
        # The square as it was in the frame before.
        left = 6 + 2 * (index - 1)
        expected = [left, 14, left + SIDE - 1, 14 + SIDE - 1]
        np.testing.assert_allclose(run.boxes[index], [expected], atol=1)


def test_stops_after_as_many_frames_as_asked_for(clip, tmp_path):
    report = predict_video(
        FakeRun(), clip, tmp_path, find=Finder(), max_frames=3, progress=False
    )
    assert report["frames"] == 3
    assert len(frames_of(tmp_path / report["video"])[0]) == 3


def test_a_video_without_faces_has_empty_lines(clip, tmp_path):
    # The detector itself: there is no face.
    report = predict_video(FakeRun(), clip, tmp_path, max_frames=6, progress=False)
    rows = lines_of(tmp_path / report["points"])
    assert [row["found"] for row in rows] == [[]] * 6


def test_pose_models_take_the_whole_frame(clip, tmp_path):
    run = FakeRun("pose/w32")
    predict_video(run, clip, tmp_path, max_frames=2, progress=False)
    expected = [[-0.5, -0.5, WIDTH - 0.5, HEIGHT - 0.5]]
    assert [boxes.tolist() for boxes in run.boxes] == [expected, expected]


def test_the_source_is_not_written_over(clip, tmp_path):
    copy = tmp_path / "clip.mp4"
    copy.write_bytes(clip.read_bytes())
    predict_video(FakeRun(), copy, tmp_path, find=Finder(), progress=False)
    assert copy.read_bytes() == clip.read_bytes()


def test_a_segmentation_model_shows_its_overlay(clip, tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    run = load_run(tiny.finished_run())
    report = predict_video(run, clip, tmp_path, max_frames=2, progress=False)
    assert report["points"] is None and not list(tmp_path.glob("*.jsonl"))
    pictures, _ = frames_of(tmp_path / report["video"])
    assert len(pictures) == 2 and pictures[0].shape == (HEIGHT, WIDTH, 3)
    image = frames_of(clip)[0][0]
    expected = overlay(image, run.predict(image)["label"], run.info.palette)
    assert abs(pictures[0].astype(float) - expected).mean() < 8
    assert abs(expected.astype(float) - image).mean() > 12


def interrupting(run, at, times):
    """Presses Ctrl-C while a frame is predicted."""
    predict, count = run.predict, itertools.count()

    def interrupted(image, boxes=None):
        if next(count) == at:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return predict(image, boxes)

    run.predict = interrupted
    return run


def test_ctrl_c_ends_after_the_frame_at_hand(clip, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    run = interrupting(FakeRun(), at=2, times=1)
    report = predict_video(run, clip, tmp_path, find=Finder(), progress=False)
    assert report["interrupted"] is True and report["frames"] == 3
    assert len(frames_of(tmp_path / report["video"])[0]) == 3
    assert len(lines_of(tmp_path / report["points"])) == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_at_once_and_leaves_whole_files(clip, tmp_path):
    run = interrupting(FakeRun(), at=2, times=2)
    with pytest.raises(KeyboardInterrupt):
        predict_video(run, clip, tmp_path, find=Finder(), progress=False)
    assert len(frames_of(tmp_path / "clip_predicted.mp4")[0]) == 2
    assert len(lines_of(tmp_path / "clip_predicted.jsonl")) == 2


def make_source(kind, folder):
    path = folder / "some.mp4"
    if kind == "text":
        path.write_text("no video" * 100)
    elif kind == "image":
        path = folder / "some.png"
        cv2.imwrite(str(path), frame(0))
    elif kind == "camera":
        path = 97
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "some.mp4: no such file; expected a video file or the number of a"),
        ("text", "some.mp4 cannot be read as a video"),
        ("image", "some.png is an image, expected a video file"),
        ("camera", "camera 97 does not open; is it connected, and free?"),
    ],
)
def test_a_source_that_is_none_is_one_clear_error(kind, message, tmp_path, capfd):
    source = make_source(kind, tmp_path)
    with pytest.raises(DataError) as caught:
        predict_video(FakeRun(), source, tmp_path / "out", progress=False)
    assert message in str(caught.value)
    # OpenCV would add lines of its own. (FFmpeg's: see the test of the script; it is
    # told once in a process, and here a video was written before.)
    assert "WARN" not in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["every", "max_frames"])
def test_counts_begin_at_one(name, clip, tmp_path):
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        predict_video(FakeRun(), clip, tmp_path, **{name: 0})


def test_a_folder_that_takes_no_video_is_named(clip, tmp_path):
    (tmp_path / "clip_predicted.mp4").mkdir()
    with pytest.raises(DataError, match="clip_predicted.mp4: no video of 64x48 pixels"):
        predict_video(FakeRun(), clip, tmp_path, progress=False)


def test_a_file_that_ends_early_is_reported(tmp_path, caplog):
    path = tmp_path / "cut.avi"
    codec = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), codec, RATE, (WIDTH, HEIGHT))
    for index in range(FRAMES):
        writer.write(frame(index)[..., ::-1])
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with caplog.at_level(logging.WARNING):
        report = predict_video(FakeRun(), path, tmp_path, find=Finder(), progress=False)
    assert 0 < report["frames"] < FRAMES
    assert f"the video ends after {report['frames']} of" in caplog.text


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows what it is set to."""
    now = types.SimpleNamespace(time=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.time)
    assert video_files.time is time
    return now


def black(height=HEIGHT, width=WIDTH):
    return np.zeros((height, width, 3), np.uint8)


def test_the_rate_is_that_of_the_last_frames(clock, tmp_path):
    with VideoFiles(tmp_path, "some", RATE) as files:
        for passed in (0.0, 0.5, 0.25, 0.25):
            clock.time += passed
            files.add({}, black())
    assert files.summary()["predicted_per_second"] == 3.0
    pictures, _ = frames_of(tmp_path / "some_predicted.mp4")
    # The first frame has none before it; then the corner is written on.
    assert pictures[0].max() < 30
    for picture in pictures[1:]:
        assert picture[:20].max() > 150 and picture[24:].max() < 30


def test_a_video_of_a_camera_plays_as_long_as_it_took(clock, tmp_path):
    prediction = {"points": [], "scores": [], "boxes": []}
    with VideoFiles(tmp_path, "camera0", 10.0, keeps_time=True) as files:
        for passed in (0.0, 0.1, 0.4, 0.02, 0.08):
            clock.time += passed
            files.add(prediction, black())
    # Frames at 0, 0.1, 0.5, 0.52 and 0.6 s: the last picture is the seventh.
    assert len(frames_of(tmp_path / "camera0_predicted.mp4")[0]) == 7
    rows = lines_of(tmp_path / "camera0_predicted.jsonl")
    assert [row["seconds"] for row in rows] == [0.0, 0.1, 0.5, 0.52, 0.6]


def test_pictures_of_other_sizes_fit_into_the_video(tmp_path):
    with VideoFiles(tmp_path, "some", RATE) as files:
        for shape in ((48, 64), (40, 90), (60, 30)):
            files.add({}, black(*shape))
    assert [
        picture.shape for picture in frames_of(tmp_path / "some_predicted.mp4")[0]
    ] == [(48, 64, 3)] * 3
