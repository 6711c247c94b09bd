"""Both sides of the landmark benchmark do the same work."""

import argparse
import random
import sys

import cv2
import numpy as np
import pytest

from benchmarks import input_pipeline, landmark_input, landmark_targets, streams
from hrnet_jax.keypoints import geometry


def test_the_peer_cuts_the_same_crops(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (300, 320, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 4)
    center, scale = np.array([150.0, 140.0]), 0.8
    points = np.array([[150.0, 140.0], [120.0, 170.0]])
    # Scale 1.1, rotation by 20 degrees with the coin that decides on it, mirrored.
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.1 if low > 0 else 20.0)
    monkeypatch.setattr(random, "random", lambda: 0.3)
    crop, moved = landmark_input.opencv_crop(image, center, scale, points)
    matrix = geometry.crop_matrix(
        center, 1.25 * 1.1 * scale, (256, 256), 20.0, mirror=True
    )
    # Its middle is half a pixel off ours.
    expected = geometry.apply(matrix, points) + [-0.5, 0.5]
    np.testing.assert_allclose(moved, expected, atol=1e-9)
    ours = geometry.warp(image, matrix, (256, 256))
    assert np.abs(crop.astype(int) - ours).mean() < 2


def test_a_peer_hands_over_bytes_or_normalised_pixels(tmp_path):
    (tmp_path / "images").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (300, 320, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "images" / "a.png"), image)
    rows = [(np.array([150.0, 140.0]), 0.8, np.array([[150.0, 140.0]]))]
    crops = {}
    for normalise in (False, True):
        random.seed(0)
        peer = landmark_input.OpenCVRecipe(tmp_path, rows, normalise=normalise)
        crops[normalise], points = peer[0]
        assert points.shape == (1, 2) and points.dtype == np.float32
    assert crops[False].dtype == np.uint8 and crops[False].shape == (256, 256, 3)
    assert crops[True].dtype == np.float32 and crops[True].shape == (3, 256, 256)
    expected = (crops[False][..., ::-1] / 255 - streams.MEAN) / streams.STD
    np.testing.assert_allclose(crops[True].transpose(1, 2, 0), expected, atol=1e-5)


def test_ratios_to_all_peers(monkeypatch):
    monkeypatch.setattr(streams, "images_per_second", lambda start, args: start(args))
    args = argparse.Namespace(repetitions=3, workers=2)
    sides = {"ours": lambda args: 6.0, "peer": lambda args: 3.0}
    result = streams.rates_by_turns(sides, args)
    assert result["ratio"] == 2 and "ratio_to" not in result
    sides["peer, bytes"] = lambda args: 4.0
    result = streams.rates_by_turns(sides, args)
    assert result["ratio"] == 2 and result["ratio_to"] == {"peer, bytes": 1.5}
    assert result["images_per_second_per_worker"]["peer, bytes"] == 2


@pytest.mark.parametrize(
    ("benchmark", "option"),
    [
        (input_pipeline, "stage_repeats"),
        (landmark_input, "stage_repeats"),
        (landmark_input, "side"),
        (landmark_input, "workers"),
        (landmark_input, "faces"),
        (landmark_targets, "batch"),
        (landmark_targets, "size"),
        (landmark_targets, "rounds"),
        (landmark_targets, "calls"),
    ],
)
def test_numbers_must_be_positive(benchmark, option, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", f"--{option}=0"])
    with pytest.raises(SystemExit) as stop:
        benchmark.parse_arguments()
    assert stop.value.code == 2
    assert f"--{option} must be at least 1, got 0" in capsys.readouterr().err
