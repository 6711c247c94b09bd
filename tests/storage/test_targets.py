"""Names that results are to have: what is refused, and in which words."""

import os
import pathlib
import tempfile

import pytest

from hrnet_jax.errors import CheckpointError, ConfigError, StorageError
from hrnet_jax.storage import paths, targets


def refusal(check, *arguments, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        check(*arguments, **options)
    return str(caught.value)


def test_what_can_be_written_is_given_back_and_nothing_is_made(tmp_path):
    (tmp_path / "old.json").touch()
    (tmp_path / "link").symlink_to("gone/x.json")
    for name in ("x.json", "old.json", "a/b/x.JSON", "link"):
        suffixes = () if name == "link" else (".json",)
        path = targets.check_file(tmp_path / name, suffixes=suffixes)
        assert path == tmp_path / name
    for name in ("", "a", "a/b"):
        assert targets.check_folder(tmp_path / name) == tmp_path / name
    assert targets.check_file("/dev/stdout") == pathlib.Path("/dev/stdout")
    assert sorted(os.listdir(tmp_path)) == ["link", "old.json"]


def test_relative_names_are_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert targets.check_file("x.json") == pathlib.Path("x.json")
    assert targets.check_folder("a/b") == pathlib.Path("a/b")
    (tmp_path / "a").touch()
    message = refusal(targets.check_folder, "a/b")
    assert message == f"{tmp_path}/a is a file; expected a folder for b"


def test_what_is_in_the_way_is_named(tmp_path):
    (tmp_path / "old").touch()
    (tmp_path / "link").symlink_to("old/x")
    file, folder = targets.check_file, targets.check_folder
    assert refusal(file, tmp_path) == (
        f"{tmp_path} is a folder; expected the name of a file"
    )
    assert refusal(
        file, tmp_path / "x", what="a page", suffixes=(".a", ".b", ".c")
    ) == (f"{tmp_path}/x: expected a page, which ends in .a, .b or .c")
    assert refusal(file, tmp_path / "old", overwrite=False) == (
        f"{tmp_path}/old exists already; choose another name, or --overwrite"
    )
    in_the_way = f"{tmp_path}/old is a file; expected "
    assert refusal(file, tmp_path / "old/a/x") == f"{in_the_way}a folder for x"
    assert refusal(file, tmp_path / "link") == f"{in_the_way}a folder for link"
    assert refusal(folder, tmp_path / "old", what="here") == f"{in_the_way}here"
    with pytest.raises(CheckpointError, match=" is a file; expected a folder$"):
        folder(tmp_path / "old", error=CheckpointError)


@pytest.mark.parametrize("name", ["", "new/deeper"])
def test_a_folder_that_takes_no_files_is_named(name, tmp_path, monkeypatch):
    def refuse(dir):
        raise OSError(30, "Read-only file system", f"{dir}/tmp1234")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    reason = "cannot be written (Read-only file system"
    where = f", in {tmp_path}" if name else ""
    message = refusal(targets.check_folder, tmp_path / name)
    assert message == f"{tmp_path / name}: {reason}{where})"
    message = refusal(targets.check_file, tmp_path / name / "x")
    assert message == f"{tmp_path / name}/x: {reason}, in {tmp_path})"


def test_a_full_disk_may_have_room_in_the_end(tmp_path, monkeypatch):
    def full(dir):
        raise OSError(28, "No space left on device", dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert targets.check_file(tmp_path / "x") == tmp_path / "x"


def test_names_in_a_bucket(bucket):
    paths.write_object("gs://tests/old/x.json", b"{}")
    for name in ("gs://tests/x.json", "gs://tests/new/x.json"):
        assert targets.check_file(name, overwrite=False) == paths.as_path(name)
    assert targets.check_folder("gs://tests/new") == paths.as_path("gs://tests/new")
    assert refusal(targets.check_file, "gs://tests/old") == (
        "gs://tests/old is a folder; expected the name of a file"
    )
    assert refusal(targets.check_folder, "gs://tests/old/x.json") == (
        "gs://tests/old/x.json is a file; expected a folder"
    )
    message = refusal(targets.check_file, "gs://tests/old/x.json", overwrite=False)
    assert message.startswith("gs://tests/old/x.json exists already; choose another")
    for check in (targets.check_file, targets.check_folder):
        with pytest.raises(StorageError) as caught:
            check("gs://absent/x")
        assert str(caught.value) == "gs://absent: no such bucket; make it first"
