"""The picture of the scaling."""

import cv2
import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.planning.drawing import draw_scaling
from hrnet_jax.planning.plan import Program
from tests.coloured import colours
from tests.planning import plans

PLANS = [
    plans.plan("v5e:4x4", 32),
    plans.plan("v5e:2x4", 16),
    plans.plan("v4:2x2x1", 8),
]


def test_the_picture_is_written(tmp_path):
    draw_scaling(PLANS, "title", tmp_path / "plan.png")
    pixels = cv2.imread(str(tmp_path / "plan.png"))
    assert pixels.shape[0] > 500
    # Two chips and the parts of a step.
    draw_scaling(PLANS[:1], "title", tmp_path / "one.png")
    assert colours(tmp_path / "plan.png") >= colours(tmp_path / "one.png") >= 3
    assert (pixels != cv2.imread(str(tmp_path / "one.png"))).any()
    draw_scaling(PLANS, "title", tmp_path / "plan.svg")
    svg = (tmp_path / "plan.svg").read_text()
    assert "<svg" in svg and svg.count("<path") > 20


def test_nothing_that_fits_is_nothing_to_draw(tmp_path):
    large = plans.plan(train=Program(16, None, None, "too large"))
    draw_scaling([*PLANS, large], "title", tmp_path / "plan.png")
    with pytest.raises(ConfigError, match="fits on none"):
        draw_scaling([large], "title", tmp_path / "plan.png")


def test_an_unwritable_picture_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"none/plan\.png: cannot be written"):
        draw_scaling(PLANS, "title", tmp_path / "none" / "plan.png")
    with pytest.raises(ConfigError, match=r"plan\.txt: cannot be written"):
        draw_scaling(PLANS, "title", tmp_path / "plan.txt")
