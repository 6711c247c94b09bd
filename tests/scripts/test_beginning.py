"""The first lines of every script: Ctrl-C and missing parts while it still imports."""

import json

import pytest

from hrnet_jax import errors
from tests import tiny

SCRIPTS = sorted((tiny.ROOT / "scripts").rglob("*.py"))

# Ctrl-C at the first import that the beginning of a script has not made already.
PRESSED = """
import os, pkgutil, runpy, signal, sys, time
from hrnet_jax.config import script

class Press:
    def find_spec(self, name, *_):
        sys.meta_path.remove(self)
        print(name, flush=True)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Press())
runpy.run_path(sys.argv[1], run_name="__main__")
"""

# What `pip install -e .` brings, and no package of an extra.
BASE_ALONE = """
import json, runpy, sys

class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing = json.loads(sys.argv[1])
sys.meta_path.insert(0, Missing())
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

BEGINNING = """
import sys
before = set(sys.modules)
from hrnet_jax.config import script
print(*{name.partition(".")[0] for name in set(sys.modules) - before}
      - sys.stdlib_module_names)
"""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_ctrl_c_while_a_script_imports_is_one_line(path):
    process = tiny.run_python(PRESSED, str(path))
    assert process.stdout.split() != []
    assert process.stderr == "interrupted by Ctrl-C\n"
    assert process.returncode == 130


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_without_extras_every_script_says_what_to_install(path):
    missing = json.dumps(sorted(errors._EXTRAS))
    process = tiny.run_python(BASE_ALONE, missing, str(path), "--help")
    assert process.stderr == (
        "error: this needs the package absl, which is not installed: "
        "pip install -e '.[predict]' in the folder of hrnet_jax\n"
    )
    assert (process.returncode, process.stdout) == (2, "")


def test_other_errors_of_imports_keep_their_traceback(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from hrnet_jax.config import script\nscript.begins()\nimport not_there\n"
    )
    process = tiny.run_python(BASE_ALONE, "[]", str(path))
    assert process.returncode == 1
    assert process.stderr.startswith("Traceback")
    assert process.stderr.endswith("No module named 'not_there'\n")


def test_what_a_script_begins_with_waits_for_no_library():
    assert tiny.run_python(BEGINNING).stdout.split() == ["hrnet_jax"]
