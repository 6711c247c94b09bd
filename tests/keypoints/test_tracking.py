"""Faces through the frames of a video."""

import numpy as np
import pytest

from hrnet_jax.keypoints.tracking import Follower

IMAGE = np.zeros((200, 300, 3), np.uint8)
LEFT, RIGHT = [20, 40, 80, 100], [150, 60, 230, 140]


def corners(*boxes):
    """Points whose box is the square box again, [N, 2, 2]."""
    return np.array(boxes, float).reshape(-1, 2, 2)


def moved(box, by):
    return [edge + by for edge in box]


def follow(follower, *boxes, scores=1.0):
    """Tells that the points are at the corners of these boxes."""
    points = corners(*boxes)
    mean = np.broadcast_to(np.reshape(scores, (-1, 1)), points.shape[:2])
    follower.follow({"points": points, "scores": mean}, IMAGE)


class Finder:
    """Finds what it was told to, frame by frame."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        return np.array(self.answers.pop(0), np.float32).reshape(-1, 4)


def test_boxes_are_those_of_the_points_before():
    follower = Follower(Finder([LEFT, RIGHT]), every=5, tight=True)
    assert follower.boxes(IMAGE).tolist() == [LEFT, RIGHT]
    follow(follower, moved(LEFT, 4), moved(RIGHT, -3))
    assert follower.boxes(IMAGE).tolist() == [moved(LEFT, 4), moved(RIGHT, -3)]


def test_faces_are_looked_for_in_every_kth_frame():
    finder = Finder([LEFT], [], [RIGHT])
    follower = Follower(finder, every=3, tight=True)
    calls = []
    for _ in range(7):
        boxes = follower.boxes(IMAGE)
        calls.append(finder.calls)
        follow(follower, *boxes)
    assert calls == [1, 1, 1, 2, 2, 2, 3]


def test_a_face_found_again_keeps_the_box_of_its_points():
    follower = Follower(Finder([LEFT], [RIGHT, moved(LEFT, 9)]), every=1, tight=True)
    follower.boxes(IMAGE)
    follow(follower, moved(LEFT, 2))
    assert follower.boxes(IMAGE).tolist() == [moved(LEFT, 2), RIGHT]


def test_a_face_is_given_up_when_it_was_missed_three_times():
    follower = Follower(Finder([LEFT], [], [], [LEFT], [], [], []), every=1, tight=True)
    counts = []
    for _ in range(7):
        boxes = follower.boxes(IMAGE)
        counts.append(len(boxes))
        follow(follower, *boxes)
    assert counts == [1, 1, 1, 1, 1, 1, 0]


def test_a_face_that_comes_later_is_followed_from_then_on():
    follower = Follower(Finder([], [RIGHT]), every=2, tight=True)
    boxes = []
    for _ in range(4):
        boxes.append(follower.boxes(IMAGE).tolist())
        follow(follower, *boxes[-1])
    assert boxes == [[], [], [RIGHT], [RIGHT]]


@pytest.mark.parametrize(
    "lost",
    [
        [10, 10, 14, 14],  # no larger than an eye
        [10, 10, 10, 10],
        [-90, 40, -30, 100],
        [280, 40, 340, 100],
        [60, 190, 100, 230],
    ],
)
def test_what_shrinks_to_nothing_or_leaves_is_dropped(lost):
    follower = Follower(Finder([LEFT, RIGHT]), every=5, tight=True)
    follower.boxes(IMAGE)
    follow(follower, lost, RIGHT)
    assert follower.boxes(IMAGE).tolist() == [RIGHT]


def test_two_that_run_onto_the_same_face_become_one():
    follower = Follower(Finder([LEFT, RIGHT]), every=5, tight=True)
    follower.boxes(IMAGE)
    follow(follower, moved(RIGHT, 5), RIGHT)
    assert follower.boxes(IMAGE).tolist() == [moved(RIGHT, 5)]


def test_boxes_that_are_not_tight_keep_their_margin():
    # Points in the middle of the box, half as large: 35..65.
    follower = Follower(Finder([LEFT]), every=5, tight=False)
    assert follower.boxes(IMAGE).tolist() == [LEFT]
    follow(follower, [35, 55, 65, 85])
    assert follower.boxes(IMAGE).tolist() == [LEFT]
    # Shifted, and twice as large.
    follow(follower, [40, 60, 100, 120])
    assert follower.boxes(IMAGE).tolist() == [[10, 30, 130, 150]]


def test_boxes_that_are_not_square_stay_so():
    # A person, twice as high as the square about the joints.
    follower = Follower(Finder([[40, 20, 80, 100]]), every=5, tight=False)
    follower.boxes(IMAGE)
    follow(follower, [40, 40, 80, 80])
    assert follower.boxes(IMAGE).tolist() == [[40, 20, 80, 100]]
    follow(follower, [50, 40, 70, 60])
    assert follower.boxes(IMAGE).tolist() == [[50, 30, 70, 70]]


def test_what_is_found_again_takes_that_box_where_points_do_not_tell_it():
    follower = Follower(Finder([LEFT], [RIGHT, moved(LEFT, 9)]), every=2, tight=False)
    boxes = []
    for _ in range(4):
        boxes.append(follower.boxes(IMAGE).tolist())
        follow(follower, *boxes[-1])
    found = [moved(LEFT, 9), RIGHT]
    assert boxes == [[LEFT], [LEFT], found, found]


def test_a_face_whose_scores_fall_to_less_than_half_is_lost():
    # An untrained and a trained network: what counts is the fall.
    follower = Follower(Finder([LEFT, RIGHT], []), every=3, tight=True)
    follower.boxes(IMAGE)
    follow(follower, LEFT, RIGHT, scores=[0.1, 0.8])
    assert len(follower.boxes(IMAGE)) == 2
    follow(follower, LEFT, RIGHT, scores=[0.06, 0.3])
    assert follower.boxes(IMAGE).tolist() == [LEFT]
    follow(follower, LEFT, scores=[0.04])
    assert follower.boxes(IMAGE).tolist() == []
