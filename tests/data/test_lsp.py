"""Leeds Sports Pose: MATLAB files of both forms, and the real subset."""

import json

import numpy as np
import pytest
import scipy.io

from hrnet_jax.data.sources import lsp
from hrnet_jax.data.sources.lsp import LSP, LSPOptions
from hrnet_jax.errors import DataError
from tests.data import person_files as files
from tests.data.person_files import persons, prepare

RNG = np.random.default_rng(3)
# [N, 14, 3]: x, y and a flag.
JOINTS = np.concatenate(
    [RNG.uniform(3, 38, (4, 14, 2)), RNG.integers(0, 2, (4, 14, 1))], 2
)
EXTENDED, FIRST = JOINTS.transpose(1, 2, 0), JOINTS.transpose(2, 1, 0)


@pytest.fixture
def source(tmp_path):
    for name in ("im1", "im2", "im3", "im4"):
        files.write_image(tmp_path / "source/images" / f"{name}.jpg")
    return tmp_path / "source"


def test_the_extended_set_leaves_out_joints(source, tmp_path):
    scipy.io.savemat(source / "joints.mat", {"joints": EXTENDED})
    info = prepare("lsp", source, tmp_path, ratios=(1.0,))
    assert info.persons == {"train": 4} and info.point_origin == 1
    assert info.normalizers == {"torso": ((9,), (2,))}
    for joints, one in zip(JOINTS, persons("lsp", tmp_path), strict=True):
        known = joints[:, 2] > 0
        np.testing.assert_array_equal(one["annotated"], known)
        np.testing.assert_array_equal(one["points"][known], joints[known, :2])
        low, high = joints[known, :2].min(0), joints[known, :2].max(0)
        np.testing.assert_array_equal(one["box"], [*low, *high])


def test_the_first_set_has_hidden_joints_and_a_split_of_its_own(
    source, tmp_path, monkeypatch
):
    monkeypatch.setattr(lsp, "_LSP_IMAGES", 4)
    scipy.io.savemat(source / "joints.mat", {"joints": FIRST})
    info = prepare("lsp", source, tmp_path)
    assert info.persons == {"train": 2, "test": 2}
    one = persons("lsp", tmp_path, "test")[0]
    assert one["image_id"] == "im3#1" and one["annotated"].all()
    np.testing.assert_array_equal(one["visible"], JOINTS[2, :, 2] == 0)


@pytest.mark.parametrize(
    ("content", "names", "message"),
    [
        ({"joints": FIRST[:, :5]}, "", r"has joints \[3, 5, 4\]; expected 3 x 14 x N"),
        ({"points": FIRST}, "", r"joints_val\.mat has no joints; expected"),
        ({"joints": EXTENDED}, "im1.jpg\n", r"joints of 4 images, .*val\.txt has 1; e"),
        (
            {"joints": np.where(EXTENDED > 30, np.nan, EXTENDED)},
            "im1.jpg\nim2.jpg\nim3.jpg\nim4.jpg\n",
            r"joint [a-z_]+: nan is not a finite number of pixels",
        ),
        (
            {"joints": np.ones((14, 3, 1))},
            "im1.jpg",
            r"image 1: the joints give the person a box of size 0 x 0",
        ),
    ],
)
def test_what_is_wrong_is_named(content, names, message, source):
    scipy.io.savemat(source / "joints_val.mat", content)
    (source / "val.txt").write_text(names)
    with pytest.raises(DataError, match=message):
        LSP(source, LSPOptions()).splits()


def test_the_real_subset_is_that_of_its_json(real_data, tmp_path):
    folder = real_data / "lspet"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    splits = LSP(folder, LSPOptions()).splits()
    assert {split: len(items) for split, items in splits.items()} == {
        "train": 480,
        "val": 120,
    }
    path = folder / "annotations/person_keypoints_val.json"
    theirs = json.loads(path.read_text())
    names = {image["id"]: image["file_name"] for image in theirs["images"]}
    by_name = {names[a["image_id"]]: a for a in theirs["annotations"]}
    for item in splits["val"]:
        (person,) = item.persons
        annotation = by_name[item.image.name]
        expected = np.reshape(annotation["keypoints"], (14, 3))
        # Counted from 0 there.
        np.testing.assert_allclose(person.points - 1, expected[:, :2], atol=0.01)
        assert person.annotated.all()
        np.testing.assert_allclose(person.bbox[2:], annotation["bbox"][2:], atol=0.02)
