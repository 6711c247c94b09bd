"""The Makefile: which environment `quickstart` and `venv` set up, and when again."""

import os
import re
import shutil
import subprocess

import pytest

from tests import tiny
from tests.test_requirements import EXTRAS, everything_in

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make")

# Of an environment that is set up: notes what it is asked to run.
PYTHON = """#!/bin/sh
echo "$@" >> {log}
"""


@pytest.fixture
def make(tmp_path):
    """Calls make with an environment that is there: arguments -> process."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(log=tmp_path / "log"))
    python.chmod(0o755)
    # `make test` hands its own variables on.
    inherited = {"ARGS", "EXTRA", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VENV"}
    variables = {k: v for k, v in os.environ.items() if k not in inherited}

    def call(*arguments):
        return subprocess.run(
            ["make", f"VENV={tmp_path}/venv", *arguments],
            cwd=tiny.ROOT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.fixture
def installed(make, tmp_path):
    """Calls make; what it has pip install: arguments -> list."""

    def call(*arguments):
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        process = make(*arguments)
        assert process.returncode == 0, process.stderr
        lines = log.read_text().splitlines() if log.exists() else []
        return [re.search(r"--no-compile (.*)", line)[1] for line in lines]

    return call


BASE = ["-r requirements.txt", "--no-deps -e ."]


def test_an_extra_is_installed_once_and_with_the_environment_again(installed, tmp_path):
    assert installed("venv") == BASE
    assert installed("venv", "EXTRA=cuda") == ["-e .[cuda]"]
    assert installed("venv", "EXTRA=cuda") == []
    assert installed("venv", "EXTRA=tpu") == ["-e .[tpu]"]
    assert installed("venv", "EXTRA=tpu,cuda") == installed("venv") == []
    (tmp_path / "venv" / ".run-ready").unlink()
    assert installed("venv", "EXTRA=cuda,wandb") == [
        *BASE,
        "-e .[cuda]",
        "-e .[wandb]",
    ]


def test_quickstart_trains_with_the_extra(make):
    lines = make("--dry-run", "quickstart", "EXTRA=cuda").stdout.splitlines()
    order = [
        next(k for k, line in enumerate(lines) if text in line)
        for text in (*BASE, "-e '.[cuda]'", "prepare_data.py", "train.py")
    ]
    assert order == sorted(order)


def test_quickstart_alone_needs_no_extra(make):
    text = make("--dry-run", "quickstart").stdout
    assert "train.py" in text and ".[" not in text


@pytest.mark.parametrize("extra", ["rocm", "cuda,rocm", "cuda rocm"])
def test_an_unknown_extra_is_one_line(extra, make, tmp_path):
    process = make("quickstart", f"EXTRA={extra}")
    (line,) = process.stderr.splitlines()
    assert process.returncode == 2 and process.stdout == ""
    assert f"EXTRA={extra} names no extra that can be added; expected one of " in line
    assert not (tmp_path / "log").exists()


def test_the_extras_are_those_that_requirements_do_not_have(make):
    line = make("quickstart", "EXTRA=?").stderr
    known = re.search(r"expected one of ([\w ]+),", line)[1].split()
    base = everything_in("all")
    assert known == sorted(name for name in EXTRAS if not everything_in(name) <= base)


def test_help_lists_every_target_and_the_variable(make):
    text = make("help").stdout
    assert "EXTRA=cuda" in text
    targets = re.findall(
        r"^\.PHONY: (.*)$", (tiny.ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert targets and {line.split()[0] for line in text.splitlines()[1:]} == {*targets}
