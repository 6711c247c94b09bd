"""Results on disk: `benchmarks/results/*.json`, each with where it comes from."""

import datetime
import json
import os
import pathlib
import platform
import shlex
import subprocess
from collections.abc import Sequence

from benchmarks.timing import environment
from hrnet_jax.errors import ConfigError

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks" / "results"


def provenance(module: str, arguments: Sequence[str]) -> dict:
    """Machine, versions, date, commit and command of a result.

    Args:
        module: name of the benchmark, `compare_torch`.
        arguments: its command line.

    Returns:
        JSON values; `commit` is None outside a git checkout, `modified` says
        whether files differed from the commit.
    """
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "command": shlex.join(["python", f"benchmarks/{module}.py", *arguments]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "modified": None if status is None else bool(status),
        "environment": environment()
        | {"system": platform.platform(), "memory_bytes": _memory_bytes()},
    }


def _git(*arguments: str) -> str | None:
    """What git prints, or None where there is no git or no repository."""
    try:
        process = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return process.stdout.strip() if process.returncode == 0 else None


def _memory_bytes() -> int | None:
    """Memory of the machine, where the system tells it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def write_report(path: str | os.PathLike, report: dict) -> None:
    """Writes a report as JSON; its folder is made if missing."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: a sweep rewrites its report after every case.
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(json.dumps(report, indent=1) + "\n")
    draft.replace(path)


def read_report(path: str | os.PathLike) -> dict:
    """Reads a report.

    Raises:
        ConfigError: if there is none, or it is not a JSON object.
    """
    try:
        report = json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(report, dict) or "command" not in report:
        raise ConfigError(f"{path} is not a report of these benchmarks")
    return report
