"""Commands that are killed leave nothing half, and end well when they run again."""

import json
import subprocess
import sys

import pytest

from tests import tiny
from tests.killed_commands import COMMANDS


def kill(tmp_path, *arguments):
    """Runs `tests.kills`: its outcomes by command."""
    path = tmp_path / "kills.json"
    outcome = subprocess.run(
        [sys.executable, "-m", "tests.kills", f"--json={path}", *arguments],
        cwd=tiny.ROOT,
        env=tiny.environment(),
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr + outcome.stdout
    return {each["command"]: each for each in json.loads(path.read_text())}


@pytest.mark.slow
def test_preparations_that_are_killed(tmp_path):
    outcome = kill(tmp_path, "--only=prepare", "--kills=2")["prepare"]
    assert outcome["killed"] == 2 and outcome["as_before"] == 2, outcome


@pytest.mark.slow
def test_every_command_that_is_killed(tmp_path):
    outcomes = kill(tmp_path, "--kills=3", "--seed=1")
    assert outcomes.keys() == COMMANDS.keys()
    assert all(each["killed"] for each in outcomes.values()), outcomes
    assert sum(each["while_writing"] for each in outcomes.values()) >= 5
