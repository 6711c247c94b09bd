"""What is to run on rented machines, checked before they cost anything."""

import dataclasses
import pathlib
import re
import shlex
import subprocess
import tarfile
from collections.abc import Sequence

from hrnet_jax.errors import ConfigError
from hrnet_jax.launching.shell import Shell, root
from hrnet_jax.launching.slices import CloudSlice, find_slice
from hrnet_jax.whole_files import whole_file

# Exit code of a run that was stopped with everything saved, as
# `training.interruption` has it (which needs JAX).
RUN_AGAIN = 75
# Exit codes that would come again: a bug, wrong input.
HOPELESS = (1, 2)

EXTRAS = "all,tpu,gcs"
ARCHIVE = "hrnet_jax.tar.gz"
# Pods have the name with up to 20 letters more, hosts names of 63 at most.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
# Flags of folders, which all hosts have to see.
_WORKDIR, _DATA = "--workdir", "--config.dataset.data_dir"
_FOLDERS = (_WORKDIR, _DATA, "--sweepdir")


@dataclasses.dataclass(frozen=True)
class Job:
    """A command of this project on a slice.

    Attributes:
        name: of the rented thing, in Google Cloud or Kubernetes.
        slice: where it runs, one process on each host.
        command: script and arguments, as in the root of the checkout.
        extras: of the project, to be installed there.
    """

    name: str
    slice: CloudSlice
    command: tuple[str, ...]
    extras: str = EXTRAS

    @property
    def folder(self) -> pathlib.Path:
        """Files for this job, below the root of the checkout; git ignores them."""
        return pathlib.Path(".cache", "tpu", self.name)

    @property
    def requirement(self) -> str:
        """What pip is to install in the root of the checkout."""
        return f".[{self.extras}]"

    def line(self, python: str) -> str:
        """The command as a shell reads it."""
        return shlex.join([python, *self.command])

    def flag(self, name: str) -> str | None:
        """The value that the command gives to a flag, or None."""
        return _flag(self.command, name)


def make_job(name: str, topology: str, extras: str, command: tuple[str, ...]) -> Job:
    """The job of a command line.

    Args:
        name: of the job.
        topology: of its slice, such as v5e:4x4.
        extras: of the project, separated by commas.
        command: script and arguments.

    Raises:
        ConfigError: for a name that is none, a slice that is not rented, a script that
            is not in the checkout, and results or data that only this machine has.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--name={name}; expected at most 40 lower-case letters, digits "
            "and hyphens, with a letter first, such as w48-cityscapes"
        )
    if not re.fullmatch(r"[a-z]+(,[a-z]+)*", extras):
        raise ConfigError(f"--extras={extras}; expected names such as {EXTRAS},wandb")
    _check_command(command)
    return Job(name, find_slice(topology), command, extras)


def _check_command(command: Sequence[str]) -> None:
    script, *_ = command
    if not script.endswith(".py") or not (root() / script).is_file():
        raise ConfigError(
            f"{script}: no such script in this checkout; expected one such as "
            "scripts/train.py"
        )
    for name in _FOLDERS:
        value = _flag(command, name)
        if value is not None and not _is_elsewhere(value):
            raise ConfigError(
                f"{name}={value} is a folder of one machine; expected a bucket, "
                "gs://BUCKET/FOLDER, or the absolute path of a disk that all hosts mount"
            )
    config = _flag(command, "--config")
    if config is not None and "://" not in config:
        path = config.partition(":")[0]
        if path.startswith("/") or not (root() / path).is_file():
            raise ConfigError(
                f"--config={config}: {path} is no file of this checkout, which is what "
                "the machines have; expected one such as experiments/quickstart.py"
            )
    if pathlib.Path(script).name != "train.py":
        return
    if _flag(command, _WORKDIR) is None:
        raise ConfigError(
            f"{_WORKDIR} is missing; expected gs://BUCKET/FOLDER for results and "
            "checkpoints, which outlive the machines"
        )
    if config is not None and _flag(command, _DATA) is None:
        raise ConfigError(
            f"{_DATA} is missing; expected where the prepared records are, "
            "gs://BUCKET/FOLDER"
        )


def _flag(command: Sequence[str], name: str) -> str | None:
    for place, word in enumerate(command):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name and place + 1 < len(command):
            return command[place + 1]
    return None


def _is_elsewhere(path: str) -> bool:
    return "://" in path or path.startswith("/")


def write_archive(job: Job, shell: Shell) -> pathlib.Path:
    """Packs the checkout as it stands, without what git ignores.

    Returns:
        The archive, below the root of the checkout.

    Raises:
        ConfigError: if git does not know this folder.
    """
    path = job.folder / ARCHIVE
    if shell.dry_run:
        shell.note(f"file {path}: this checkout, without what git ignores")
        return path
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root(),
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        raise ConfigError(f"{root()}: git lists no files here; expected a git checkout")
    (root() / job.folder).mkdir(parents=True, exist_ok=True)
    with (
        whole_file(root() / path) as file,
        tarfile.open(fileobj=file, mode="w:gz") as archive,
    ):
        for name in sorted(set(listing.stdout.split("\0")) - {""}):
            # What was deleted and not committed is listed as well.
            if (root() / name).is_file():
                archive.add(root() / name, name)
    return path
