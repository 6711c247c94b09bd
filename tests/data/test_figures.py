"""Generated persons: the joints are where the drawing shows them."""

import numpy as np
import pytest

from hrnet_jax.data.generated.figures import (
    Figures,
    FiguresOptions,
    draw_figures,
    random_figures,
)
from hrnet_jax.errors import DataError


def made(**options):
    return Figures(None, FiguresOptions(train=3, val=2, **options))


def test_figures_are_drawn_around_their_joints():
    for index in range(4):
        figures = random_figures(0, "train", index, 128, 3)
        image = draw_figures(figures, 0, "train", index, 128).astype(int)
        empty = draw_figures([], 0, "train", index, 128).astype(int)
        assert image.shape == (128, 128, 3)
        changed = np.abs(image - empty).max(2) > 20
        for figure in figures:
            for name in ("left_wrist", "right_knee", "nose", "left_shoulder"):
                x, y = np.floor(figure.joints[name]).astype(int)
                if 1 < x < 126 and 1 < y < 126:
                    assert changed[y - 1 : y + 2, x - 1 : x + 2].any(), name


def test_the_sets_of_joints_are_of_the_same_persons():
    sets = {joints: made(joints=joints) for joints in ("coco", "mpii", "lsp")}
    counts = {name: len(one.point_set.names) for name, one in sets.items()}
    assert counts == {"coco": 17, "mpii": 16, "lsp": 14}
    chosen = {name: one.splits()["train"][1].persons[0] for name, one in sets.items()}
    places = {
        name: chosen[name].points[sets[name].point_set.names.index("left_knee")]
        for name in sets
    }
    np.testing.assert_array_equal(places["coco"], places["mpii"])
    np.testing.assert_array_equal(places["coco"], places["lsp"])
    assert chosen["mpii"].head_size > 0 == chosen["coco"].head_size
    # What the metric of each set follows from.
    infos = {name: one.info(name) for name, one in sets.items()}
    assert [bool(info.point_sigmas) for info in infos.values()] == [True, False, False]
    assert [info.head_sizes for info in infos.values()] == [False, True, False]
    for person in (one for item in sets["lsp"].splits()["val"] for one in item.persons):
        x1, y1, x2, y2 = person.box
        known = person.annotated > 0
        assert (person.points[known] >= (x1, y1)).all()
        assert (person.points[known] <= (x2, y2)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"joints": "faces"}, "joints must be one of coco, mpii, lsp, got 'faces'"),
        ({"image_size": 30}, "image_size must be at least 48, got 30"),
        ({"max_persons": 0}, "max_persons must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_errors(options, message):
    with pytest.raises(DataError, match=message):
        made(**options)
