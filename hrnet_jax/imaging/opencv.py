"""What OpenCV says of files."""

import contextlib
import os
from collections.abc import Iterator

import cv2
import numpy as np


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps OpenCV and its FFmpeg from writing about a file on standard error.

    What is wrong with it is reported by an error of our own.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def decoded(data: bytes, mode: int) -> np.ndarray | None:
    """The pixels of an image file, of its first picture; None where it is damaged.

    Args:
        data: bytes of the file.
        mode: a flag of `cv2.imread`.
    """
    try:
        with quiet():
            return cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:  # for example for sizes beyond its own limits
        return None
