"""Records in a bucket: copied once, checked, resumed, replaced."""

import shutil
import threading

import numpy as np
import pytest

from hrnet_jax.data import copies
from hrnet_jax.data.records import NotPreparedError, open_records, prepared_directory
from hrnet_jax.data.registry import prepare
from hrnet_jax.errors import DataError
from hrnet_jax.storage import paths
from tests import tiny

DATA = "gs://tests/data"


@pytest.fixture
def uploaded(bucket):
    """The tiny data set in the bucket."""
    copies._local_copy.cache_clear()
    local = prepared_directory("shapes", tiny.data_dir())
    copies.upload_prepared(local, paths.as_path(f"{DATA}/shapes/{local.name}"))
    yield bucket
    copies._local_copy.cache_clear()


def downloads(bucket) -> list[str]:
    """Names of the files that were read, without what is read to find the version."""
    found = [
        path.partition("?")[0].rpartition("%2F")[2]
        for method, path in bucket.requests
        if method == "GET" and "alt=media" in path
    ]
    bucket.requests.clear()
    copies._local_copy.cache_clear()
    return found


def is_same(records) -> bool:
    mine, theirs = records[3], open_records("shapes", tiny.data_dir(), "train")[3]
    return all(np.array_equal(mine[key], theirs[key]) for key in theirs)


def test_copies_once_and_reads_from_there(uploaded, tmp_path):
    records = open_records("shapes", DATA, "train", tmp_path)
    assert is_same(records) and len(records) == tiny.TRAIN_IMAGES
    version = prepared_directory("shapes", DATA).name
    place = tmp_path / "gs" / "tests" / "data" / "shapes" / version
    original = prepared_directory("shapes", tiny.data_dir())
    names = sorted(path.name for path in original.iterdir())
    assert sorted(path.name for path in place.iterdir()) == names
    assert sorted(downloads(uploaded)) == names
    open_records("shapes", DATA, "val", tmp_path)
    assert downloads(uploaded) == []
    # A worker process opens the copy.
    assert records.__reduce__()[1][1] == str(tmp_path / "gs" / "tests" / "data")


def test_goes_on_after_a_cut_and_copies_what_is_damaged(uploaded, tmp_path):
    open_records("shapes", DATA, "train", tmp_path)
    downloads(uploaded)
    root = tmp_path / "gs" / "tests" / "data" / "shapes"
    (version,) = [path for path in root.iterdir() if path.is_dir()]
    # As if it had been killed: some files there, one of them not what it was.
    draft = version.rename(version.with_name(f".{version.name}.copying"))
    (draft / "metadata.json").unlink()
    features = draft / "features.json"
    features.write_bytes(features.read_bytes().replace(b"a", b"b"))
    assert is_same(open_records("shapes", DATA, "train", tmp_path))
    assert sorted(downloads(uploaded)) == ["features.json", "metadata.json"]
    assert not draft.exists()
    # A file that lost its end is seen on the next start.
    shard = next(path for path in version.iterdir() if "train" in path.name)
    shard.write_bytes(shard.read_bytes()[:-10])
    assert is_same(open_records("shapes", DATA, "train", tmp_path))
    assert downloads(uploaded) == [shard.name]


def test_what_changed_in_the_bucket_is_copied_again(uploaded, tmp_path):
    open_records("shapes", DATA, "train", tmp_path)
    downloads(uploaded)
    metadata = prepared_directory("shapes", DATA) / "metadata.json"
    paths.write_object(metadata, metadata.read_bytes() + b"\n")
    downloads(uploaded)
    open_records("shapes", DATA, "train", tmp_path)
    assert downloads(uploaded) == ["metadata.json"]


def test_several_at_once_copy_once(uploaded, tmp_path, caplog):
    directory = prepared_directory("shapes", DATA)
    bodies = [
        threading.Thread(
            # Past the cache of one process, as several processes would.
            target=copies._local_copy.__wrapped__,
            args=(str(directory), DATA, str(tmp_path)),
        )
        for _ in range(3)
    ]
    for body in bodies:
        body.start()
    for body in bodies:
        body.join()
    found = downloads(uploaded)
    assert len(found) == len(set(found)) > 4
    assert is_same(open_records("shapes", DATA, "train", tmp_path))


def test_a_file_that_always_arrives_damaged(uploaded, tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_is_right", lambda path, facts: False)
    with pytest.raises(
        DataError, match=r"^gs://tests/data/shapes/.*: arrives with ano"
    ):
        open_records("shapes", DATA, "train", tmp_path)


def test_a_cache_that_cannot_be_written(uploaded, tmp_path, monkeypatch):
    (tmp_path / "gs").write_text("")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies, "_copy", full)
    with pytest.raises(DataError) as caught:
        open_records("shapes", DATA, "train", tmp_path / "other")
    assert str(caught.value) == (
        f"{tmp_path}/other/gs/tests/data: cannot be written (No space left on device); "
        "make room there, or name another folder: --config.dataset.cache_dir=FOLDER"
    )


def test_a_data_set_that_is_not_there(uploaded):
    with pytest.raises(NotPreparedError) as caught:
        open_records("camvid", DATA, "train")
    assert str(caught.value).startswith(
        "data set 'camvid' is not prepared in gs://tests/data (found there: shapes); "
        "run: python scripts/prepare_data.py --dataset=camvid --data_dir=gs://tests/data"
    )


def test_checksums(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"hrnet")
    # Of other tools: `openssl md5 -binary x | base64`, `gcloud storage hash x`.
    assert copies._is_right(path, {"size": 5, "md5Hash": "ruaZ/PtheqvA8dKFkr9QwA=="})
    assert not copies._is_right(path, {"size": 5, "md5Hash": "AAAA"})
    assert not copies._is_right(path, {"size": 5, "crc32c": "AAAA"})
    assert not copies._is_right(path, {"size": 4})
    assert copies._is_right(path, {"size": 5})


@pytest.mark.slow
def test_prepares_into_a_bucket(bucket, tmp_path):
    copies._local_copy.cache_clear()
    options = {"image_size": 32, "train": 4, "val": 2}
    info = prepare("shapes", DATA, **options)
    assert info.counts == {"train": 4, "val": 2}
    made = len(bucket.requests)
    assert prepare("shapes", DATA, **options) == info
    assert not [m for m, _ in bucket.requests[made:] if m != "GET"]
    assert len(open_records("shapes", DATA, "train", tmp_path)) == 4
    options["train"] = 5
    with pytest.raises(DataError, match="--overwrite"):
        prepare("shapes", DATA, **options)
    prepare("shapes", DATA, overwrite=True, **options)
    copies._local_copy.cache_clear()
    assert len(open_records("shapes", DATA, "train", tmp_path)) == 5
    shutil.rmtree(tmp_path)
