"""What is recorded of where a run was trained."""

import importlib.metadata
import json
import platform
import subprocess

import jax

from hrnet_jax.runtime import environment as module
from hrnet_jax.runtime.environment import environment
from tests import tiny


def test_versions_devices_and_commit_are_those_of_this_process():
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["jaxlib"] == importlib.metadata.version("jaxlib")
    assert "libtpu" not in found["versions"] or importlib.metadata.version("libtpu")
    assert found["devices"] == f"8 x {jax.devices()[0].device_kind}"
    assert found["processes"] == 1
    head = subprocess.run(
        ["git", "-C", str(tiny.ROOT), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    if head.returncode == 0:
        assert found["commit"].removesuffix("-dirty") == head.stdout.strip()


def test_without_git_or_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert "commit" not in environment()
    # Within somebody else's repository, as an installed package may be.
    monkeypatch.setattr(module, "_ROOT", tiny.ROOT / "hrnet_jax")
    assert "commit" not in environment()
