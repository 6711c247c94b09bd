"""The report on a set of objects: counts, warnings, pictures."""

import numpy as np

from hrnet_jax.data.info import load_info
from hrnet_jax.data.records import open_records, prepared_directory
from hrnet_jax.inspection.dataset_drawing import CELL, contact_sheet
from hrnet_jax.inspection.object_contents import ObjectContents
from tests.data import object_files as files


def test_counts_warnings_and_pictures(tmp_path):
    categories = [*files.DOCUMENT["categories"], {"id": 10, "name": "cow"}]
    content = files.with_annotation(0, bbox=[50, 5, 20, 10]) | {
        "categories": categories
    }
    source = files.write_coco(tmp_path / "source", content)
    files.prepare("detection_coco", source, tmp_path, unused="keep")
    info = load_info(prepared_directory("detection_coco", tmp_path))
    records = open_records("detection_coco", tmp_path, "train")
    contents = ObjectContents(info)
    assert set(contents.keys) <= records[0].keys()
    contents.count("train", records)
    counts = contents.counts["train"]
    assert counts.objects.tolist() == counts.images.tolist() == [1, 1, 0]
    assert counts.crowds == 1 and counts.outside == 1
    # Of 150.5 and of 20 pixels.
    assert counts.sides.tolist() == [12, 4]
    assert counts.in_image.tolist() == [1, 1]
    assert contents.warnings() == [
        "warning: class 2 (cow) has no object",
        "warning: 1 of 3 boxes of train reach over the edge of their image",
    ]
    lines = contents.text()
    assert lines[0] == "detection_coco: boxes and masks of 3 classes"
    assert lines[3].split() == ["0", "cat", "1", "50.0", "1"]
    stored = contents.as_json()["splits"]["train"]
    assert stored["objects_per_image"] == [1, 1] and stored["crowds"] == 1
    contents.draw(tmp_path)
    for name in contents.pictures:
        assert (tmp_path / name).stat().st_size > 5000
    picture = contents.picture(records[1])
    # 60 x 40 pixels, as wide as a cell; the cat from (2, 3) to (6, 8), four times.
    assert picture.shape == (160, CELL, 3)
    grey = np.ptp(picture.astype(int), axis=2) <= 4
    assert not grey[12:32, 8:24].any() and grey[40:150, 30:230].all()
    sheet = contact_sheet(records, 2, contents.picture)
    assert sheet.shape[1] > 2 * CELL
