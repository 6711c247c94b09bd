"""Elements, and the escaping of everything that a name may say."""

import json

import numpy as np
import pytest

from hrnet_jax.pages import charts, html, sections
from hrnet_jax.pages.findings import Findings, as_picture
from hrnet_jax.training.recorded import Recorded
from tests.pages.reading import Page

NASTY = "<script>alert('\"&amp;')</script>"


def test_text_is_escaped_and_markup_is_not():
    made = html.tag("p", NASTY, html.tag("b", True, None), ["<", 3], title=NASTY)
    assert "<script>" not in made
    page = Page(made)
    assert page.text == f"{NASTY}True<3"
    assert page.all("p") == [{"title": NASTY}]


def test_attributes_are_spelled_as_in_html():
    made = html.tag("input", class_="x", aria_label="y", checked=True, id=None, a=False)
    assert made == '<input class="x" aria-label="y" checked>'


def test_data_cannot_end_its_script():
    made = html.data("names", {"name": "</script><b>", "values": [1.5, None]})
    assert made.count("</script>") == 1
    assert Page(made).data == {"names": {"name": "</script><b>", "values": [1.5, None]}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        html.data("names", [float("nan")])


def test_names_of_classes_and_images_are_escaped_everywhere():
    counts = [["true \\ predicted", NASTY, "b"], [NASTY, "3", "1"], ["b", "0", "4"]]
    tables = {
        "classes": [["class", "iou"], [NASTY, "0.5000"]],
        "confusion": counts,
        "images": [["image", "mean_iou", "mistaken"], [NASTY, "0.1", NASTY]],
        "own": [["what", NASTY], ["x", "1"]],
    }
    shown = as_picture(NASTY.replace("/", "_"), np.zeros((4, 2000, 3), np.uint8))
    found = Findings({}, [NASTY], tables, {}, [shown])
    made = html.join(sections.findings("run", found))
    assert "<script>" not in made
    page = Page(made)
    assert page.text.count(NASTY) == 8
    assert page.table(counts[0][0])[NASTY] == ["75", "25"]
    assert page.table("what")["x"] == ["1"]
    (image,) = page.all("img")
    assert (image["width"], image["height"]) == ("960", "2")
    # The picture says how bad its image is.
    assert f"{NASTY.replace('/', '_')}: mean_iou 0.1" in page.text


def test_a_confusion_of_many_classes_is_a_picture():
    names = [f"class {index}" for index in range(60)]
    rows = [["", *names], *([name, *["1"] * 60] for name in names)]
    drawn = as_picture("confusion", np.zeros((9, 9, 3), np.uint8))
    found = Findings({}, [], {"confusion": rows}, {"confusion": drawn}, [])
    page = Page(html.join(sections.findings("run", found)))
    assert page.tables == []
    assert page.all("img")[0]["alt"] == "confusion matrix of 60 classes"


def test_long_tables_are_cut_and_say_so():
    rows = [["image", "mean_iou"], *([str(index), "0"] for index in range(50))]
    page = Page(
        html.join(sections.findings("run", Findings({}, [], {"images": rows}, {}, [])))
    )
    assert len(page.table("image")) == 21
    assert "the first 20 of 50; scripts/evaluate.py --report writes all" in page.text


def test_many_metrics_are_folded():
    metrics = {"mean": 0.5, **{f"iou/{index}": 0.1 for index in range(20)}}
    page = Page(html.join(sections.metrics({"a": metrics, "b": {"other": 1.0}})))
    assert [len(rows) - 1 for rows in page.tables] == [2, 20]
    assert page.tables[0][1:] == [["mean", "0.5000", ""], ["other", "", "1.0000"]]
    assert "20 more" in page.text


def test_a_long_curve_keeps_its_ends_and_peaks():
    values = np.sin(np.arange(100_000))
    values[777], values[50_001] = 9, np.nan
    steps, kept = charts.thinned(np.arange(100_000), values)
    assert 1000 < len(steps) < 2100
    assert [steps[0], steps[-1]] == [0, 99_999]
    assert np.nanmax(kept) == 9 and 50_001 in steps
    np.testing.assert_array_equal(kept, values[steps])
    assert (np.diff(steps) > 0).all()


def test_runs_keep_their_colours_and_gaps_are_gaps(tmp_path):
    steps = np.array([1, 2])
    curves = {"train/loss": (steps, np.array([np.inf, 0.25]))}
    rates = {"train/learning_rate": (steps, np.array([1e-2, 1e-5]))}
    runs = [
        Recorded(tmp_path / "a", "eval/iou", rates),
        Recorded(tmp_path / "b", None, curves),
    ]
    page = Page(charts.charts_of_runs(runs))
    loss, ranking, rate = (page.data[f"curve-{index}"][0] for index in range(3))
    assert [(one["name"], one["colour"], one["y"]) for one in loss["series"]] == [
        ("b", 1, [None, 0.25])
    ]
    assert ranking["series"] == [] and ranking["title"] == "evaluation iou"
    assert rate["log"] and not loss["log"]
    assert json.dumps(rate["series"][0]["y"]) == "[0.01, 1e-05]"
