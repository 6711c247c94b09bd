"""Predicts for the frames of a video file or a camera.

The pictures go into a video file. There is no window to watch: this project's OpenCV
is the headless one, which runs on machines without a screen and has no `imshow`.
"""

import contextlib
import logging
import os
import pathlib
import threading
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from tqdm import tqdm

from hrnet_jax.config import ctrl_c
from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging.boxes import whole_image
from hrnet_jax.imaging.opencv import quiet
from hrnet_jax.inference.finder import check_takes_boxes, sources_of
from hrnet_jax.inference.folder import SUMMARY_FILE
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.inference.video_files import VideoFiles
from hrnet_jax.storage import paths, targets
from hrnet_jax.tasks.boxes import BoxFinder, finds_boxes, takes_boxes
from hrnet_jax.workdir.files import write_json

# For cameras and files that do not say how many frames they have in a second.
_USUAL_RATE = 25.0
_HIGHEST_RATE = 240.0


def check_request(
    source: str | os.PathLike | int,
    out: str | os.PathLike,
    *,
    max_frames: int | None = None,
) -> None:
    """Refuses what `predict_video` would, before the model is opened.

    Args:
        source: as for `predict_video`, as everything else; opened and closed again.
        out: as there.
        max_frames: as there.

    Raises:
        HRNetError: as `predict_video`; a `ConfigError` if nothing can be written to
            `out`.
    """
    targets.check_folder(out, what="a folder for the results")
    _check_positive(max_frames=max_frames)
    with _opened(source) as stream:
        if not isinstance(source, int) and not stream.grab():
            raise DataError(f"{_named(source)}: no frame can be read")


def predict_video(
    run: OpenedModel,
    source: str | os.PathLike | int,
    out: str | os.PathLike,
    *,
    find: BoxFinder | None = None,
    every: int = 5,
    max_frames: int | None = None,
    progress: bool = True,
) -> dict:
    """Predicts frame by frame, and writes a video and the points that were found.

    `<name>_predicted.mp4` has the picture of every frame (segmentation: the overlay)
    with the number of frames a second in its corner, at the rate of the source; of a
    camera, pictures are repeated or left out so that it plays as long as it took. Sound
    is left out. `<name>_predicted.jsonl` has a line for each frame, for tasks that find
    points: `{"frame": 0, "seconds": 0.0, "found": [{"box": [x1, y1, x2, y2], "points": [[x,
    y], ...], "scores": [...]}]}`, in pixels of the frame. Ctrl-C ends the loop after
    the current frame.

    Args:
        run: from `load_run` or `open_exported`.
        source: a video file, or the number of a camera (from 0).
        out: folder for the video, the points and `summary.json`.
        find: maps a frame uint8 [H, W, 3] RGB to boxes float32 [N, 4], for tasks
            that take boxes, such as `LoadedRun.finder` of a detector. By default
            landmark models look for faces and pose models into the whole frame.
        every: boxes are looked for in every so many frames and followed in between.
        max_frames: where to stop.
        progress: whether to show a progress bar.

    Returns:
        What `summary.json` holds.

    Raises:
        DataError: if the source does not open or has no frames, or the video cannot
            be written.
        ConfigError: if `every` or `max_frames` is below 1, or a model takes no boxes.
    """
    _check_positive(every=every, max_frames=max_frames)
    predict = _make_predict(run, find, every)
    with _opened(source) as stream, _stop_signal() as stopped:
        frames = _frames(stream, stopped, max_frames)
        total = _expected_frames(stream, max_frames)
        bar = tqdm(
            frames, desc="predict", unit="frame", total=total, disable=not progress
        )
        short, is_camera = _short(source), isinstance(source, int)
        with VideoFiles(out, short, _rate(stream), keeps_time=is_camera) as files:
            for image in bar:
                prediction = predict(image)
                files.add(prediction, run.task.draw_frame(image, prediction))
        interrupted = stopped()
    if not files.frames:
        raise DataError(f"{_named(source)}: no frame can be read")
    report = {**sources_of(run, find), "source": str(source), **files.summary()}
    report["interrupted"] = interrupted
    write_json(paths.as_path(out) / SUMMARY_FILE, report)
    return report


def _short(source: str | os.PathLike | int) -> str:
    """The beginning of the names of the files."""
    return f"camera{source}" if isinstance(source, int) else pathlib.Path(source).stem


def _check_positive(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")


def _make_predict(
    run: OpenedModel, find: BoxFinder | None, every: int
) -> Callable[[np.ndarray], dict]:
    """Prediction for the next frame.

    Raises:
        ConfigError: for a finder of a model that takes no boxes.
    """
    if find is not None:
        check_takes_boxes(run.task, run.about["model"])
    if not takes_boxes(run.task):
        return run.predict
    if find is None and finds_boxes(run.task):
        find = run.task.find_boxes_in_frame
    if find is None:
        return lambda image: run.predict(image, boxes=whole_image(image))
    follower = run.task.follow_boxes(find, every)

    def predict(image: np.ndarray) -> dict:
        prediction = run.predict(image, boxes=follower.boxes(image))
        follower.follow(prediction, image)
        return prediction

    return predict


@contextlib.contextmanager
def _opened(source: str | os.PathLike | int) -> Iterator[cv2.VideoCapture]:
    """A camera or a video file."""
    is_camera = isinstance(source, int)
    if not isinstance(source, int):
        path = pathlib.Path(source)
        if not path.is_file():
            raise DataError(
                f"{source}: no such file; expected a video file or the number of a "
                "camera"
            )
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise DataError(f"{source} is an image, expected a video file")
    with quiet():
        stream = cv2.VideoCapture(source if is_camera else str(source))
    try:
        if not stream.isOpened():
            why = (
                "does not open; is it connected, and free?"
                if is_camera
                else "cannot be read as a video"
            )
            raise DataError(f"{_named(source)} {why}")
        yield stream
    finally:
        stream.release()


def _named(source: str | os.PathLike | int) -> str:
    return f"camera {source}" if isinstance(source, int) else str(source)


def _frames(
    stream: cv2.VideoCapture, stopped: Callable[[], bool], max_frames: int | None
) -> Iterator[np.ndarray]:
    """Frames as uint8 RGB [H, W, 3]."""
    count = 0
    while count != max_frames and not stopped():
        read, frame = stream.read()
        if not read:
            _report_end(stream, count)
            return
        count += 1
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _report_end(stream: cv2.VideoCapture, count: int) -> None:
    """Says so where a file ends far from where its header says."""
    expected = _expected_frames(stream, None)
    if expected is not None and 0 < count < 0.9 * expected:
        logging.getLogger(__name__).warning(
            "the video ends after %d of %d frames; the file may be damaged",
            count,
            expected,
        )


def _expected_frames(stream: cv2.VideoCapture, max_frames: int | None) -> int | None:
    """How many frames will come, where that is known."""
    count = stream.get(cv2.CAP_PROP_FRAME_COUNT)
    if not 0 < count < np.iinfo(np.int32).max:
        return max_frames
    return int(count) if max_frames is None else min(int(count), max_frames)


def _rate(stream: cv2.VideoCapture) -> float:
    """Frames a second of the source."""
    rate = stream.get(cv2.CAP_PROP_FPS)
    return rate if 1 <= rate <= _HIGHEST_RATE else _USUAL_RATE


@contextlib.contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """Within this context the first Ctrl-C only asks to stop.

    Yields:
        Whether it was asked. A second Ctrl-C interrupts as usual.
    """
    asked = threading.Event()
    with ctrl_c.first_one_asks(asked.set):
        yield asked.is_set
