"""Damaged files of boxes: every reader raises nothing but errors of its own."""

import contextlib

import pytest
from hypothesis import strategies as st

from hrnet_jax.data.sources.detection_coco import DetectionCOCO, DetectionCOCOOptions
from hrnet_jax.data.sources.voc import VOC, VOCOptions
from hrnet_jax.data.sources.yolo import YOLO, YOLOOptions
from hrnet_jax.imaging import run_lengths
from tests import damage
from tests.data import object_files as files
from tests.data.test_foreign_points import checked, stored
from tests.foreign import COUNTS, only_our_errors

pytestmark = pytest.mark.parametrize("count", COUNTS)

LENIENT = {"empty": "keep", "unused": "keep", "invalid": "drop"}


@pytest.fixture
def folder(tmp_path):
    for name in "ab":
        files.write_image(tmp_path / f"{name}.jpg")
    return tmp_path


def test_coco(count, folder):
    options = [
        DetectionCOCOOptions(annotations="all.json", ratios=(1.0,), **more)
        for more in ({}, LENIENT, {"classes": ("cat",), "empty": "drop"})
    ]

    def read(given):
        stored(folder / "all.json", given[0])
        checked(DetectionCOCO(folder, given[1]))

    documents = damage.documents([files.DOCUMENT])
    only_our_errors(read, st.tuples(documents, st.sampled_from(options)), count)


def test_voc(count, folder):
    path = folder / "a.xml"
    objects = [("cat", 3, 5, 20, 25, 0), ("dog", 30, 10, 50, 40, 1)]
    files.write_xml(path, objects)
    text = path.read_text().replace("><", ">\n<")
    options = [
        VOCOptions(ratios=(1.0,), **more)
        for more in (LENIENT, {"corners": "pixels", "empty": "keep"})
    ]

    def read(given):
        stored(path, given[0])
        checked(VOC(folder, given[1]))

    strategy = st.tuples(damage.tables([text]), st.sampled_from(options))
    only_our_errors(read, strategy, count)


def test_yolo(count, folder):
    texts = ["0 0.5 0.375 0.5 0.25\n1 0.1 0.1 0.2 0.1 0.2 0.3\n"]
    names = ["names: [cat, dog]\nnc: 2\n", "names:\n  0: cat\n  1: dog\n"]
    options = [
        YOLOOptions(ratios=(1.0,), **LENIENT),
        YOLOOptions(ratios=(1.0,), empty="keep"),
    ]

    def read(given):
        stored(folder / "a.txt", given[0])
        stored(folder / "data.yaml", given[1])
        checked(YOLO(folder, given[2]))

    strategy = st.tuples(
        damage.tables(texts), damage.tables(names), st.sampled_from(options)
    )
    only_our_errors(read, strategy, count)


def test_run_lengths(count):
    def read(given):
        with contextlib.suppress(ValueError):
            run_lengths.decode(given, (40, 3))

    letters = st.characters(min_codepoint=46, max_codepoint=113)
    only_our_errors(read, st.text(letters, max_size=20), count)
