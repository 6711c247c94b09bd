"""A part that is not installed is one line, with a command of this checkout."""

import ast
import errno
import sys
import tomllib

import pytest

from hrnet_jax import errors
from hrnet_jax.config import command_line
from tests import tiny

PROJECT = tomllib.loads((tiny.ROOT / "pyproject.toml").read_text())["project"]
# Distribution -> package, where the names differ by more than a hyphen.
PACKAGES = {
    "absl-py": "absl",
    "opencv-python-headless": "cv2",
    "orbax-checkpoint": "orbax",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "jax[tpu]": "libtpu",
}
# Packages of extras that nothing here imports by name.
NOT_IMPORTED = {"hrnet_jax", "jax[cuda12]", "jupyterlab", "hrnet_jax[train]"}
NOT_IMPORTED |= {"mkdocs", "mkdocs-material", "mkdocstrings[python]"}


def extras_of_packages():
    found = {}
    for extra, requirements in PROJECT["optional-dependencies"].items():
        for requirement in requirements:
            name = requirement.split(">")[0]
            if name not in NOT_IMPORTED and not name.startswith("hrnet_jax"):
                found[PACKAGES.get(name, name.replace("-", "_"))] = extra
    return found


def test_every_package_of_an_extra_is_known():
    assert errors._EXTRAS == extras_of_packages()


def test_a_missing_package_is_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.delitem(sys.modules, "hrnet_jax.data.sources.cofw", raising=False)
    with pytest.raises(SystemExit) as stopped, command_line.reporting_errors():
        import hrnet_jax.data.sources.cofw  # noqa: F401
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "error: this needs the package h5py, which is not installed: "
        "pip install -e '.[prepare]' in the folder of hrnet_jax\n"
    )


def test_other_modules_that_are_missing_are_bugs():
    with pytest.raises(ModuleNotFoundError), command_line.reporting_errors():
        import hrnet_jax.nothing  # noqa: F401


def test_no_message_names_a_package_index():
    """This project is in none: a command that asks one gets nothing, or another's."""
    for path in (tiny.ROOT / "hrnet_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "install 'hrnet_jax" not in node.value, path


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (errors.DataError("wrong"), "wrong"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "/a: Permission de"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        # Of these a traceback tells more.
        (ConnectionResetError(errno.ECONNRESET, "reset", "/a"), None),
        (OSError(errno.EBADF, "Bad file descriptor"), None),
        (ModuleNotFoundError("hrnet_jax.gone", name="hrnet_jax.gone"), None),
        (ValueError("a bug"), None),
    ],
)
def test_errors_of_users_and_bugs_are_told_apart(error, line):
    said = errors.in_one_line(error)
    assert said is None if line is None else said.startswith(line)
