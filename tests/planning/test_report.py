"""Plans as a table and as JSON."""

import dataclasses
import json

import pytest

from hrnet_jax.planning import report
from hrnet_jax.planning.plan import Program
from tests.planning import plans

TWO = [plans.plan("v5e:2x4"), plans.plan("v5e:4x4", batch_size=32)]


def rows(text):
    """Label -> cells of the first row with that label."""
    found = {}
    for line in filter(None, text.splitlines()):
        label, *cells = [part.strip() for part in line.strip().split("  ") if part]
        found.setdefault(label, cells)
    return found


def test_slices_stand_side_by_side():
    text = report.format_plans(TWO, "the experiment", "the data")
    assert text.startswith("experiment   the experiment\ndata         the data\n")
    table = rows(text)
    assert table["chips"] == ["8", "16"]
    assert table["mesh"] == ["data 8, space 1", "data 16, space 1"]
    assert table["batch, all chips"] == ["16 (2 each)", "32 (2 each)"]
    assert table["operations"] == ["197 G (150)"] * 2
    assert table["HBM traffic"] == ["1.64 GB"] * 2
    assert table["all-reduce"] == ["10 x, 4 MB"] * 2
    assert table["roofline"] == ["2 ms (HBM)"] * 2
    assert table["images/s, all chips"] == ["8000 .. 4008", "1.6e+04 .. 8016"]
    assert table["seconds of one"] == ["0.126 .. 0.251"] * 2


def test_kinds_of_traffic_come_with_the_largest_first():
    lines = report.format_plans(TWO, "", "").splitlines()
    labels = [line.strip().split("  ")[0] for line in lines]
    assert labels.index("prefetch and eviction") < labels.index("convolutions")


def test_notes_say_for_which_slice():
    text = report.format_plans(TWO, "", "")
    assert "note, v5e:2x4: a note\nnote, v5e:4x4: a note\n" in text
    assert report.LEGEND in text


def test_what_does_not_fit_says_why_and_nothing_else():
    small = dataclasses.replace(
        TWO[0], train=Program(16, None, None, "needs 20GiB, 15.75GiB are free")
    )
    table = rows(report.format_plans([small, TWO[1]], "", ""))
    assert table["fits"][0] == "no: needs 20GiB, 15.75GiB are free"
    assert table["roofline"] == ["-", "2 ms (HBM)"]
    assert table["hours of the schedule"][0] == "-"
    assert table["dollars of the schedule"][0] == "-"
    (entry, _) = report.as_json([small, TWO[1]], "", "")["plans"]
    assert entry["train"] == {
        "batch_size": 16,
        "fits": False,
        "reason": "needs 20GiB, 15.75GiB are free",
    }
    assert entry["roofline"]["hours"] is None


def test_loops_that_count_once_are_told():
    assert "loops counted once" not in report.format_plans(TWO, "", "")
    loopy = dataclasses.replace(
        TWO[0], train=plans.program("v5e:2x4", 16, unknown_loops=2)
    )
    assert rows(report.format_plans([loopy], "", ""))["loops counted once"] == ["2"]


def test_json_has_every_figure_in_plain_units():
    values = json.loads(json.dumps(report.as_json(TWO, "the experiment", "the data")))
    assert values["experiment"] == "the experiment"
    first = values["plans"][0]
    assert first["topology"] == "v5e:2x4" and first["chips"] == 8
    assert first["train"]["fits"] is True
    assert first["train"]["costs"]["hbm"]["convolutions"] == 800e6
    assert first["train"]["costs"]["memory"]["temporaries"] == 3
    assert first["train"]["seconds"]["hbm"] == pytest.approx(2e-3)
    assert first["train"]["bound"] == "HBM"
    assert first["expected"]["images_per_second"] == pytest.approx(4008, rel=1e-3)
    assert first["notes"] == ["a note"]
