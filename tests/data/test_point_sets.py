"""The four landmark sets against the published mirror tables and rules."""

import itertools
import pathlib

import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo, check_flip_pairs
from hrnet_jax.data.points.custom import own_point_set, pairs_by_side
from hrnet_jax.data.points.point_sets import AFLW, COFW, POINT_SETS, W300, WFLW
from hrnet_jax.errors import DataError

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "numeric" / "landmarks.npz"
SETS = {"300W": W300, "WFLW": WFLW, "COFW": COFW, "AFLW": AFLW}


@pytest.mark.parametrize("name", SETS)
def test_mirrors_as_the_official_code(name):
    with np.load(GOLDENS) as goldens:
        points, expected = (
            goldens[f"flip/{name}_{end}"] for end in ("input", "output")
        )
    order = np.arange(len(points))
    for left, right in SETS[name].flip_pairs:
        order[[left, right]] = right, left
    width = 257  # of the golden
    np.testing.assert_array_equal(expected[:, 0], width - points[order, 0])
    np.testing.assert_array_equal(expected[:, 1], points[order, 1])


@pytest.mark.parametrize(("num_points", "chosen"), POINT_SETS.items())
def test_names_and_tables_fit_the_number_of_points(num_points, chosen):
    assert len(chosen.names) == len(set(chosen.names)) == num_points
    check_flip_pairs(chosen.flip_pairs, num_points, "test")
    used = [index for line in chosen.lines for index in line]
    used += [i for pair in chosen.normalizers.values() for g in pair for i in g]
    assert set(used) <= set(range(num_points))
    assert chosen.default_normalizer in {"box", *chosen.normalizers}


@pytest.mark.parametrize("chosen", POINT_SETS.values(), ids=POINT_SETS)
def test_names_say_which_points_swap(chosen):
    """Points swap if and only if one is left of the other's right."""
    partner = dict(chosen.flip_pairs) | {b: a for a, b in chosen.flip_pairs}
    for index, name in enumerate(chosen.names):
        side = name.split("_")
        if "right" not in side and "left" not in side:
            continue
        other = {"right": "left", "left": "right"}
        part = [other.get(word, word) for word in side if not word.isdigit()]
        mirrored = chosen.names[partner[index]].split("_")
        assert [word for word in mirrored if not word.isdigit()] == part


@pytest.mark.parametrize("chosen", POINT_SETS.values(), ids=POINT_SETS)
def test_lines_and_normalizers_are_symmetric(chosen):
    order = np.arange(len(chosen.names))
    for left, right in chosen.flip_pairs:
        order[[left, right]] = right, left
    edges = {
        frozenset(edge) for line in chosen.lines for edge in itertools.pairwise(line)
    }
    assert {frozenset(order[list(edge)].tolist()) for edge in edges} == edges
    for first, second in chosen.normalizers.values():
        assert set(order[list(first)].tolist()) == set(second)


def test_normalizers_are_those_of_the_published_figures():
    assert W300.normalizers["inter_ocular"] == ((36,), (45,))
    assert WFLW.normalizers["inter_ocular"] == ((60,), (72,))
    assert COFW.normalizers["inter_ocular"] == ((8,), (9,))
    assert {s.default_normalizer for s in (W300, WFLW, COFW)} == {"inter_ocular"}
    assert AFLW.default_normalizer == "box"
    assert COFW.names[8] == "right_eye_outer" and COFW.names[9] == "left_eye_outer"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (((0, 5),), r"my set: flip pair \(0, 5\) has an index outside 0\.\.4"),
        (((-1, 2),), r"flip pair \(-1, 2\) has an index outside 0\.\.4"),
        (((2, 2),), r"flip pair \(2, 2\) pairs a point with itself"),
        (((0, 1), (1, 2)), r"point 1 is in two flip pairs, with 0 and with 2"),
        (((0, 1), (0, 1)), r"point 0 is in two flip pairs, with 1 and with 1"),
    ],
)
def test_refuses_flip_pairs_that_are_no_involution(pairs, message):
    with pytest.raises(DataError, match=message):
        check_flip_pairs(pairs, 5, "my set")


def test_info_of_a_point_set_survives_its_file():
    info = DatasetInfo(
        name="faces",
        num_classes=0,
        class_names=(),
        palette=(),
        point_names=W300.names,
        point_flip_pairs=W300.flip_pairs,
        point_origin=1.0,
        point_lines=W300.lines,
        normalizers=W300.normalizers,
        default_normalizer="inter_pupil",
        tight_boxes=True,
        subsets={"hard": {"test": (3, 1), "val": None}},
    )
    assert DatasetInfo.from_json(info.to_json()) == info
    # Metadata written before there were points.
    old = {
        key: value
        for key, value in info.to_json().items()
        if key in ("name", "num_classes", "class_names", "palette")
    }
    assert DatasetInfo.from_json(old).subsets == {}
    assert DatasetInfo.from_json(old).default_normalizer == "box"
    assert not DatasetInfo.from_json(old).tight_boxes


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("left_eye", "right_eye", "nose"), ((0, 1),)),
        (("Eye.R", "tail", "Eye.L"), ((0, 2),)),
        (("eyeLeft", "eyeRight"), ((0, 1),)),
        (("LEFT-knee", "RIGHT-knee", "left ankle", "right ankle"), ((0, 1), (2, 3))),
        (("bright", "blight", "cleft", "left"), ()),
    ],
)
def test_finds_pairs_by_the_side_in_the_names(names, pairs):
    assert pairs_by_side(names) == pairs


def test_own_points_are_described_by_name(tmp_path):
    names = ("a", "b", "c", "d")
    chosen = own_point_set(names, tmp_path, ("b:a", "c : d"), "a+b:c")
    assert chosen.flip_pairs == ((1, 0), (2, 3))
    assert chosen.normalizers == {"a+b_to_c": ((0, 1), (2,))}
    assert chosen.default_normalizer == "a+b_to_c"
    (tmp_path / "flip_pairs.txt").write_text("a d\n\n")
    (tmp_path / "lines.txt").write_text("a b c a\nd c\n")
    chosen = own_point_set(names, tmp_path, (), "", lines=((0, 1),))
    assert chosen.flip_pairs == ((0, 3),) and chosen.default_normalizer == "box"
    assert chosen.lines == ((0, 1, 2, 0), (3, 2))
    chosen = own_point_set(names, tmp_path, ("none",), "box")
    assert chosen.flip_pairs == () and chosen.normalizers == {}
    assert chosen.default_normalizer == "box"


def test_names_with_spaces_stand_between_commas(tmp_path):
    names = ("left eye", "right eye", "nose")
    (tmp_path / "flip_pairs.txt").write_text("left eye, nose\n")
    (tmp_path / "lines.txt").write_text("left eye,nose,  right eye\nnose,left eye,\n")
    chosen = own_point_set(names, tmp_path, (), "")
    assert chosen.flip_pairs == ((0, 2),) and chosen.lines == ((0, 2, 1), (2, 0))
    (tmp_path / "flip_pairs.txt").write_text("left eye right eye\n")
    with pytest.raises(DataError, match=r"flip_pairs\.txt:1: .*with spaces need a com"):
        own_point_set(names, tmp_path, (), "")


def test_pairs_must_be_told_somehow(tmp_path):
    with pytest.raises(
        DataError,
        match=r"no two of the points a, b, c, d, \.\.\. differ in left and right only, "
        r".*flip_pairs=a:b,c:d or a file flip_pairs\.txt, flip_pairs=none where none "
        "do, or so$",
    ):
        own_point_set("abcde", tmp_path, (), "", otherwise=", or so")
    assert own_point_set("a", tmp_path, (), "").flip_pairs == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip_pairs": ("left",)}, "flip pair 'left' is not of the form left:right"),
        ({"flip_pairs": ("left:tip",)}, r"flip pair names 'tip', points are \['left'"),
        ({"flip_pairs": ("left:left",)}, "option flip_pairs: .* with itself"),
        ({"flip_pairs": ("left:a", "a:right")}, "point 2 is in two flip pairs"),
        ({"normalizer": "left"}, "normalizer 'left' is not of the form point:point"),
        ({"normalizer": "left:tip"}, r"normalizer names 'tip', points are"),
        ({"normalizer": "left:left"}, "is the distance of equal points"),
    ],
)
def test_names_wrong_descriptions(options, message, tmp_path):
    options = {"flip_pairs": (), "normalizer": ""} | options
    with pytest.raises(DataError, match=message):
        own_point_set(("left", "right", "a"), tmp_path, **options)


def test_names_lines_of_wrong_description_files(tmp_path):
    path = tmp_path / "flip_pairs.txt"
    path.write_text("left right\nleft\n")
    with pytest.raises(DataError, match=r"flip_pairs\.txt:2: expected two names"):
        own_point_set(("left", "right"), tmp_path, (), "")
    path.write_text("left right\nright left\n")
    with pytest.raises(DataError, match=r"flip_pairs\.txt: point 1 is in two flip"):
        own_point_set(("left", "right"), tmp_path, (), "")
    path.unlink()
    (tmp_path / "lines.txt").write_text("left right\nleft tip\n")
    with pytest.raises(DataError, match=r"lines\.txt:2 names 'tip', points are"):
        own_point_set(("left", "right"), tmp_path, (), "")
