"""Where a program runs: versions, devices, commit; for whoever repeats a run."""

import importlib.metadata
import pathlib
import platform
import subprocess
from typing import Any

import jax

# Whose version may change what a run computes.
_PACKAGES = (
    "jax",
    "jaxlib",
    "libtpu",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "grain",
    "opencv-python-headless",
)
_ROOT = pathlib.Path(__file__).parents[2]


def environment() -> dict[str, Any]:
    """Versions, devices and commit of this process, as JSON values.

    Of a package that is not installed there is no version, and no commit where this
    package is not a checkout or git is not there; `-dirty` ends that of a changed one.
    """
    import hrnet_jax

    versions = {"hrnet_jax": hrnet_jax.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    result: dict[str, Any] = {
        "versions": versions,
        "system": platform.platform(),
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "processes": jax.process_count(),
    }
    if commit := _commit():
        result["commit"] = commit
    return result


def _commit() -> str:
    """Of the checkout that this package is imported from; empty without one."""
    if not (_ROOT / ".git").exists():
        return ""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--abbrev=40"]
    try:
        found = subprocess.run(
            [*command, "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
