"""Video files damaged anywhere: one line, or the frames that can be read."""

import pathlib
import types

import cv2
import numpy as np
import pytest
from hypothesis import strategies

from hrnet_jax.inference.video import predict_video
from tests.damaging import damaged_bytes
from tests.foreign import only_our_errors

# Fewer: each is decoded and encoded again.
SOME = [20, pytest.param(500, marks=pytest.mark.slow)]


def clip(folder: pathlib.Path, suffix: str, codec: str) -> bytes:
    path = folder / f"whole{suffix}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 20, (32, 24))
    assert writer.isOpened()
    for index in range(4):
        writer.write(np.full((24, 32, 3), 40 * index, np.uint8))
    writer.release()
    return path.read_bytes()


class Run:
    """Predicts nothing."""

    about = types.MappingProxyType({"model": "made up"})
    task = types.SimpleNamespace(
        takes_boxes=False,
        finds_objects=False,
        draw_frame=lambda image, prediction: image,
    )

    def predict(self, image: np.ndarray) -> dict:
        assert image.dtype == np.uint8 and image.ndim == 3
        return {}


@pytest.mark.parametrize("count", SOME, ids=str)
@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mp4v"), (".avi", "MJPG")])
def test_a_damaged_video_is_named_or_read_in_part(suffix, codec, count, tmp_path):
    whole = clip(tmp_path, suffix, codec)
    path = tmp_path / f"clip{suffix}"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        predict_video(Run(), path, tmp_path / "out", max_frames=6, progress=False)

    cuts = strategies.integers(0, len(whole)).map(lambda at: whole[:at])
    only_our_errors(read, strategies.one_of(cuts, damaged_bytes(whole)), count)
