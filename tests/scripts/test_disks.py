"""Every command that writes, on a disk that is full and on one that is read-only."""

import contextlib
import os
import shutil
import subprocess

import pytest

from hrnet_jax.conversion.importing import export_weights
from hrnet_jax.data.registry import prepare
from hrnet_jax.errors import DataError
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.whole_files import whole_file, write_whole
from tests import tiny
from tests.killed_commands import COMMANDS
from tests.left_over import contents, is_litter, listing

MODULES = (
    *("conversion.importing", "data.registry", "data.summary", "export.writing"),
    *("inference.folder", "inspection.dataset_report", "training.evaluate"),
    *("training.curves", "training.train", "conversion.opening"),
)


@contextlib.contextmanager
def small_disk(folder, size="16m"):
    """A disk of its own at a folder; skips where this process cannot mount one."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if mount is None or subprocess.run(command, check=False).returncode:
        pytest.skip("this process cannot mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk, free):
    """Leaves so many bytes free."""
    size = shutil.disk_usage(disk).free - free
    with open(disk / "filler", "wb") as file:
        file.write(bytes(size))


def test_a_full_disk_leaves_the_file_before_and_is_named(tmp_path):
    with small_disk(tmp_path / "disk", "64k") as disk:
        path = disk / "a.txt"
        write_whole(path, "before")
        fill(disk, 8192)
        with pytest.raises(OSError) as error, whole_file(path) as file:
            file.write(bytes(100_000))
        assert (error.value.filename, error.value.strerror) == (
            str(path),
            "No space left on device",
        )
        assert path.read_text() == "before"
        assert sorted(os.listdir(disk)) == ["a.txt", "filler"]


def test_records_on_a_full_disk_spare_those_before(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        options = {"image_size": 32, "val": 1}
        prepare("shapes", disk, train=4, **options)
        before = contents(disk)
        fill(disk, 12_000)
        with pytest.raises(DataError) as error:
            prepare("shapes", disk, None, True, train=64, **options)
        assert str(error.value) == (
            f"{disk}/shapes/1.0.0: cannot be written (No space left on device); make "
            "room there, or choose another --data_dir"
        )
        (disk / "filler").unlink()
        assert contents(disk) == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """What the commands read, as `tests.kills` makes it."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        shutil.copytree(tiny.data_dir(), folder / "data")
        shutil.copytree(tiny.finished_run(), folder / "run")
        export_weights(folder / "run", "best", folder / "tiny.pth")
    (folder / "names.txt").write_text("\n".join("abcdefg"))
    (folder / "photographs").mkdir()
    picture = tiny.ROOT / "docs" / "results" / "plan_w48.png"
    shutil.copy(picture, folder / "photographs")
    return folder


@pytest.fixture(scope="module")
def run(shared, tmp_path_factory):
    """Runs the commands, each in its own folder, and returns their outcomes."""

    def run_all(kind, places):
        commands = {}
        for name, place in places.items():
            fields = {"shared": shared, "place": place, "root": tiny.ROOT}
            command = getattr(COMMANDS[name], kind)
            if command:
                commands[name] = [argument.format(**fields) for argument in command]
        folder = tmp_path_factory.mktemp("outputs")
        modules = [f"hrnet_jax.{module}" for module in MODULES]
        return tiny.run_scripts(commands, folder, *modules, "tests.tiny", "torch")

    return run_all


@pytest.fixture(scope="module")
def disks(run, tmp_path_factory):
    """A small disk for each command, with what is there before."""
    folder = tmp_path_factory.mktemp("disks")
    with contextlib.ExitStack() as stack:
        found = {
            name: stack.enter_context(small_disk(folder / str(number)))
            for number, name in enumerate(COMMANDS)
        }
        for code, _, err in run("before", found).values():
            assert code == 0, err
        yield found


def files(disk):
    """Name -> bytes."""
    paths = [path for path in disk.rglob("*") if path.is_file()]
    return {str(path.relative_to(disk)): path.read_bytes() for path in paths}


def remount(disks, options):
    for disk in disks.values():
        command = ["mount", "-o", f"remount,{options}", str(disk)]
        subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def read_only(disks, run):
    """Outcomes on disks that cannot be written to."""
    remount(disks, "ro")
    try:
        return run("arguments", disks)
    finally:
        remount(disks, "rw")


@pytest.fixture(scope="module")
def full(disks, run):
    """Files before and after on full disks, the outcomes, and those with room again."""
    before = {name: files(disk) for name, disk in disks.items()}
    for disk in disks.values():
        fill(disk, 20_000)
    outcomes = run("arguments", disks)
    for disk in disks.values():
        (disk / "filler").unlink()
    after = {name: files(disk) for name, disk in disks.items()}
    return before, after, outcomes, run("arguments", disks)


def assert_one_line(outcome, disk, reason):
    """Wrong input, said in one line beside progress and news."""
    code, out, err = outcome
    assert code == 2, err
    (line,) = [line for line in err.splitlines() if "rror" in line]
    assert line.startswith("error: ") and str(disk) in line, line
    assert reason in line and ".unfinished" not in line, line
    assert "Traceback" not in err and "error" not in out


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_only_disk_is_named(name, read_only, disks):
    assert_one_line(read_only[name], disks[name], "ead-only file system")
    assert not any(map(is_litter, listing(disks[name])))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_named_spares_what_is_there_and_takes_it_up_again(
    name, full, disks
):
    before, after, outcomes, again = full
    assert_one_line(outcomes[name], disks[name], "o space left on device")
    assert before[name].items() <= after[name].items()
    new = after[name].keys() - before[name].keys()
    if COMMANDS[name].in_one_piece:
        assert not new
    # Orbax keeps what it could write until the run goes on.
    assert name == "train" or not any(map(is_litter, new))
    code, _, err = again[name]
    assert code == 0, err
    assert not any(map(is_litter, listing(disks[name])))
