"""`--help` of every script answers at once: it reads nothing but the command line."""

import pytest

from tests import tiny

SCRIPTS = sorted((tiny.ROOT / "scripts").rglob("*.py"))

HELP = """
import atexit, os, runpy, sys
sys.argv = [sys.argv[1], "--help"]
slow = "jax flax orbax optax grain clu tensorflow matplotlib".split()
atexit.register(lambda: print("imported:", *(set(slow) & set(sys.modules))))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_help_imports_no_slow_library(path):
    process = tiny.run_python(HELP, str(path))
    assert process.returncode == 0, process.stderr
    *text, imported = process.stdout.splitlines()
    assert len(text) > 5
    assert imported == "imported:"


@pytest.mark.parametrize("script", ["convert", "evaluate", "export", "predict"])
def test_every_script_that_opens_a_run_can_change_its_configuration(script):
    process = tiny.run_python(HELP, str(tiny.ROOT / "scripts" / f"{script}.py"))
    assert "--config.KEY=VALUE" in process.stdout
    assert "--set KEY=VALUE" in process.stdout
