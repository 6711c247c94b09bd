"""Both sides of the benchmark of ImageNet samples do the same work."""

import argparse
import random

import numpy as np
import pytest

from benchmarks import classification_input, streams
from hrnet_jax.classification.transforms import draw_window

ARGUMENTS = argparse.Namespace(images=2, scale=0.5, library="", scaled_decoding=0.0)


class Shared:
    """NumPy's generator, whose draws are those of Python's."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def uniform(self, low, high):
        return self._random.uniform(low, high)

    def integers(self, high):
        return self._random.randint(0, high - 1)

    def random(self):
        return self._random.random()


def test_windows_are_drawn_alike():
    for seed in range(50):
        random.seed(seed)
        expected = classification_input.random_window(375, 500)
        got = draw_window(375, 500, (0.08, 1.0), (3 / 4, 4 / 3), Shared(seed))
        assert got == expected


@pytest.mark.parametrize("library", ["pillow", "opencv"])
def test_the_peer_cuts_the_same_crops(library, tmp_path):
    args = argparse.Namespace(**vars(ARGUMENTS) | {"library": library})
    classification_input.write_photographs(tmp_path, args)
    peer = classification_input.PeerRecipe(tmp_path, library)
    assert len(peer) == 2
    transform = classification_input.our_transform(args)
    for seed in range(3):
        random.seed(seed)
        cut = peer.opencv_crop if library == "opencv" else peer.pillow_crop
        expected = cut(peer._files[1])
        sample = {"image": peer._files[1].read_bytes(), "class": 1, "image_id": "a"}
        crop = transform(sample, Shared(seed))["image"]
        np.testing.assert_array_equal(crop, expected)


@pytest.mark.slow  # it imports torch
def test_the_peer_normalises_as_torchvision_does(tmp_path):
    classification_input.write_photographs(tmp_path, ARGUMENTS)
    peer = classification_input.PeerRecipe(tmp_path, "pillow")
    random.seed(3)
    tensor, label = peer[1]
    random.seed(3)
    crop = peer.pillow_crop(peer._files[1])
    expected = (crop / 255 - streams.MEAN) / streams.STD
    np.testing.assert_allclose(tensor.permute(1, 2, 0), expected, atol=1e-5)
    assert label == 1
