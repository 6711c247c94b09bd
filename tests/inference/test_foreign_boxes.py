"""Damaged files of boxes: reading raises nothing but errors of its own."""

import pathlib

import pytest

from hrnet_jax.inference.boxes import match_boxes, read_boxes
from tests import damage
from tests.foreign import COUNTS, only_our_errors

ONE = [10, 20, 60.5, 70]
DOCUMENTS = (
    {"a.jpg": [ONE, ONE], "b.jpg": [], "c/d.jpg": ONE},
    [{"image": "a.jpg", "boxes": [ONE]}, {"image": "b.jpg", "box": ONE}],
    {"model": "m", "images": [{"image": "a.jpg", "found": [{"box": ONE}]}]},
    {
        "classes": ["cat", "face"],
        "images": [
            {"image": "a.jpg", "found": [{"name": "cat", "score": 0.9, "box": ONE}]}
        ],
    },
)
TABLES = (
    "image,x1,y1,x2,y2\na.jpg,1,2,30,40.5\nb.jpg,1,2,3,4\na.jpg,5,6,7,8\n",
    "image;x1;y1;x2;y2\r\na.jpg;1,5;2;30;40,25\r\n",
)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_boxes(suffix, count, tmp_path):
    path = tmp_path / f"boxes.{suffix}"

    def read(data):
        path.unlink(missing_ok=True)  # Replacing its content may wait for the disk.
        path.write_bytes(data)
        found = read_boxes(path)
        match_boxes([pathlib.Path("a.jpg"), pathlib.Path("c/d.jpg")], found)

    strategy = damage.documents(DOCUMENTS)
    if suffix == "csv":
        strategy = damage.tables(TABLES)
    only_our_errors(read, strategy, count)
