"""Paths in a bucket, what is said of wrong ones, and storage that does not answer."""

import logging
import pathlib
import sys
import time

import pytest

from hrnet_jax.errors import ConfigError, StorageError, in_one_line
from hrnet_jax.experiment.loading import load_config
from hrnet_jax.storage import paths, patience
from hrnet_jax.whole_files import put_in_place, unfinished_folder, whole_file
from hrnet_jax.workdir.files import read_json, write_json
from tests.storage.server import PATIENCE


def test_local_paths_stay_what_they_are(tmp_path):
    assert paths.as_path("runs/a") == pathlib.Path("runs/a")
    assert type(paths.as_path(tmp_path)) is type(tmp_path)
    assert paths.absolute("a") == pathlib.Path("a").absolute()
    assert not paths.is_remote("runs/a:b") and not paths.is_remote(tmp_path)
    with paths.local_file(tmp_path / "x") as file:
        assert file == tmp_path / "x"


@pytest.mark.parametrize(
    "path, message",
    [
        (
            "https://host/run",
            (
                "https://host/run: unknown scheme https://; expected a local path, or "
                "one that begins with gs://, s3://, az://"
            ),
        ),
        ("gs://", "gs://: no bucket named; expected gs://BUCKET/FOLDER"),
        ("gs:/bucket/run", "gs:/bucket/run: expected gs://bucket/run"),
        ("gs:bucket/run", "gs:bucket/run: expected gs://bucket/run"),
    ],
)
def test_a_path_of_no_bucket(path, message):
    with pytest.raises(ConfigError) as caught:
        paths.as_path(path)
    assert str(caught.value) == message


def test_without_the_extra(monkeypatch):
    for name in [*sys.modules]:
        if name.partition(".")[0] == "gcsfs" or name == "hrnet_jax.storage.google":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("hrnet_jax.storage.google", raising=False)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.setitem(sys.modules, "gcsfs.core", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        paths.as_path("gs://tests/run")
    assert in_one_line(caught.value) == (
        "this needs the package gcsfs, which is not installed: pip install -e '.[gcs]' "
        "in the folder of hrnet_jax"
    )


def test_files_in_a_bucket(bucket, tmp_path):
    run = paths.as_path("gs://tests/run")
    assert paths.absolute(run) == run and paths.is_remote(run / "a")
    assert paths.name_of(run) == "run"
    write_json(run / "a.json", {"x": 1})
    assert read_json(run / "a.json") == {"x": 1}
    assert run.is_dir() and (run / "a.json").is_file()
    # What fails on the way leaves the old content.
    with pytest.raises(ZeroDivisionError), whole_file(run / "a.json") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert read_json(run / "a.json") == {"x": 1}
    with unfinished_folder(run / "b.txt") as folder:
        (folder / "b.txt").write_text("b")
        put_in_place(folder / "b.txt", run / "b.txt")
    with paths.local_file(run / "b.txt") as copy:
        assert copy.name == "b.txt" and copy.read_text() == "b"
    assert not copy.exists()
    assert sorted(path.name for path in run.iterdir()) == ["a.json", "b.txt"]
    paths.remove_tree(run)
    assert not run.exists()
    paths.remove_tree(run)


def test_what_says_complete_comes_last_and_goes_first(bucket, tmp_path):
    for name in ("commit_success.txt", "a/x", "config.json", "z"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    run = paths.as_path("gs://tests/run")
    paths.upload_tree(tmp_path, run, last=("commit_success.txt", "config.json"))
    made = [path for method, path in bucket.requests if method == "POST"]
    assert len(made) == 4
    times = {name: (run / name).stat() for name in ("z", "config.json")}
    assert times["z"].length == 1 and (run / "a" / "x").read_text() == "a/x"
    bucket.requests.clear()
    paths.remove_tree(run)
    gone = [path for method, path in bucket.requests if method == "DELETE"]
    assert gone[0].endswith("run%2Fcommit_success.txt") and len(gone) > 4


def test_configuration_of_a_run_in_a_bucket(bucket):
    place = "gs://tests/run/config.json"
    with pytest.raises(ConfigError, match=f"^{place}: no such file; expected an exp"):
        load_config(place)
    write_json(place, {"task": "segmentation", "model": {"name": "segmentation/w18"}})
    assert load_config(place).model.name == "segmentation/w18"
    with pytest.raises(ConfigError, match=f"^{place} takes no options, got 'debug'"):
        load_config(f"{place}:debug")


def test_no_such_bucket(bucket):
    for ask in (
        lambda path: path.exists(),
        lambda path: path.is_dir(),
        lambda path: path.read_bytes(),
        lambda path: write_json(path, {}),
    ):
        with pytest.raises(StorageError) as caught:
            ask(paths.as_path("gs://absent/run/config.json"))
        assert in_one_line(caught.value) == "gs://absent: no such bucket; make it first"


@pytest.mark.parametrize(
    "path, arguments, place",
    [
        ("b/{}/o/{}", ("mine", "a/b"), "gs://mine/a/b"),
        ("b/{}/o", ("mine",), "gs://mine"),
        ("b/mine", (), "gs://mine"),
        ("https://host/upload/storage/v1/b/mine/o?name=a", (), "gs://mine"),
        ("https://host/batch/storage/v1", (), "gs://"),
    ],
)
def test_the_place_that_an_error_names(path, arguments, place):
    from hrnet_jax.storage import google

    assert google._place(path, arguments) == place


def test_no_permission(bucket):
    bucket.fail(status=403)
    path = paths.as_path("gs://tests/run/config.json")
    for ask in (path.exists, path.is_dir, path.read_bytes):
        with pytest.raises(StorageError) as caught:
            ask()
        assert in_one_line(caught.value).endswith(
            ": no permission; sign in as somebody who may read and write there (gcloud "
            "auth application-default login), or have this account granted it"
        )
        assert str(caught.value).startswith("gs://tests")


def test_another_refusal_is_one_line(bucket):
    bucket.fail(status=418)
    with pytest.raises(StorageError, match=r"^gs://tests.*: refused \(HTTP 418\)$"):
        paths.as_path("gs://tests/run").exists()


def test_asks_again_where_storage_does_not_answer(bucket, caplog, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY", 0.05)
    path = paths.as_path("gs://tests/a")
    with caplog.at_level(logging.INFO):
        bucket.fail(0.4)
        write_json(path, {})
    assert read_json(path) == {}
    first, last = [
        record.getMessage()
        for record in caplog.records
        if record.name == patience.__name__
    ]
    assert first == (
        "gs://tests does not answer (HTTP 503); asking again for up to 60 s"
    )
    assert last in [f"gs://tests answers again, after {n} s" for n in range(4)]


def test_gives_up_once_and_then_asks_once(bucket, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY", 0.05)
    monkeypatch.setenv(PATIENCE, "0.3")
    path = paths.as_path("gs://tests/a")
    bucket.fail()
    for expected in (0.3, 0.0):
        start = time.monotonic()
        with pytest.raises(StorageError) as caught:
            path.read_bytes()
        assert str(caught.value) == (
            "gs://tests: does not answer (HTTP 503), asked for 0 s"
        )
        assert expected <= time.monotonic() - start < expected + 0.5
    bucket.recover()
    assert not path.exists()


def test_a_server_that_is_gone(bucket, monkeypatch):
    monkeypatch.setenv(PATIENCE, "0")
    bucket.stop()
    with pytest.raises(StorageError, match="does not answer .*refused.*for 0 s"):
        paths.as_path("gs://tests/a").exists()


def test_patience_of_the_environment(monkeypatch):
    assert patience.patience() == patience.SECONDS
    # TensorStore makes 32 by itself.
    assert patience.tries_within(patience.SECONDS) == 33
    assert patience.tries_within(0) == 0
    for text in ("soon", "-1", "inf"):
        monkeypatch.setenv(PATIENCE, text)
        with pytest.raises(ConfigError) as caught:
            patience.patience()
        assert str(caught.value) == f"{PATIENCE}={text!r}; expected seconds, 0 or more"
