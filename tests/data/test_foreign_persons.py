"""Damaged files of persons: every reader raises nothing but errors of its own."""

import io
import json
import random

import pytest
import scipy.io
from hypothesis import strategies as st

from hrnet_jax.data.files.matlab5_values import read_values
from hrnet_jax.data.persons.detections import read_boxes
from hrnet_jax.data.persons.mpii_files import read_list, read_structure
from hrnet_jax.data.sources.keypoints_coco import KeypointsCOCO, KeypointsCOCOOptions
from hrnet_jax.data.sources.lsp import read_joints
from tests import damage
from tests.data import person_files as files
from tests.data.test_foreign_points import array, checked, stored
from tests.data.test_mpii import HEADS, ROWS
from tests.foreign import COUNTS, FEWER, only_our_errors


@pytest.mark.parametrize("count", COUNTS)
def test_coco(count, tmp_path):
    for name in "abc":
        files.write_image(tmp_path / f"{name}.jpg")
    told = files.document()
    told["categories"][0] |= {"flip_pairs": [[2, 3]], "sigmas": [0.1, 0.2, 0.3]}
    options = [
        KeypointsCOCOOptions(annotations="all.json", ratios=(1.0,), **more)
        for more in (
            {},
            {
                "num_keypoints": "derive",
                "zeros": "missing",
                "v1": "seen",
                "flip_pairs": ("none",),
            },
        )
    ]

    def read(given):
        stored(tmp_path / "all.json", given[0])
        source = KeypointsCOCO(tmp_path, given[1])
        checked(source)
        source.beside()

    documents = damage.documents([files.DOCUMENT, told])
    only_our_errors(read, st.tuples(documents, st.sampled_from(options)), count)


@pytest.mark.parametrize("count", FEWER)
def test_boxes_of_detectors(count, tmp_path):
    found = [
        {"image_id": 9, "category_id": 1, "bbox": [1, 2, 30, 20], "score": 0.25},
        {"image_id": 12, "category_id": 1, "bbox": [10.5, 5, 20, 30], "score": 0.9},
    ]

    def read(data):
        read_boxes(stored(tmp_path / "found.json", data), 1)

    only_our_errors(read, damage.documents([found]), count)


@pytest.mark.parametrize("count", FEWER)
def test_lists_of_mpii(count, tmp_path):
    rows = json.loads(json.dumps(ROWS[:2]))

    def read(data):
        read_list(stored(tmp_path / "train.json", data))

    only_our_errors(read, damage.documents([rows]), count)


@pytest.mark.parametrize("count", FEWER)
def test_the_structure_of_mpii(count, tmp_path):
    """Entries dropped and replaced, and bytes changed."""

    def read(seed):
        # By its seed, as the files are too large to be shown.
        rng = random.Random(seed)
        content = files.structure(ROWS, HEADS)
        entries = content["RELEASE"]["annolist"]
        for _ in range(rng.randrange(3)):
            one = rng.choice(entries[0])
            one[rng.choice(entries.dtype.names)] = rng.choice(
                [array(rng), {"name": array(rng)}, "text", {"point": array(rng)}]
            )
        if rng.randrange(4) == 0:
            content["RELEASE"][rng.choice(["annolist", "img_train"])] = array(rng)
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, content, do_compression=rng.random() < 0.3)
        data = buffer.getvalue()
        path = stored(
            tmp_path / "a.mat", data if rng.randrange(2) else damage.cut(rng, data)
        )
        read_values(path)
        read_structure(path)

    only_our_errors(read, st.integers(0, 2**64), count)


@pytest.mark.parametrize("count", FEWER)
def test_joints_of_lsp(count, tmp_path):
    def read(seed):
        rng = random.Random(seed)
        content = {"joints": array(rng)} if rng.randrange(3) else {}
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, content)
        data = buffer.getvalue()
        data = data if rng.randrange(2) else damage.cut(rng, data)
        read_joints(stored(tmp_path / "joints.mat", data))

    only_our_errors(read, st.integers(0, 2**64), count)
