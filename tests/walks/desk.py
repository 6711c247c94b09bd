"""A user's folder, and commands of the pages typed in it."""

import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping

from tests import tiny
from tests.walks import pages

# What a page writes and what a walk types instead: the same command in less time.
CHEAP = {
    "XLA_FLAGS=--xla_force_host_platform_device_count=8": "XLA_FLAGS='"
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0'",
    "experiments/segmentation/folder.py": "experiments/segmentation/folder.py:debug",
    "experiments/landmarks/csv.py": "experiments/landmarks/csv.py:debug",
    "experiments/quickstart.py": "experiments/quickstart.py:debug",
    "experiments/detection/own.py": "experiments/detection/own.py:debug",
    "experiments/detection/shapes.py": "experiments/detection/shapes.py:debug",
    "experiments/pose/own.py": "experiments/pose/own.py:debug",
    "512x1024": "64x96",
    "num_steps=900": "num_steps=6",
    # The host of the pages, and its port, which a test may find taken.
    "10.0.0.7:8476": "127.0.0.1:{port}",
    "train.py ...": "train.py --config=experiments/quickstart.py:debug "
    "--workdir=runs/hosts",
}

# What libraries and Python say by themselves; no user is to see it.
NOISE = re.compile(r"Traceback|Warning\b|WARNING|^[WEF]\d{4} \d\d:\d\d", re.MULTILINE)

_DEVICES = "--xla_force_host_platform_device_count"
# A walk waits for compilations, on a busy machine.
_PATIENCE = 900


@dataclasses.dataclass(frozen=True)
class Printed:
    """What a command printed."""

    out: str
    err: str


class Desk:
    """An empty folder with links to the scripts, as in the root of a checkout.

    Args:
        folder: made if missing.
        table: what this walk types: name -> (page, how its command begins).
        **variables: of the environment.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        table: Mapping[str, tuple[str, str]],
        **variables: str,
    ):
        self.folder = folder
        self._table = table
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("scripts", "experiments"):
            if not (folder / name).exists():
                (folder / name).symlink_to(tiny.ROOT / name)
        # Tests have eight devices and one Python of many; users, what their machine has.
        flags = os.environ.get("XLA_FLAGS", "").split()
        kept = [flag for flag in flags if not flag.startswith(_DEVICES)]
        self.variables = {
            "XLA_FLAGS": " ".join([*kept, "--xla_backend_optimization_level=0"]),
            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        } | variables

    def command(self, name: str, *more: str, **values: object) -> str:
        """What is typed for an entry of the table: the page's words, made cheap.

        Args:
            name: of the entry.
            *more: arguments that the page leaves to the reader.
            **values: for `{}` of `CHEAP`.
        """
        text = pages.filled(pages.command(*self._table[name]))
        for words, cheap in CHEAP.items():
            text = re.sub(rf"{re.escape(words)}(?![:\w])", cheap, text)
        for key, value in values.items():
            text = text.replace(f"{{{key}}}", str(value))
        return " ".join([text, *more])

    def type(self, name: str, *more: str, code: int = 0, **values: object) -> Printed:
        """Types a command and waits for its end.

        Args:
            name: of an entry of the table.
            *more: arguments that the page leaves to the reader.
            code: the exit code that the page promises.
            **values: for `{}` of `CHEAP`.
        """
        return self.finish(self.start(name, *more, **values), code)

    def start(self, name: str, *more: str, **values: object) -> subprocess.Popen:
        """Types a command and does not wait."""
        return self.shell(self.command(name, *more, **values))

    def shell(self, command: str, **variables: str) -> subprocess.Popen:
        """Begins any command line, in a session of its own like a terminal's."""
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=tiny.environment(**self.variables | variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(
        self, process: subprocess.Popen, code: int = 0, err: str = ""
    ) -> Printed:
        """Waits for a command's end and looks at what it says.

        Args:
            process: from `start`.
            code: its exit code.
            err: what was read of its standard error already.
        """
        try:
            out, rest = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        err += rest
        assert process.returncode == code, f"{process.args[2]}\n{out}\n{err}"
        noise = NOISE.search(out + err)
        assert not noise, f"{process.args[2]}\n{out}\n{err}"
        if code == 2:
            assert len(err.splitlines()) == 1 and err.startswith("error: "), err
        return Printed(out, err)

    def interrupt(
        self, process: subprocess.Popen, line: str, number: signal.Signals, code: int
    ) -> Printed:
        """Sends a signal, as a terminal does to all of a command, once it says `line`.

        Args:
            process: from `start`.
            line: a pattern of what it prints on standard error.
            number: the signal.
            code: the exit code after it.
        """
        seen = ""
        last = threading.Timer(_PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
        last.start()
        for text in process.stderr:
            seen += text
            if re.search(line, text):
                break
        last.cancel()
        assert process.poll() is None, f"{process.args[2]}\n{seen}"
        os.killpg(process.pid, number)
        return self.finish(process, code, seen)

    def has(self, *names: str) -> None:
        """Fails unless these files are there; patterns stand for at least one."""
        missing = [name for name in names if not any(self.folder.glob(name))]
        assert not missing, f"{missing} of {sorted(os.listdir(self.folder))}"
