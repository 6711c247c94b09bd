"""The files that a video's predictions go into."""

import collections
import contextlib
import json
import os
import pathlib
import time
from typing import Self, TextIO

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pictures import font
from hrnet_jax.storage import paths
from hrnet_jax.whole_files import put_in_place, unfinished_folder

# Part of every build of OpenCV with FFmpeg, and played everywhere.
_CODEC = "mp4v"
# Frames that the rate shown is taken over.
_RATE_FRAMES = 20
# Height of the text that shows it, in pixels; more in large pictures.
_TEXT_SIZE = 12


class VideoFiles:
    """Writes `<name>_predicted.mp4` and, where there are points, a `.jsonl` beside it.

    To be used as a context; the files are there once it is left, however that is.

    Args:
        folder: where they go.
        name: of the source.
        rate: frames a second of the source.
        keeps_time: whether the source continues while a frame is processed, as cameras
            do. Pictures are then repeated or left out, so that the video plays as
            long as it took.

    Attributes:
        frames: how many were added.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        name: str,
        rate: float,
        *,
        keeps_time: bool = False,
    ):
        # Another name than the source's, which may be in the same folder.
        self._path = paths.as_path(folder) / f"{name}_predicted.mp4"
        self._rate = rate
        self._keeps_time = keeps_time
        self._closing = contextlib.ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._points: TextIO | None = None
        self._size = (0, 0)
        self._written = 0
        self._start = 0.0
        self._times: collections.deque[float] = collections.deque(
            maxlen=_RATE_FRAMES + 1
        )
        self.frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def add(self, prediction: dict, picture: np.ndarray) -> None:
        """Writes a frame.

        Args:
            prediction: with `points`, `scores` and `boxes`, or without.
            picture: uint8 [h, w, 3] RGB.
        """
        now = time.monotonic()
        writer = self._writer
        if writer is None:
            # The first frame takes as long as the network needs to compile.
            self._start = now
            writer = self._writer = self._open(picture, "points" in prediction)
        self._times.append(now)
        if self._points is not None:
            seconds = self.frames / self._rate
            if self._keeps_time:
                seconds = now - self._start
            row = {"frame": self.frames, "seconds": round(seconds, 3)}
            line = json.dumps({**row, "found": _found(prediction)})
            self._points.write(line + "\n")
        self._write(writer, _fitted(self._with_rate(picture), self._size), now)
        self.frames += 1

    def summary(self) -> dict:
        """Names of the files, and what they hold."""
        points = None if self._points is None else pathlib.Path(self._points.name).name
        return {
            "video": self._path.name,
            "points": points,
            "width": self._size[0],
            "height": self._size[1],
            "frames": self.frames,
            "rate": self._rate,
            "predicted_per_second": round(self._speed(self._start, self.frames), 2),
        }

    def _open(self, picture: np.ndarray, with_points: bool) -> cv2.VideoWriter:
        self._size = picture.shape[1::-1]
        if self._path.is_dir():
            raise self._unwritable()
        drafts = self._closing.enter_context(unfinished_folder(self._path))
        self._closing.callback(self._put_in_place, drafts)
        draft = drafts / self._path.name
        codec = cv2.VideoWriter.fourcc(*_CODEC)
        writer = cv2.VideoWriter(str(draft), codec, self._rate, self._size)
        self._closing.callback(writer.release)
        if not writer.isOpened():
            raise self._unwritable()
        if with_points:
            path = draft.with_suffix(".jsonl")
            self._points = self._closing.enter_context(path.open("w"))
        return writer

    def _unwritable(self) -> DataError:
        width, height = self._size
        return DataError(
            f"{self._path}: no video of {width}x{height} pixels can be written there"
        )

    def _put_in_place(self, drafts: pathlib.Path) -> None:
        for path in drafts.iterdir():
            put_in_place(path, self._path.with_name(path.name))

    def _write(self, writer: cv2.VideoWriter, picture: np.ndarray, now: float) -> None:
        copies = 1
        if self._keeps_time and self.frames:
            copies = round((now - self._start) * self._rate) + 1 - self._written
        for _ in range(copies):
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            self._written += 1

    def _speed(self, since: float, frames: int) -> float:
        """Frames a second from a frame that ended at `since` to the last one."""
        passed = self._times[-1] - since if self._times else 0.0
        return (frames - 1) / passed if passed > 0 else 0.0

    def _with_rate(self, picture: np.ndarray) -> np.ndarray:
        """The picture with the rate of the last frames in its corner."""
        speed = self._speed(self._times[0], len(self._times))
        if not speed:
            return picture
        size = max(_TEXT_SIZE, round(min(picture.shape[:2]) / 30))
        canvas = Image.fromarray(picture)
        ImageDraw.Draw(canvas).text(
            (size // 2, size // 3),
            f"{speed:.1f} frames/s",
            fill="white",
            font=font(size),
            stroke_width=max(1, size // 10),
            stroke_fill="black",
        )
        return np.array(canvas)


def _found(prediction: dict) -> list[dict]:
    """The faces or persons of a frame as JSON."""
    rows = zip(
        prediction["boxes"], prediction["points"], prediction["scores"], strict=True
    )
    return [
        {
            "box": np.round(np.asarray(box, float), 2).tolist(),
            "points": np.round(np.asarray(points, float), 2).tolist(),
            "scores": np.round(np.asarray(scores, float), 4).tolist(),
        }
        for box, points, scores in rows
    ]


def _fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture cut or filled up with black to (width, height)."""
    width, height = size
    if picture.shape[:2] == (height, width):
        return picture
    picture = picture[:height, :width]
    missing = [(0, height - len(picture)), (0, width - picture.shape[1]), (0, 0)]
    return np.pad(picture, missing)
