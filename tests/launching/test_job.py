"""What is checked before anything is rented, for all three launchers."""

import shutil
import subprocess
import tarfile

import pytest

from tests.launching.conftest import TRAIN

SCRIPTS = ("vm", "gke", "skypilot")

REFUSED = {
    "name": (["--name=W48"], TRAIN, "--name=W48; expected at most 40 lower-case"),
    "extras": (["--extras=all tpu"], TRAIN, "--extras=all tpu; expected names such"),
    "topology": (
        ["--topology=v5e:3x3"],
        TRAIN,
        "topology 'v5e:3x3': Google Cloud rents no such slice; nearest to it are",
    ),
    "script": (
        [],
        ["--", "scripts/trian.py", "--workdir=gs://b/w"],
        "scripts/trian.py: no such script in this checkout; expected one such as",
    ),
    "own folder": (
        [],
        [*TRAIN[:-1], "--workdir=runs/w48"],
        "--workdir=runs/w48 is a folder of one machine; expected a bucket, gs://",
    ),
    "own data": (
        [],
        [*TRAIN, "--config.dataset.data_dir", "data"][:2]
        + ["--config.dataset.data_dir", "data", "--workdir=gs://b/w"],
        "--config.dataset.data_dir=data is a folder of one machine; expected a bucket",
    ),
    "own sweep": (
        [],
        ["--", "scripts/train.py", "--sweepdir=runs/s", "--workdir=gs://b/w"],
        "--sweepdir=runs/s is a folder of one machine; expected a bucket",
    ),
    "experiment elsewhere": (
        [],
        ["--", "scripts/train.py", "--config=/home/me/mine.py:w48", *TRAIN[3:]],
        "--config=/home/me/mine.py:w48: /home/me/mine.py is no file of this checkout",
    ),
    "experiment that is not there": (
        [],
        ["--", "scripts/train.py", "--config=experiments/mine.py", *TRAIN[3:]],
        "--config=experiments/mine.py: experiments/mine.py is no file of this checkout",
    ),
    "no data": (
        [],
        [*TRAIN[:3], TRAIN[-1]],
        "--config.dataset.data_dir is missing; expected where the prepared records",
    ),
    "no work directory": (
        [],
        TRAIN[:-1],
        "--workdir is missing; expected gs://BUCKET/FOLDER for results",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_input_is_one_line_and_nothing_is_called(name, launch, stand_ins):
    options, command, message = REFUSED[name]
    for script in SCRIPTS:
        code, out, err = launch(script, *options, command=command)
        assert (code, out) == (2, ""), err
        assert err.startswith(f"error: {message}") and err.count("\n") == 1
    assert stand_ins.calls() == []


def test_a_command_is_needed(launch):
    for script in SCRIPTS:
        code, _, err = launch(script, command=())
        assert code == 2 and "expected a command after --" in err


def test_a_run_is_resumed_by_its_work_directory_alone(launch):
    command = ["--", "scripts/train.py", "--workdir", "gs://b/runs/w48"]
    for script in SCRIPTS:
        code, out, err = launch(script, "--dry_run", command=command)
        assert code == 0, err
        assert "scripts/train.py --workdir gs://b/runs/w48" in out


def test_outside_a_checkout_nothing_is_launched(launch, checkout):
    (checkout / "pyproject.toml").unlink()
    code, _, err = launch("vm")
    assert code == 2
    assert f"{checkout}: no checkout of hrnet_jax; type the command in its" in err


def test_a_folder_that_git_does_not_know_is_told(launch, checkout):
    (checkout / ".git").rename(checkout / "no.git")
    code, _, err = launch("vm")
    assert code == 2
    assert (
        err == f"error: {checkout}: git lists no files here; expected a git checkout\n"
    )


@pytest.mark.parametrize(
    ("script", "program"), [("vm", "gcloud"), ("gke", "gcloud"), ("skypilot", "sky")]
)
def test_a_missing_program_is_told_with_its_source(
    script, program, launch, stand_ins, monkeypatch
):
    (stand_ins.folder / program).unlink()
    # Git is found, nothing else.
    (stand_ins.folder / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(stand_ins.folder))
    code, _, err = launch(script)
    assert code == 2
    assert f"error: {program}: no such command; expected " in err


def test_a_dry_run_calls_and_writes_nothing(launch, stand_ins, checkout):
    before = sorted(checkout.rglob("*"))
    for script in SCRIPTS:
        code, out, err = launch(script, "--dry_run")
        assert (code, err) == (0, "")
        assert out.startswith("# v5e:4x4 (v5litepod-16, ct5lp-hightpu-4t): 16 chips")
        assert "\n$ " in out and "\n# file .cache/tpu/w48/" in out
    assert stand_ins.calls() == []
    assert sorted(checkout.rglob("*")) == before


def test_the_archive_is_the_checkout_without_what_git_ignores(launch, checkout):
    (checkout / "new.py").write_text("# not committed\n")
    # Deleted, and still known to git.
    (checkout / "old.py").touch()
    subprocess.run(["git", "add", "old.py"], cwd=checkout, check=True)
    (checkout / "old.py").unlink()
    launch("gke")
    with tarfile.open(checkout / ".cache/tpu/w48/hrnet_jax.tar.gz") as archive:
        assert archive.getnames() == [
            *(".gitignore", "experiments/quickstart.py"),
            *("hrnet_jax/__init__.py", "new.py"),
            *("pyproject.toml", "scripts/train.py"),
        ]
