"""Files and folders are whole or not there, and what killed processes left goes."""

import multiprocessing
import pathlib
import threading
import time

import pytest

from hrnet_jax import whole_files
from hrnet_jax.whole_files import unfinished_folder, whole_file, write_whole
from tests.left_over import listing


def hold(folder, connection):
    """A process that writes a file and a folder until it is killed."""
    with whole_file(folder / "a.txt") as file, unfinished_folder(folder / "b") as inner:
        file.write(b"half")
        file.flush()
        (inner / "c").write_text("half")
        connection.send(True)
        connection.recv()


def test_what_another_process_writes_stays_until_it_is_killed(tmp_path, caplog):
    here, there = multiprocessing.Pipe()
    # Not forked: this process has threads.
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=hold, args=(tmp_path, there))
    process.start()
    assert here.recv()
    caplog.set_level("INFO")
    whole_files.remove_leftovers.cache_clear()
    write_whole(tmp_path / "a.txt", "whole")
    assert len(list(tmp_path.iterdir())) == 3 and not caplog.messages
    process.kill()
    process.join()
    whole_files.remove_leftovers.cache_clear()
    write_whole(tmp_path / "a.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert len(caplog.messages) == 2
    assert all("a process that was killed left it" in line for line in caplog.messages)


def test_a_folder_that_a_library_makes_anew_after_a_failure_goes(tmp_path):
    def write_late(folder):
        for _ in range(5):
            time.sleep(0.05)
            (folder / "inner").mkdir(parents=True, exist_ok=True)

    with pytest.raises(OSError, match="full"), unfinished_folder(tmp_path / "a") as one:
        writer = threading.Thread(target=write_late, args=(one,))
        writer.start()
        raise OSError("full")
    writer.join()
    assert list(tmp_path.iterdir()) == []


def test_files_of_a_user_are_no_leftovers(tmp_path):
    names = {"a.unfinished", ".a.unfinished", ".a.0123abcd.unfinished.txt", ".git"}
    for name in names:
        (tmp_path / name).write_text("mine")
    write_whole(tmp_path / "b", b"")
    assert {path.name for path in tmp_path.iterdir()} == names | {"b"}


def test_links_devices_and_permissions_stay(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
    write_whole(tmp_path / "link.txt", "one")
    (tmp_path / "real" / "a.txt").chmod(0o640)
    write_whole(tmp_path / "link.txt", "two")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "two"
    assert (tmp_path / "real" / "a.txt").stat().st_mode & 0o777 == 0o640
    write_whole("/dev/null", "nothing")
    assert pathlib.Path("/dev/null").is_char_device()


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    write_whole(tmp_path / "a.txt", "before")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError) as error:
        write_whole(tmp_path / "none" / "a.txt", "")
    assert error.value.filename == str(tmp_path / "none" / "a.txt")
    assert listing(tmp_path) == {"./a.txt"}
