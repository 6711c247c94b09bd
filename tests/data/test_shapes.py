"""Generated scenes: repeatable, and their annotations agree."""

import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.class_tables import SHAPES
from hrnet_jax.data.generated.shapes import draw_scene
from hrnet_jax.data.generated.shapes_drawing import (
    OBJECTS,
    POINT_FLIP_PAIRS,
    STAR,
    DrawnObject,
    coverage,
    star_tips,
)
from hrnet_jax.errors import ConfigError, DataError

SCENES = [draw_scene(0, "train", index, size=64) for index in range(60)]


def test_a_scene_is_a_function_of_seed_split_and_index():
    again = draw_scene(0, "train", 7, size=64)
    np.testing.assert_array_equal(again.image, SCENES[7].image)
    np.testing.assert_array_equal(again.label, SCENES[7].label)
    others = [
        SCENES[8],
        draw_scene(1, "train", 7, size=64),
        draw_scene(0, "val", 7, size=64),
    ]
    assert all((other.image != again.image).any() for other in others)


def test_labels_do_not_change_between_releases():
    """Published numbers on `shapes` hold as long as the scenes stay the same."""
    labels = np.stack([scene.label for scene in SCENES])
    pixels = np.bincount(labels.ravel())
    expected = [164531, 11567, 9901, 9513, 24347, 12570, 13331]
    np.testing.assert_allclose(pixels, expected, rtol=0.01)


def test_every_class_occurs_and_background_dominates():
    labels = np.stack([scene.label for scene in SCENES])
    shares = np.bincount(labels.ravel(), minlength=len(SHAPES)) / labels.size
    assert len(shares) == len(SHAPES) == 7
    assert 0.6 < shares[0] < 0.9 and (shares[1:] > 0.01).all()
    assert {scene.image_class for scene in SCENES} == set(range(len(OBJECTS)))


def test_boxes_touch_the_pixels_of_their_object():
    for scene in SCENES:
        assert 1 <= len(scene.boxes) <= 3
        inside = np.zeros(scene.label.shape, bool)
        for box, kind in zip(scene.boxes, scene.box_class, strict=True):
            x1, y1, x2, y2 = box.astype(int)
            assert (box == [x1, y1, x2, y2]).all()
            window = scene.label[y1:y2, x1:x2] == kind + 1
            # Pixel edges: each side of the box has a pixel of the object.
            assert window[0].any() and window[-1].any()
            assert window[:, 0].any() and window[:, -1].any()
            inside[y1:y2, x1:x2] = True
        assert (scene.label[~inside] == 0).all()


def test_image_class_is_the_class_of_an_object():
    for scene in SCENES:
        assert scene.image_class in scene.box_class
        assert (scene.box_class == STAR).sum() == 1


def test_visible_tips_lie_on_the_star():
    hidden = 0
    for scene in SCENES:
        star = np.argwhere(scene.label == STAR + 1)[:, ::-1]
        for point, visible in zip(scene.points, scene.visible, strict=True):
            distance = np.linalg.norm(star - point, axis=1).min()
            # Pixel centres are integers; a tip is thinner than two pixels.
            assert not visible or distance < 2.5
            hidden += not visible
    assert 0 < hidden < 0.3 * 5 * len(SCENES)


def test_tips_are_in_order_and_mirror_into_their_pairs():
    upright = DrawnObject(STAR, (32.0, 32.0), 20.0, 0.0)
    tips = star_tips(upright)
    np.testing.assert_allclose(tips[0], [32.0, 12.0])
    mirrored = tips * [-1, 1] + [64, 0]
    order = list(range(5))
    for left, right in POINT_FLIP_PAIRS:
        order[left], order[right] = right, left
    np.testing.assert_allclose(mirrored[order], tips)
    # Tilted by at most 25 degrees, the first tip stays the highest one.
    assert all(scene.points[:, 1].argmin() == 0 for scene in SCENES)


def test_coverage_is_the_area_of_the_outline():
    size, radius = 64, 20.0
    areas = {
        "disc": 48 / 2 * np.sin(2 * np.pi / 48) * radius**2,
        "square": 2 * radius**2,
        "triangle": 3 * np.sqrt(3) / 4 * radius**2,
        "star": 5 * 0.5 * np.sin(np.pi / 5) * radius**2,
        "ring": 48 / 2 * np.sin(2 * np.pi / 48) * (1 - 0.5**2) * radius**2,
        "cross": (8 * 0.4 - 4 * 0.4**2) * radius**2,
    }
    for kind, name in enumerate(OBJECTS):
        cover = coverage(DrawnObject(kind, (31.7, 32.4), radius, 0.3), size)
        assert cover.sum() == pytest.approx(areas[name], rel=0.06)
        rows, columns = np.mgrid[:size, :size] + 0.5
        centre = [(cover * axis).sum() / cover.sum() for axis in (columns, rows)]
        np.testing.assert_allclose(centre, [31.7, 32.4], atol=0.2)


def test_options_set_size_and_counts(tmp_path):
    info = registry.prepare(
        "shapes", tmp_path, image_size=48, train=3, val=0, test=2, max_objects=2
    )
    assert info.counts == {"train": 3, "test": 2}
    assert info.max_size == {"train": (48, 48), "test": (48, 48)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 16}, "image_size must be at least 32, got 16"),
        ({"max_objects": 1}, "max_objects must be at least 2, got 1"),
        ({"train": -1}, "train must not be negative"),
        ({"train": 0, "val": 0}, "no images in any split"),
    ],
)
def test_wrong_values_are_named(options, message, tmp_path):
    with pytest.raises(DataError, match=message):
        registry.prepare("shapes", tmp_path, **options)


def test_unknown_options_are_named(tmp_path):
    with pytest.raises(ConfigError, match="shapes.img_size.*did you mean 'image_size'"):
        registry.prepare("shapes", tmp_path, img_size=64)


def test_takes_no_source(tmp_path):
    with pytest.raises(DataError, match="takes no source folder"):
        registry.prepare("shapes", tmp_path, source=tmp_path)
