"""The report on a set of images with classes: counts, warnings, pictures."""

import numpy as np

from hrnet_jax import registry
from hrnet_jax.data.info import load_info
from hrnet_jax.data.records import open_records, prepared_directory
from hrnet_jax.data.registry import prepare
from hrnet_jax.inspection import dataset_report
from hrnet_jax.inspection.class_contents import ClassContents
from hrnet_jax.inspection.dataset_drawing import CELL, contact_sheet
from hrnet_jax.inspection.label_contents import LabelContents
from tests.data import class_files as files


def test_counts_warnings_and_pictures(tmp_path):
    source = tmp_path / "source"
    names = [f"{s}/{c}/{k}.jpg" for s in ("train", "val") for c in "ab" for k in "123"]
    files.write_folders(source, [*names, "train/c/1.jpg"])
    wide = files.encoded(files.picture(99, (10, 60)))
    files.write_image(source / "train/a/4.jpg", data=wide)
    prepare("classification_folder", tmp_path, source)
    info = load_info(prepared_directory("classification_folder", tmp_path))
    contents = ClassContents(info)
    records = {
        split: open_records("classification_folder", tmp_path, split)
        for split in ("train", "val")
    }
    assert set(contents.keys) <= records["train"][0].keys() and contents.encoded
    for split, each in records.items():
        contents.count(split, each.encoded())
    counts = contents.counts["train"]
    assert counts.images.tolist() == [4, 3, 1] and counts.classes.tolist() == [1] * 8
    assert min(map(tuple, counts.sizes.tolist())) == (10, 60)
    assert contents.warnings() == ["warning: no image of class 2 (c) in val"]
    lines = contents.text()
    assert lines[0] == "classification_folder: images of 3 classes"
    assert lines[3].split() == ["0", "a", "4", "50.00", "3", "50.00"]
    assert contents.as_json()["splits"]["val"]["images"] == [3, 3, 0]
    contents.draw(tmp_path)
    for name in contents.pictures:
        assert (tmp_path / name).stat().st_size > 5000
    (sample,) = (one for one in records["train"] if one["image_id"] == "a/4")
    picture = contents.picture(sample)
    # As wide as a cell, and the name of the class below.
    assert picture.shape == (40 + 20, CELL, 3)
    band = picture[40:].astype(int)
    assert (band.min(2) < 200).any() and (band[:, 30:] == 255).all()
    assert contact_sheet(records["val"], 2, contents.picture).shape[1] > 2 * CELL


def test_sets_for_several_tasks_are_reported_by_what_only_they_have(
    tmp_path, monkeypatch
):
    """Scenes have masks and a class each; the masks say more."""
    names = ["classification", "segmentation"]
    monkeypatch.setattr(registry, "task_names", lambda: names)
    sizes = {"train": 1, "val": 0, "image_size": 32}
    for name, kind in (("shapes", LabelContents), ("shapes_classes", ClassContents)):
        info = prepare(name, tmp_path, **sizes)
        records = open_records(name, tmp_path, "train")
        assert type(dataset_report._contents_of(info, records)) is kind


def test_images_of_several_classes_and_of_many(tmp_path):
    source = tmp_path / "source"
    many = [f"class{k:02d}" for k in range(70)]
    files.write_image(source / "a.jpg", 0)
    files.write_image(source / "b.jpg", 1)
    text = f"image,label\na.jpg,{'|'.join(many)}\nb.jpg,class07\n"
    (source / "labels.csv").write_text(text)
    options = {"multi_label": True, "ratios": (1.0,)}
    info = prepare("classification_csv", tmp_path, source, **options)
    contents = ClassContents(info)
    records = open_records("classification_csv", tmp_path, "train")
    contents.count("train", records.encoded())
    assert sorted(contents.counts["train"].classes.tolist()) == [1, 70]
    assert contents.text()[0].endswith("70 classes, several for an image")
    contents.draw(tmp_path)
    assert contents.warnings() == []
    pictures = [contents.picture(one) for one in records]
    assert all(one.shape[1] == CELL for one in pictures)
    assert np.all(contents._order()[-1:] == [7])
