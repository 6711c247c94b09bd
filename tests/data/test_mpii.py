"""MPII: HRNet's lists with head boxes, and the official MATLAB structure."""

import numpy as np
import pytest
import scipy.io

from hrnet_jax.data.files.matlab5_values import read_values
from hrnet_jax.errors import DataError
from tests.data import person_files as files
from tests.data.person_files import persons, prepare

ROWS = files.mpii_rows()
HEADS = np.array([[[10, 5], [13, 9]], [[20, 6], [26, 14]], [[5, 5], [10, 17]]], float)
SIZES = 0.6 * np.array([5.0, 10.0, 13.0])


def test_persons_of_an_image_are_one_record(tmp_path):
    rows = files.mpii_rows(("a.jpg", "b.jpg", "c.jpg", "b.jpg"))
    source = files.write_mpii(tmp_path / "mpii", rows)
    info = prepare("mpii", source, tmp_path)
    assert info.counts == {"train": 1, "val": 2} and info.persons == {
        "train": 1,
        "val": 3,
    }
    assert info.point_origin == 1 and info.uncounted_points == (6, 7)
    assert not info.point_sigmas and not info.head_sizes
    # In the order of their images.
    ids = [one["image_id"] for one in persons("mpii", tmp_path, "val")]
    assert ids == ["b#1", "b#2", "c#1"]


def test_points_boxes_and_heads(tmp_path):
    source = files.write_mpii(tmp_path / "mpii", ROWS, HEADS[1:])
    info = prepare("mpii", source, tmp_path)
    assert info.head_sizes
    for row, one, head in zip(
        ROWS[1:], persons("mpii", tmp_path, "val"), SIZES[1:], strict=True
    ):
        known = np.array(row["joints_vis"], bool)
        np.testing.assert_array_equal(one["annotated"], known)
        np.testing.assert_array_equal(
            one["points"][known], np.array(row["joints"])[known]
        )
        assert not one["points"][~known].any()
        # c_y += 15 s, and the square of side 200 s around it.
        x, y = row["center"]
        y, half = y + 15 * row["scale"], 100 * row["scale"]
        np.testing.assert_allclose(one["box"], [x - half, y - half, x + half, y + half])
        assert one["head_size"] == pytest.approx(head)
    assert persons("mpii", tmp_path, "train")[0]["head_size"] == 0


@pytest.mark.parametrize("compressed", [False, True])
def test_the_official_structure(compressed, tmp_path):
    source = files.write_mpii(tmp_path / "mpii", ROWS)
    for name in ("train", "valid"):
        (source / f"annot/{name}.json").unlink()
    path = source / "mpii_human_pose_v1_u12_1.mat"
    scipy.io.savemat(path, files.structure(ROWS, HEADS), do_compression=compressed)
    info = prepare("mpii", source, tmp_path, ratios=(0.5, 0.5))
    assert sum(info.persons.values()) == 3 and info.head_sizes
    assert ("persons without joints, left out", 1) in [f[1:] for f in info.findings]
    # Not in the order of the rows: a#1 and a#2 are of one image.
    found = {
        one["image_id"]: one
        for split in info.counts
        for one in persons("mpii", tmp_path, split)
    }
    for name, row, head in zip(("a#1", "b#1", "a#2"), ROWS, SIZES, strict=True):
        known = np.array(row["joints_vis"], bool)
        one = found[name]
        np.testing.assert_array_equal(one["annotated"], known)
        np.testing.assert_array_equal(one["visible"], known & (np.arange(16) % 2 > 0))
        np.testing.assert_array_equal(
            one["points"][known], np.array(row["joints"])[known]
        )
        assert one["head_size"] == pytest.approx(head)


def test_values_are_those_of_scipy(tmp_path):
    path = tmp_path / "a.mat"
    content = {
        "numbers": np.arange(6.0).reshape(2, 3),
        "text": "some words",
        "cell": np.array([["a", np.ones((1, 2))]], object),
        "many": files._structs([{"x": 1.0, "name": "é"}, {"x": 2.0, "name": ""}]),
        "one": {"inside": {"deep": np.int32(7)}},
        "empty": np.zeros((0, 0)),
        "complex": 1 + 2j,
    }
    scipy.io.savemat(path, content)
    found = read_values(path)
    np.testing.assert_array_equal(found["numbers"], content["numbers"])
    assert found["text"] == "some words" and found["complex"] is None
    assert found["cell"][0] == "a" and found["cell"][1].tolist() == [[1, 1]]
    assert [one["x"].item() for one in found["many"]] == [1, 2]
    assert found["many"][0]["name"] == "é"
    assert found["one"][0]["inside"][0]["deep"].item() == 7
    assert found["empty"].size == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": 1.0}, r"u12_1\.mat: it holds other; expected version 1 of MPII"),
        (
            {"RELEASE": {"annolist": files._structs([{"image": "a"}])}},
            "RELEASE has annolist; expected version 1",
        ),
        (
            files.structure(ROWS, HEADS, img_train=np.ones(7)),
            "annolist has 3 images, img_train 7",
        ),
    ],
)
def test_another_version_is_named(content, message, tmp_path):
    path = tmp_path / "mpii" / "mpii_human_pose_v1_u12_1.mat"
    path.parent.mkdir()
    scipy.io.savemat(path, content)
    with pytest.raises(DataError, match=message):
        prepare("mpii", path.parent, tmp_path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(128) + b"\x89HDF")
    with pytest.raises(DataError, match=r"u12_1\.mat: not a MATLAB 5 file"):
        prepare("mpii", path.parent, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0}, r"train\.json: entry 1: the person has scale 0, a box of zero"),
        ({"joints": [[1, 2]]}, r"'joints' is \[\[1, 2\]\], expected 16 x 2 numbers"),
        ({"center": [1, None]}, r"'center' is \[1, None\], expected 2 numbers of pix"),
        ({"image": ""}, r"entry 1: the image is called '', expected the name of"),
        ({"center": [900.0, 9.0]}, r"entry 1: the box from .* is outside its image"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(change, message, tmp_path):
    rows = [ROWS[0] | change, *ROWS[1:]]
    source = files.write_mpii(tmp_path / "mpii", rows)
    with pytest.raises(DataError, match=message):
        prepare("mpii", source, tmp_path)


def test_head_boxes_of_others_are_refused(tmp_path):
    source = files.write_mpii(tmp_path / "mpii", ROWS, HEADS[1:])
    files.write_mpii(source, [ROWS[0], ROWS[0], ROWS[2]])
    with pytest.raises(DataError, match=r"valid\.json: entry 1: no person of .*gt_val"):
        prepare("mpii", source, tmp_path)
    scipy.io.savemat(source / "annot/gt_valid.mat", {"pos_gt_src": np.ones((3, 2))})
    with pytest.raises(DataError, match=r"holds pos_gt_src; expected MPII's gt_valid"):
        prepare("mpii", source, tmp_path)


def test_nothing_of_mpii_is_an_error(tmp_path):
    files.write_image(tmp_path / "mpii/images/a.jpg")
    with pytest.raises(DataError, match=r"has no MPII: expected .*train\.json, .*mat"):
        prepare("mpii", tmp_path / "mpii", tmp_path)


def test_the_real_samples(real_data, tmp_path):
    folder = real_data / "samples" / "mpii"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    info = prepare("mpii", folder, tmp_path)
    assert info.persons == {"val": 3} and info.head_sizes
    for one in persons("mpii", tmp_path, "val"):
        # A head is about a tenth of the height of somebody who stands.
        height = one["box"][3] - one["box"][1]
        assert 0.05 < one["head_size"] / height < 0.3
