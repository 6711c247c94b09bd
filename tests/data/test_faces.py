"""Generated faces: repeatable, landmarks in standard order on what they name."""

import dataclasses
import math

import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.generated.faces import Faces, FacesOptions, draw_face, random_face
from hrnet_jax.data.generated.faces_drawing import paint_face
from hrnet_jax.data.generated.faces_look import (
    Look,
    Occluder,
    random_look,
    random_occluder,
)
from hrnet_jax.data.generated.faces_shape import Face, curves, landmarks, mirrored
from hrnet_jax.data.points.point_sets import POINT_SETS
from hrnet_jax.data.records import open_records
from hrnet_jax.errors import ConfigError, DataError

LAYOUTS = sorted(POINT_SETS)
DRAWN = [draw_face(0, "train", index, size=64) for index in range(40)]

# Colours that occur nowhere else, to find the parts of a face in its image.
SKIN, HAIR, IRIS = (128, 128, 128), (0, 0, 250), (0, 250, 0)
LIPS, GROUND = (250, 0, 0), (250, 0, 250)


def some_faces(size, number=20):
    return [random_face(np.random.default_rng(seed), size) for seed in range(number)]


def plainly_painted(face, size):
    """Image int [size, size, 3] of a face in the colours above, without hair."""
    look = Look(
        skin=np.array(SKIN),
        hair=np.array(HAIR) / 0.9,
        iris=np.array(IRIS),
        lips=np.array(LIPS),
        cloth=np.array(SKIN),
        hair_style="none",
        shade=0.0,
    )
    ground = np.full((size, size, 3), np.array(GROUND) / 255, np.float32)
    image = paint_face(ground, face, curves(face), look)
    return np.rint(image * 255).astype(int)


def colours_at(image, points):
    """The pixel under each of points [N, 2] (pixel edges)."""
    x, y = np.floor(points).astype(int).T
    return image[y, x]


def swapped(num_points):
    """The order of the points after a flip."""
    order = np.arange(num_points)
    for left, right in POINT_SETS[num_points].flip_pairs:
        order[[left, right]] = order[[right, left]]
    return order


def test_a_face_is_a_function_of_seed_split_and_index():
    again = draw_face(0, "train", 7, size=64)
    np.testing.assert_array_equal(again.image, DRAWN[7].image)
    np.testing.assert_array_equal(again.points, DRAWN[7].points)
    np.testing.assert_array_equal(again.visible, DRAWN[7].visible)
    others = [
        DRAWN[8],
        draw_face(1, "train", 7, size=64),
        draw_face(0, "val", 7, size=64),
    ]
    for other in others:
        assert np.abs(other.image.astype(int) - again.image).mean() > 10
        assert np.abs(other.points - again.points).max() > 1


def test_landmarks_do_not_change_between_releases():
    """Published numbers on `faces` hold as long as the faces stay the same."""
    points = np.stack([drawn.points for drawn in DRAWN])
    np.testing.assert_allclose(points.mean((0, 1)), [30.444, 29.933], atol=0.01)
    np.testing.assert_allclose(points.std((0, 1)), [10.546, 12.002], atol=0.01)
    assert sum(int((1 - drawn.visible).sum()) for drawn in DRAWN) == 179


def test_all_layouts_show_the_same_image():
    images = [draw_face(0, "val", 3, 64, number).image for number in LAYOUTS]
    assert all((image == images[0]).all() for image in images)


@pytest.mark.parametrize("num_points", LAYOUTS)
def test_points_come_in_the_standard_order(num_points):
    """Point names say on which side of an average face a point is."""
    points = landmarks(curves(Face(centre=(64.0, 64.0))), num_points)
    assert points.shape == (num_points, 2) and points.dtype == np.float64
    names = POINT_SETS[num_points].names
    paired = {point for pair in POINT_SETS[num_points].flip_pairs for point in pair}
    for index, (name, x) in enumerate(zip(names, points[:, 0], strict=True)):
        # The person's right is on the left of the image.
        if "right" in name:
            assert x < 63, name
        elif "left" in name:
            assert x > 65, name
        if index not in paired:
            assert x == pytest.approx(64), name


def test_points_of_300w_run_as_in_the_annotation_scheme():
    points = landmarks(curves(Face()), 68)
    x, y = points.T
    for first, last in ((0, 16), (17, 26), (31, 35), (36, 39), (42, 45), (48, 54)):
        assert (np.diff(x[first : last + 1]) > 0).all()
    for first, last in ((39, 41), (45, 47), (54, 59), (64, 67)):
        assert (np.diff(x[first : last + 1]) < 0).all()
    assert (np.diff(y[27:31]) > 0).all() and y.argmax() == 8
    assert (y[[37, 38, 43, 44]] < y[[41, 40, 47, 46]] - 2).all()
    assert (y[[50, 51, 52]] < y[[61, 62, 63]]).all()
    assert (y[[61, 62, 63]] < y[[67, 66, 65]]).all()
    assert (y[[67, 66, 65]] < y[[58, 57, 56]]).all()
    # Upright jaw points keep equal distances, as annotators do.
    steps = np.linalg.norm(np.diff(points[:17], axis=0), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.03)


def test_layouts_agree_where_they_mean_the_same_point():
    same = [
        # 300W and WFLW.
        *((68, jaw, 98, 2 * jaw) for jaw in range(17)),
        *((68, 17 + k, 98, 33 + k) for k in range(5)),
        *((68, 22 + k, 98, 42 + k) for k in range(5)),
        *((68, 27 + k, 98, 51 + k) for k in range(9)),
        *((68, 36, 98, 60), (68, 39, 98, 64), (68, 42, 98, 68), (68, 45, 98, 72)),
        *((68, 48 + k, 98, 76 + k) for k in range(20)),
        # COFW and WFLW: brows, eyes, pupils, nose, mouth, chin.
        *((29, 0, 98, 33), (29, 1, 98, 46), (29, 4, 98, 35), (29, 5, 98, 40)),
        *((29, 6, 98, 44), (29, 7, 98, 48), (29, 8, 98, 60), (29, 9, 98, 72)),
        *((29, 10, 98, 64), (29, 11, 98, 68), (29, 12, 98, 62), (29, 13, 98, 66)),
        *((29, 14, 98, 70), (29, 15, 98, 74), (29, 16, 98, 96), (29, 17, 98, 97)),
        *((29, 20, 98, 54), (29, 21, 98, 57), (29, 22, 98, 76), (29, 23, 98, 82)),
        *((29, 24, 98, 79), (29, 25, 98, 90), (29, 26, 98, 94), (29, 27, 98, 85)),
        (29, 28, 98, 16),
        # AFLW and COFW: brow ends, eye corners, nose, mouth corners, chin.
        *((19, 0, 29, 0), (19, 2, 29, 2), (19, 3, 29, 3), (19, 5, 29, 1)),
        *((19, 6, 29, 8), (19, 8, 29, 10), (19, 9, 29, 11), (19, 11, 29, 9)),
        *((19, 12, 29, 18), (19, 13, 29, 20), (19, 14, 29, 19)),
        *((19, 15, 29, 22), (19, 17, 29, 23), (19, 18, 29, 28)),
    ]
    for face in some_faces(128, 5):
        points = {number: landmarks(curves(face), number) for number in LAYOUTS}
        for first, i, second, j in same:
            np.testing.assert_allclose(
                points[first][i], points[second][j], err_msg=f"{first, i, second, j}"
            )


@pytest.mark.parametrize("num_points", LAYOUTS)
def test_a_mirrored_face_has_the_mirrored_points(num_points):
    for face in some_faces(100):
        points = landmarks(curves(face), num_points)
        other = landmarks(curves(mirrored(face, 100)), num_points)
        expected = (points * [-1, 1] + [100, 0])[swapped(num_points)]
        np.testing.assert_allclose(other, expected, atol=1e-9)


def mirrored_look(look: Look) -> Look:
    """The look that appears when the image is mirrored."""
    return dataclasses.replace(look, parting=-look.parting, light=math.pi - look.light)


def test_a_mirrored_face_is_drawn_as_the_mirrored_image():
    size = 96
    ground = np.full((size, size, 3), 0.5, np.float32)
    for seed, face in enumerate(some_faces(size, 8)):
        look = random_look(np.random.default_rng(seed))
        image = paint_face(ground, face, curves(face), look)
        turned = mirrored(face, size)
        other = paint_face(ground, turned, curves(turned), mirrored_look(look))
        # Rounding is not symmetric; half a pixel off would be 0.008 to 0.015.
        assert np.abs(image[:, ::-1] - other).mean() < 0.001


def test_landmarks_lie_on_the_parts_that_they_name():
    size, checked = 256, 0
    for face in some_faces(size):
        image, points = plainly_painted(face, size), landmarks(curves(face), 98)
        if points.min() < 8 or points.max() > size - 8:
            continue
        checked += 1
        # Brows: between the edges is hair, outside of them is skin.
        for upper, lower in ((35, 40), (36, 39), (44, 48), (43, 49)):
            across = points[lower] - points[upper]
            inside = points[[upper, lower]] + np.outer([0.25, -0.25], across)
            outside = points[[upper]] - 3 * across / np.linalg.norm(across)
            assert (colours_at(image, inside) == HAIR).all()
            assert (colours_at(image, outside) == SKIN).all()
        # Pupils are black, on a green iris or behind the lid of a narrow eye.
        assert (colours_at(image, points[96:]) < 60).all()
        # Lips are red between their edges, in front of an open mouth or not.
        for edge, inner in ((85, 94), (84, 93), (86, 95)):
            middle = (points[[edge]] + points[[inner]]) / 2
            assert (colours_at(image, middle) == LIPS).all()
        # The jaw is the edge between the face and what is behind it.
        jaw = points[4:29]
        inwards = points[57] - jaw
        inwards /= np.linalg.norm(inwards, axis=1, keepdims=True)
        assert (colours_at(image, jaw + 4 * inwards) == SKIN).all()
        assert (colours_at(image, jaw - 4 * inwards) != SKIN).any(1).all()
    assert checked >= 10


def test_pupils_and_lids_enclose_each_other():
    for face in some_faces(256, 50):
        points = landmarks(curves(face), 98)
        turn = np.array(
            [
                [math.cos(face.roll), math.sin(face.roll)],
                [-math.sin(face.roll), math.cos(face.roll)],
            ]
        )
        upright = points @ turn.T
        for first, pupil in ((60, 96), (68, 97)):
            eye = upright[first : first + 8]
            assert eye[:, 0].min() < upright[pupil, 0] < eye[:, 0].max()
            assert eye[1:4, 1].min() < upright[pupil, 1] < eye[5:8, 1].max()


@pytest.mark.parametrize("angle", [None, 0.0, 0.7])
def test_hidden_points_are_those_that_the_occluder_covers(angle):
    colours = np.array([(0, 255, 255), (255, 255, 0)])
    occluder = Occluder((60.0, 70.0), 17.0, angle, colours)
    face, size = Face(radius=40.0), 128
    ground = np.zeros((size, size, 3), np.float32)
    look = random_look(np.random.default_rng(0))
    image = paint_face(ground, face, curves(face), look, occluder)
    painted = ((image * 255).round()[:, :, None] == colours).all(-1).any(-1)
    columns, rows = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    covered = occluder.covers(centres).reshape(size, size)
    # They differ at the border only, where pixels are mixed.
    assert 500 < covered.sum() < size**2 / 2
    assert (painted != covered).sum() < 4 * size


def test_points_are_visible_unless_hidden_or_outside():
    outside = 0
    for index in range(60):
        drawn = draw_face(0, "train", index, size=64, occluded=0.0)
        inside = ((drawn.points >= -0.5) & (drawn.points < 63.5)).all(1)
        np.testing.assert_array_equal(drawn.visible, inside)
        outside += int((~inside).sum())
        assert drawn.points.min() > -16 and drawn.points.max() < 80
    assert 0 < outside < 0.05 * 60 * 68
    hidden = [1 - draw_face(0, "train", k, 64, occluded=1.0).visible for k in range(40)]
    assert 0.05 < np.mean(hidden) < 0.5
    assert np.mean(np.sum(hidden, axis=1) > 0) > 0.9


def test_an_occluder_is_on_the_face():
    points = landmarks(curves(Face()), 68)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        occluder = random_occluder(rng, points, 32.0)
        assert np.linalg.norm(points - occluder.centre, axis=1).min() < 20
        assert 0.15 * 32 <= occluder.half_width <= 0.5 * 32


def test_faces_differ_in_every_respect():
    points = np.stack([drawn.points for drawn in DRAWN])
    eyes = points[:, 45] - points[:, 36]
    roll = np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))
    assert 8 < roll.std() < 18 and np.abs(roll).max() < 32
    distance = np.linalg.norm(eyes, axis=1)
    # Yaw: the tip of the nose leaves the middle of the eyes.
    along = ((points[:, 30] - points[:, 36]) * eyes).sum(1) / distance**2
    assert along.std() > 0.05 and 0 < along.min() and along.max() < 1
    mouth = np.linalg.norm(points[:, 66] - points[:, 62], axis=1) / distance
    assert mouth.min() < 0.03 and mouth.max() > 0.15
    opening = np.linalg.norm(points[:, 41] - points[:, 37], axis=1) / distance
    assert opening.min() < 0.09 and opening.max() > 0.12
    box = np.ptp(points, axis=1).max(1) / 64
    assert box.min() < 0.55 and box.max() > 0.7
    colours = np.stack([drawn.image.mean((0, 1)) for drawn in DRAWN])
    assert (colours.std(0) > 20).all()
    grey = [bool((np.ptp(drawn.image, axis=2) == 0).all()) for drawn in DRAWN]
    assert 0 < sum(grey) < 12


@pytest.mark.parametrize("num_points", LAYOUTS)
def test_records_hold_what_was_drawn(num_points, tmp_path):
    info = registry.prepare(
        "faces", tmp_path, num_points=num_points, image_size=56, train=3, val=2
    )
    layout = POINT_SETS[num_points]
    assert info.counts == {"train": 3, "val": 2}
    assert info.max_size == {"train": (56, 56), "val": (56, 56)}
    assert (info.num_classes, info.point_origin) == (0, 0.0)
    assert info.point_names == layout.names
    assert info.point_flip_pairs == layout.flip_pairs
    assert info.point_lines == layout.lines
    assert info.normalizers == layout.normalizers
    assert info.default_normalizer == layout.default_normalizer
    assert info.tight_boxes
    for split in ("train", "val"):
        for index, sample in enumerate(open_records("faces", tmp_path, split)):
            drawn = draw_face(0, split, index, 56, num_points)
            np.testing.assert_array_equal(sample["image"], drawn.image)
            np.testing.assert_array_equal(sample["points"], drawn.points)
            np.testing.assert_array_equal(sample["visible"], drawn.visible)
            assert sample["points"].dtype == np.float64
            assert sample["annotated"].tolist() == [1] * num_points
            assert sample["image_id"] == f"{split}_{index:05d}"


def test_the_face_box_follows_the_rule_of_300w():
    example = Faces(None, FacesOptions(num_points=29, seed=4)).example("val", 2)
    points = draw_face(4, "val", 2, 128, 29).points
    left, top = math.floor(points[:, 0].min()), math.floor(points[:, 1].min())
    right, bottom = math.ceil(points[:, 0].max()), math.ceil(points[:, 1].max())
    side = max(right - left, bottom - top)
    assert example.stored["center"].tolist() == [(left + right) / 2, (top + bottom) / 2]
    assert example.stored["scale"] == pytest.approx(side / 200, rel=1e-12)
    assert example.stored["box_size"] == pytest.approx(side, rel=1e-12)
    assert example.size == (128, 128)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_points": 5}, "num_points must be one of 19, 29, 68, 98, got 5"),
        ({"image_size": 32}, "image_size must be at least 48, got 32"),
        ({"occluded": 1.5}, "occluded must be 0..1, got 1.5"),
        ({"val": -1}, "val must not be negative"),
        ({"train": 0, "val": 0}, "no images in any split"),
    ],
)
def test_wrong_values_are_named(options, message, tmp_path):
    with pytest.raises(DataError, match=message):
        registry.prepare("faces", tmp_path, **options)


def test_unknown_options_are_named(tmp_path):
    with pytest.raises(ConfigError, match="faces.points.*did you mean"):
        registry.prepare("faces", tmp_path, points=68)
