"""Commands of other programs, and files for them: run and written, or only shown."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from hrnet_jax.errors import ConfigError
from hrnet_jax.whole_files import write_whole

# Letters of a line of a command that is shown.
_WIDTH = 88
# What to install for a program that is missing.
_SOURCES = {
    "gcloud": "the Google Cloud CLI, cloud.google.com/sdk/docs/install",
    "kubectl": "gcloud components install kubectl",
    "sky": "SkyPilot, in an environment of its own: pip install 'skypilot[gcp]'",
    "git": "git",
}


class Shell:
    """Runs commands in the root of the checkout.

    Args:
        dry_run: print every command and every file to standard output instead.
    """

    def __init__(self, dry_run: bool):
        self.dry_run = dry_run

    def note(self, text: str) -> None:
        """Says what is done next, or what happened."""
        if self.dry_run:
            sys.stdout.write(f"# {text}\n")
        else:
            sys.stderr.write(f"{text}\n")

    def run(self, command: Sequence[str]) -> int:
        """Runs a command whose output is the user's to read.

        Returns:
            Its exit code; 0 where it is only shown.

        Raises:
            ConfigError: if there is no such program.
        """
        self._show(command)
        if self.dry_run:
            return 0
        # What we printed comes before what it prints.
        sys.stdout.flush()
        code = subprocess.call([_program(command[0]), *command[1:]], cwd=root())
        return code if code >= 0 else 128 - code

    def ask(self, command: Sequence[str]) -> tuple[int, str]:
        """Runs a command whose output is read here.

        Returns:
            Its exit code and what it printed: on standard output if it succeeded, else
            the last line on standard error. Nothing where it is only shown.

        Raises:
            ConfigError: if there is no such program.
        """
        if self.dry_run:
            self._show(command)
            return 0, ""
        done = subprocess.run(
            [_program(command[0]), *command[1:]],
            cwd=root(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return 0, done.stdout.strip()
        return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]

    def write(self, path: pathlib.Path, text: str) -> None:
        """Writes a file; its folder is made.

        Args:
            path: below the root of the checkout.
            text: all of it.
        """
        if self.dry_run:
            shown = "".join(f"    {line}".rstrip() + "\n" for line in text.splitlines())
            sys.stdout.write(f"# file {path}:\n{shown}")
            return
        (root() / path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(root() / path, text)

    def _show(self, command: Sequence[str]) -> None:
        if self.dry_run:
            sys.stdout.write(f"$ {shown_command(command)}\n")
        else:
            sys.stderr.write(f"$ {shlex.join(command)}\n")


def root() -> pathlib.Path:
    """The checkout that is to run elsewhere: where the user stands.

    Raises:
        ConfigError: if that is not the root of one.
    """
    here = pathlib.Path.cwd()
    if not (here / "pyproject.toml").is_file() or not (here / "hrnet_jax").is_dir():
        raise ConfigError(
            f"{here}: no checkout of hrnet_jax; type the command in its folder, which "
            "is copied to the machines"
        )
    return here


def shown_command(command: Sequence[str]) -> str:
    """A command as one would type it, on several lines where it is long."""
    lines: list[str] = []
    for word in map(shlex.quote, command):
        if lines and len(lines[-1]) + len(word) < _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}" if lines else word)
    return " \\\n".join(lines)


def _program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH"))
    if found is None:
        raise ConfigError(f"{name}: no such command; expected {_SOURCES[name]}")
    return found
