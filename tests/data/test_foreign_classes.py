"""Damaged archives, tables and lists of classes: nothing but errors of our own."""

import json

import pytest
from hypothesis import strategies as st

from hrnet_jax.data.classes.archives import images_in
from hrnet_jax.data.classes.devkit import Devkit, read_real, read_synsets
from hrnet_jax.data.classes.source import ClassOptions
from hrnet_jax.data.info import load_info
from hrnet_jax.data.sources.classification_csv import (
    ClassificationCSV,
    ClassificationCSVOptions,
)
from hrnet_jax.data.sources.classification_folder import ClassificationFolder
from tests import damage
from tests.damaging import damaged_bytes, json_files
from tests.data import class_files as files
from tests.foreign import only_our_errors

COUNTS = [40, pytest.param(500, marks=pytest.mark.slow)]
pytestmark = pytest.mark.parametrize("count", COUNTS)


def test_archives(count, tmp_path):
    path = tmp_path / "a.tar"

    def read(data):
        path.write_bytes(data)
        for image in images_in(path):
            assert len(image.place.read()) == image.place.size

    whole = st.sampled_from([files.train_archive(), files.val_archive()])
    only_our_errors(read, whole.flatmap(damaged_bytes), count)


def test_the_table_of_the_devkit(count, tmp_path):
    path = tmp_path / "meta.mat"

    def read(data):
        path.write_bytes(data)
        read_synsets(path)

    only_our_errors(read, damaged_bytes(files.devkit_files()["meta.mat"]), count)


def test_the_devkit_in_its_archive(count, tmp_path):
    def read(data):
        (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(data)
        Devkit(tmp_path)

    only_our_errors(read, damaged_bytes(files.devkit_archive()), count)


def test_lists_of_validation_images(count, tmp_path):
    names = [files.val_name(number)[:-5] for number in (1, 2, 3)]
    rows = [f"{name},n01440764 1 2 3 4" for name in names]
    tables = damage.tables(["\n".join(["ImageId,PredictionString", *rows])])

    def read(data):
        (tmp_path / "LOC_val_solution.csv").write_bytes(data)
        Devkit(tmp_path)

    only_our_errors(read, tables, count)


def test_real_labels(count, tmp_path):
    path = tmp_path / "real.json"

    def read(data):
        path.write_bytes(data)
        read_real(path, 3)

    only_our_errors(read, json_files([[0], [1, 2], [], [2]]), count)


def test_tables(count, tmp_path):
    for seed, name in enumerate("abc"):
        files.write_image(tmp_path / f"{name}.jpg", seed)
    texts = ["image,label\na.jpg,cat\nb.jpg,dog\nc.jpg,cat\n"]
    texts += ["image,cat,dog\na.jpg,1,0\nb.jpg,0,1\nc.jpg,1,1\n"]
    options = [
        ClassificationCSVOptions(ratios=(1.0,)),
        ClassificationCSVOptions(ratios=(1.0,), multi_label=True),
    ]

    def read(given):
        (tmp_path / "labels.csv").write_bytes(given[0])
        ClassificationCSV(tmp_path, given[1]).info("x")

    strategy = st.tuples(damage.tables(texts), st.sampled_from(options))
    only_our_errors(read, strategy, count)


def test_lists_of_classes(count, tmp_path):
    files.write_folders(tmp_path, ["cat/a.jpg", "cat/b.jpg", "dog/a.jpg", "dog/b.jpg"])

    def read(data):
        (tmp_path / "classes.txt").write_bytes(data)
        ClassificationFolder(tmp_path, ClassOptions()).info("x")

    only_our_errors(read, damage.tables(["0 dog a dog\n1 cat a cat\n"]), count)


def test_descriptions_of_tfds(count, tmp_path):
    features = {
        "image": {"pythonClassName": "a.Image"},
        "label": {"pythonClassName": "a.ClassLabel", "classLabel": {"numClasses": "3"}},
        "file_name": {"pythonClassName": "a.Text"},
    }
    splits = [{"name": "train", "shardLengths": ["3"]}]
    documents = {
        "features.json": {"featuresDict": {"features": features}},
        "dataset_info.json": {
            "name": "x",
            "fileFormat": "array_record",
            "splits": splits,
        },
    }
    for name, document in documents.items():
        (tmp_path / name).write_text(json.dumps(document))
    for name, document in documents.items():

        def read(data, name=name):
            (tmp_path / name).write_bytes(data)
            load_info(tmp_path)

        only_our_errors(read, json_files(document), count // 2)
        (tmp_path / name).write_text(json.dumps(document))
