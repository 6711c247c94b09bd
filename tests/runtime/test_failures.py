"""What the user sees when one of several processes fails.

tests/training/test_processes.py has wrong input that all processes meet.
"""

import subprocess
import sys

import pytest

from tests import tiny

# Process 1 fails while process 0 waits for its part of a sum.
PROGRAM = """
import os, sys, time
import jax
from hrnet_jax.config import command_line
from hrnet_jax.errors import DataError
with command_line.reporting_errors_together():
    from hrnet_jax.runtime import processes
    if jax.process_index() == 1:
        time.sleep(0.5)
        {failure}
    processes.check_equal("thing", "same")
print("finished", jax.process_index())
"""


def run(tmp_path, failure):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(failure=failure))
    process = subprocess.run(
        [sys.executable, str(tiny.ROOT / "scripts/launch/local.py"), "--", str(path)],
        env=tiny.environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return process.returncode, process.stdout, process.stderr.splitlines()


@pytest.mark.slow
def test_wrong_input_of_one_process_is_told_by_the_first(tmp_path):
    found = run(tmp_path, 'raise DataError("record 7 does not decode")')
    assert found == (2, "", ["error: process 1: record 7 does not decode"])


def test_a_bug_of_one_process_ends_all_and_shows_its_traceback(tmp_path):
    code, out, lines = run(tmp_path, "None.shape")
    message = "AttributeError: 'NoneType' object has no attribute 'shape'"
    assert (code, out) == (1, "")
    assert lines[:2] == [f"error: process 1: {message}", "process 1 exited with 1"]
    assert "[1] Traceback (most recent call last):" in lines
    assert f"[1] {message}" in lines
