"""The report and the demo in a real browser.

Variables: HRNET_JAX_SCREENSHOTS, a folder for pictures of both; HRNET_JAX_PAGES_RUN, a
work directory of segmentation to show instead of the tiny one, with its data.
"""

import dataclasses
import json
import signal
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hrnet_jax.data.records import open_records
from hrnet_jax.pages.report import write_report
from tests import tiny

pytestmark = pytest.mark.slow

# A process of its own has to learn of the tiny network.
WITH_TINY = """
import runpy, sys
from tests import tiny
tiny.get_config()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def report(seen_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("seen") / "report.html"
    return write_report([seen_run], out, worst=6)


def ticks(page, chart):
    return chart.locator(".tick.x").all_text_contents()


def test_the_report_opens_without_errors_and_without_a_network(
    report, page, screenshot
):
    page.goto(report.as_uri())
    page.wait_for_selector(".chart svg path")
    assert page.said == []
    outside = [url for url in page.asked if not url.startswith("data:")]
    assert outside == [report.as_uri()]
    sizes = page.eval_on_selector_all(
        "img", "all => all.map(i => [i.naturalWidth, i.width, i.alt.length])"
    )
    assert len(sizes) == 6 and all(min(size) > 0 for size in sizes)
    paths = page.eval_on_selector_all(
        ".chart path", "all => all.map(p => p.getAttribute('d'))"
    )
    assert all(path.startswith("M") and "NaN" not in path for path in paths)
    screenshot(page, "report.png", height=2250)


def test_charts_zoom_show_values_and_return(report, page):
    page.goto(report.as_uri())
    chart = page.locator(".chart").first
    svg = chart.locator("svg")
    svg.scroll_into_view_if_needed()
    before = ticks(page, chart)
    box = svg.bounding_box()
    top, middle = box["y"] + 0.3 * box["height"], box["y"] + 0.5 * box["height"]
    page.mouse.move(box["x"] + 0.4 * box["width"], top)
    said = chart.locator("output").inner_text()
    assert "(step " in said
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], middle, steps=3)
    assert chart.locator(".chosen").get_attribute("visibility") == "visible"
    page.mouse.up()
    zoomed = ticks(page, chart)
    assert zoomed and zoomed != before
    assert float(zoomed[0]) >= float(before[0])
    assert float(zoomed[-1]) <= float(before[-1])
    svg.dblclick()
    assert ticks(page, chart) == before
    chart.locator("input").check()
    chart.locator("button").click()
    assert ticks(page, chart) == before
    assert page.said == []


def test_the_menu_shows_every_other_metric(report, page):
    page.goto(report.as_uri())
    chart = page.locator(".chart:has(select)").first
    names = chart.locator("option").all_inner_texts()
    assert len(names) > 5
    for name in names:
        chart.locator("select").select_option(label=name)
        assert chart.locator("svg").get_attribute("aria-label") == f"{name} over step"
        assert chart.locator("svg path").count() == 1
    assert page.said == []


def test_the_report_is_dark_where_the_reader_is(report, page):
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(report.as_uri())
        colours.append(
            page.evaluate(
                "() => ['backgroundColor', 'color']"
                ".map(key => getComputedStyle(document.body)[key])"
            )
        )
    (paper, ink), (dark, bright) = colours
    assert paper == "rgb(255, 255, 255)" and dark != paper and bright != ink
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()


@dataclasses.dataclass(frozen=True)
class Demo:
    """A demo that is served.

    Attributes:
        process: that serves it.
        url: of the page.
        begun: lines it printed.
    """

    process: subprocess.Popen
    url: str
    begun: list[str]


@pytest.fixture(scope="module")
def served(seen_run, tmp_path_factory):
    """The demo of the run, at a free port; its temporary files below a folder."""
    pytest.importorskip("gradio")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    folder = tmp_path_factory.mktemp("temporary")
    command = [sys.executable, "-c", WITH_TINY, str(tiny.ROOT / "scripts" / "demo.py")]
    process = subprocess.Popen(
        [*command, str(seen_run), f"--port={port}"],
        env=tiny.environment(TMPDIR=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("http"):
            break
    yield Demo(process, f"http://127.0.0.1:{port}/", lines)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # Ctrl-C is one line, and nothing of what was dropped stays.
    assert (process.returncode, out, err) == (0, "", "stopped by Ctrl-C\n")
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.fixture
def scenes(seen_data, tmp_path):
    """Twelve images of the run's data in one file."""
    records = open_records("shapes", seen_data, "val")
    images = [records[index % len(records)]["image"] for index in range(12)]
    rows = [np.concatenate(images[first : first + 4], 1) for first in (0, 4, 8)]
    path = tmp_path / "scenes.png"
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])
    return path


def drop(page, path):
    page.set_input_files("#image input[type=file]", str(path))


def test_an_image_is_dropped_and_its_overlay_legend_and_files_appear(
    served, page, scenes, screenshot
):
    assert "compiling for images of 640x480" in served.begun[0]
    assert served.begun[1].startswith("compiled in ")
    page.goto(served.url)
    drop(page, scenes)
    page.wait_for_selector("#picture img", timeout=120_000)
    page.wait_for_selector("#legend table")
    legend = page.inner_text("#legend")
    height, width = cv2.imread(str(scenes)).shape[:2]
    assert "background" in legend and f"{width} x {height} pixels" in legend
    first = page.get_attribute("#picture img", "src")
    size = page.eval_on_selector(
        "#picture img", "i => [i.naturalWidth, i.naturalHeight]"
    )
    assert size == [width, height]
    # Not of a picture that is still being faded in.
    page.wait_for_timeout(1000)
    screenshot(page, "demo.png", height=970)
    with page.expect_download() as label:
        page.click("#take-label")
    labels = cv2.imread(str(label.value.path()), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (height, width) and labels.max() < 7
    with page.expect_download() as numbers:
        page.click("#take-json")
    with open(numbers.value.path()) as file:
        classes = json.load(file)["classes"]
    assert {entry["id"] for entry in classes} == {*np.unique(labels).tolist()}
    assert all(entry["name"] in legend for entry in classes)
    page.click("#view label:has-text('confidence')")
    page.wait_for_function(
        "before => document.querySelector('#picture img').src !== before", arg=first
    )
    second = page.get_attribute("#picture img", "src")
    page.locator("#opacity input[type=range]").focus()
    page.keyboard.press("End")
    page.keyboard.up("End")
    page.locator("#opacity input[type=range]").dispatch_event("pointerup")
    page.wait_for_function(
        "before => document.querySelector('#picture img').src !== before", arg=second
    )
    assert page.said == []
    known = (served.url, "data:", "blob:")
    assert [url for url in page.asked if not url.startswith(known)] == []


@pytest.mark.parametrize(
    "name, expected",
    [
        ("notes.txt", "Invalid file type: notes.txt. Only image/* allowed."),
        ("notes.png", "notes.png is not an image file"),
    ],
)
def test_a_text_is_one_line_on_the_page(name, expected, served, page, tmp_path):
    path = tmp_path / name
    path.write_text("no image\n")
    page.goto(served.url)
    page.wait_for_selector("#image input[type=file]", state="attached")
    drop(page, path)
    page.wait_for_selector(".toast-body")
    assert expected in page.inner_text(".toast-body").splitlines()
    assert served.process.poll() is None
