"""Classification sets that TFDS prepared, where they lie."""

import json
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds

from hrnet_jax.data.info import DatasetInfo, load_info
from hrnet_jax.data.records import find_prepared, open_records
from hrnet_jax.data.registry import prepare
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from tests.data import class_files as files


class _Builder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """A set with the features of TFDS's `imagenet2012`."""

    VERSION = tfds.core.Version("5.1.0")
    name = "imagenet2012"

    def _info(self):
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=files.IDS),
            "file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _shard_iterators_per_split(self, dl_manager):
        sizes = {"train": 5, "validation": 3, "test": 2}
        return {
            split: [lambda split=split, n=n: self._examples(split, n)]
            for split, n in sizes.items()
        }

    def _examples(self, split, number):
        for k in range(number):
            label = -1 if split == "test" else k % 3
            name = f"{split}_{k}.JPEG"
            yield k, {"image": files.jpeg([k]), "label": label, "file_name": name}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    _Builder(data_dir=folder, file_format="array_record").download_and_prepare(
        download_dir=folder / "downloads"
    )
    return folder


def test_records_are_read_where_they_lie(written):
    info = load_info(find_prepared("imagenet2012", written))
    assert info.image_class_ids == files.IDS
    assert info.default_splits == {"train": "train", "eval": "val"}
    assert DatasetInfo.from_json(info.to_json()) == info
    assert "images of 3 classes" in summarize(info)
    train = open_records("imagenet2012", written, "train")
    assert len(train) == 5 and train.labelled
    one = train[1]
    assert one.keys() == {"image", "image_id", "class"}
    k = int(one["image_id"].removeprefix("train_").removesuffix(".JPEG"))
    assert one["class"] == k % 3 and one["image"].shape == (*files.SIZE, 3)
    encoded = pickle.loads(pickle.dumps(train.encoded()))
    assert encoded[1]["image"] == files.jpeg([k])
    np.testing.assert_array_equal(train.image_sizes(), [files.SIZE] * 5)
    np.testing.assert_array_equal(train.encoded().image_sizes(), [files.SIZE] * 5)
    # Another name of a split stores nothing.
    val = open_records("imagenet2012", written, "val[:2]")
    other = open_records("imagenet2012", written, "validation[:2]")
    assert [one["image_id"] for one in val] == [one["image_id"] for one in other]
    test = open_records("imagenet2012", written, "test")
    assert not test.labelled and "class" not in test[0]


def test_what_cannot_be_read_is_named(written, monkeypatch):
    directory = find_prepared("imagenet2012", written)
    path = directory / "dataset_info.json"
    text = path.read_text()
    try:
        path.write_text(json.dumps(json.loads(text) | {"fileFormat": "tfrecord"}))
        with pytest.raises(
            DataError, match=r"stored as 'tfrecord'.* tfds convert_forma"
        ):
            open_records("imagenet2012", written, "train")
        path.write_text(json.dumps({"fileFormat": "array_record", "splits": [{}]}))
        with pytest.raises(DataError, match="key 'splits' does not tell the images"):
            load_info(directory)
    finally:
        path.write_text(text)
    with pytest.raises(
        DataError, match=r"dataset.name=imagenet2012 dataset.data_dir=.*"
    ):
        prepare("imagenet", written / "other", directory)
