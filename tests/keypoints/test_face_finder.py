"""Found faces: drawn ones, those of 300W, and none where there are none."""

import csv

import cv2
import numpy as np
import pytest

from hrnet_jax.data.generated.faces import draw_face
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import box_of_points, overlaps
from hrnet_jax.keypoints import face_finder
from hrnet_jax.keypoints.face_finder import find_faces
from tests import tiny
from tests.tiers import fast_are


def frontal_face(size):
    """A drawn face that the cascade knows, and its box."""
    face = draw_face(0, "frontal", 0, size, 68, 0.0)
    return face.image, box_of_points(face.points)


def square(image, low, high):
    """Brightens the pixels low..high - 1 of (x, y)."""
    image[low[1] : high[1], low[0] : high[0]] = 255


@pytest.fixture
def bright_squares(monkeypatch):
    """Replaces the cascade: faces are bright squares, seen `times` times in an image.

    The first number is for the image itself, the second for its mirror image.
    """
    seen = {"smallest": [], "times": [3, 3]}

    def scan(grey, smallest):
        times = seen["times"][len(seen["smallest"]) % 2]
        seen["smallest"].append(smallest)
        bright = (grey > 127).astype(np.uint8)
        found = cv2.connectedComponentsWithStats(bright)[2][1:, :4]
        corners = found.astype(float)
        corners[:, 2:] += corners[:, :2]
        return np.repeat(corners - 0.5, times, 0)

    monkeypatch.setattr(face_finder, "_scan", scan)
    return seen


@pytest.mark.parametrize("shape", [(1, 1), (9, 700), (700, 9), (23, 23), (240, 320)])
def test_a_blank_image_has_no_face(shape):
    found = find_faces(np.full((*shape, 3), 90, np.uint8))
    assert found.shape == (0, 4) and found.dtype == np.float32


def test_noise_has_no_face():
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert find_faces(noise).shape == (0, 4)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    assert find_faces(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)).size == 0


@pytest.mark.parametrize("wrong", [np.zeros((40, 40), np.uint8), np.zeros((40, 40, 3))])
def test_another_type_is_refused(wrong):
    with pytest.raises(DataError, match="an image must be uint8"):
        find_faces(wrong)


def test_a_drawn_face_is_found_where_its_points_are():
    image, box = frontal_face(256)
    found = find_faces(image)
    assert found.shape == (1, 4) and found.dtype == np.float32
    assert overlaps(box[None], found)[0, 0] > 0.7


def test_two_faces_come_the_larger_one_first():
    image = np.full((300, 500, 3), 128, np.uint8)
    large, large_box = frontal_face(256)
    small, small_box = frontal_face(160)
    image[20:180, 10:170] = small
    image[30:286, 220:476] = large
    found = find_faces(image)
    expected = np.array([large_box + [220, 30] * 2, small_box + [10, 20] * 2])
    assert len(found) == 2
    assert (np.diag(overlaps(expected, found)) > 0.7).all()


def test_large_photographs_are_reduced_and_boxes_mapped_back():
    image, box = frontal_face(256)
    large = cv2.resize(image, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    found = find_faces(large, longest=256)
    np.testing.assert_allclose(found, (find_faces(image) + 0.5) * 5 - 0.5, atol=15)
    assert overlaps((box[None] + 0.5) * 5 - 0.5, found)[0, 0] > 0.7


@pytest.mark.parametrize("shape", [(400, 600), (1440, 1920)])
def test_windows_become_boxes_of_the_68_points(shape, bright_squares):
    image = np.zeros((*shape, 3), np.uint8)
    square(image, (120, 90), (360, 330))
    # Window of side 240 around (239.5, 209.5); see `_LOWER` and `_SIDE`.
    x, y, half = 239.5, 209.5 + 0.144 * 240, 0.859 * 240 / 2
    expected = [[x - half, y - half, x + half, y + half]]
    np.testing.assert_allclose(find_faces(image), expected, atol=1e-3)


def test_five_windows_are_an_accident(bright_squares):
    image = np.zeros((400, 600, 3), np.uint8)
    square(image, (120, 90), (360, 330))
    bright_squares["times"] = [3, 2]
    assert find_faces(image).shape == (0, 4)


def test_the_smallest_face_decides_how_far_images_are_reduced(bright_squares):
    image = np.zeros((1000, 2000, 3), np.uint8)
    square(image, (300, 300), (330, 330))
    # 5 % of 2000 pixels, at 640 / 2000, with a window larger than the box.
    find_faces(image)
    assert bright_squares["smallest"][-1] == round(100 * 0.32 / 0.859)
    find_faces(image, min_size=500)
    assert bright_squares["smallest"][-1] == round(500 * 0.32 / 0.859)
    found = find_faces(image, min_size=25)
    assert bright_squares["smallest"][-1] == 24
    np.testing.assert_allclose(found[0, 2] - found[0, 0], 0.859 * 30, atol=1.5)


def test_boxes_inside_boxes_and_doubles_become_one():
    rng = np.random.default_rng(0)
    around = np.array([100, 100, 200, 200]) + rng.uniform(-6, 6, (9, 4))
    inside = np.array([120, 130, 160, 170]) + rng.uniform(-1, 1, (7, 4))
    beside = np.array([190, 100, 290, 200]) + rng.uniform(-6, 6, (6, 4))
    lonely = np.array([[400, 100, 450, 150.0]])
    merged = face_finder._merge(np.concatenate([inside, lonely, around, beside]))
    np.testing.assert_allclose(merged, [around.mean(0), beside.mean(0)])


def test_every_run_finds_the_same():
    image, _ = frontal_face(256)
    found = [find_faces(image) for _ in range(3)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_detector_is_loaded_when_a_face_is_looked_for():
    code = """
import sys
import numpy as np
from hrnet_jax.keypoints.face_finder import find_faces
print("skimage" in sys.modules)
find_faces(np.zeros((40, 40, 3), np.uint8))
print("skimage" in sys.modules)
"""
    process = tiny.run_python(code)
    assert process.stdout.split() == ["False", "True"], process.stderr


def annotated_faces(path, every):
    """(name, box) of a face list of 300W, whose first pixel is 1."""
    with path.open() as file:
        rows = list(csv.reader(file))[1:]
    for row in rows[::every]:
        points = np.array(row[4:], float).reshape(-1, 2)
        yield row[0], box_of_points(points) - 1


def best_overlaps(images, path, every):
    """For each face the overlap with the found box that fits best, 0 for none."""
    best = []
    for name, box in annotated_faces(path, every):
        image = cv2.imread(str(images / name), cv2.IMREAD_COLOR_RGB)
        best.append(overlaps(box[None], find_faces(image)).max(initial=0))
    return np.array(best)


@pytest.mark.slow
def test_finds_most_faces_of_300w(real_data):
    # All 554: see the docstring of `faces`.
    folder = real_data / "300w"
    table = folder / "face_landmarks_300w_valid_common.csv"
    best = best_overlaps(folder / "images", table, 30)
    assert len(best) == 19
    assert (best > 0.5).mean() > 0.8
    assert best[best > 0.5].mean() > 0.75


@pytest.mark.parametrize("part", fast_are(["test"], ["valid_common", "test"]))
def test_finds_the_face_of_whole_photographs(part, real_data):
    folder = real_data / "samples" / "300w"
    table = folder / f"face_landmarks_300w_{part}.csv"
    best = best_overlaps(folder / "images", table, 1)
    assert (best > 0.5).all(), best
