"""The fast tier keeps its limit, and says what cases cost."""

import json
import subprocess
import sys
import types

import pytest

from tests import tiny
from tests.tiers import LONG, asked_for, fast_are, longest_first, slow_are

CONFTEST = """
from tests import case_times
def pytest_addoption(pluginmanager):
    pluginmanager.register(case_times)
"""
CASES = """
import subprocess, sys, time
import pytest
WORK = "import time\\nwhile time.process_time() < 1.2: pass"
def test_quick():
    pass
def test_sleeps():
    time.sleep(0.6)
def test_works():
    begin = time.process_time()
    while time.process_time() < begin + 1.0: pass
def test_has_others_work():
    subprocess.run([sys.executable, "-c", WORK], check=True)
@pytest.mark.slow
def test_may_work():
    begin = time.process_time()
    while time.process_time() < begin + 1.0: pass
def test_is_wrong():
    assert False, "wrong anyway"
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Output of the toy tests under a limit, and seconds by case."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    (folder / "test_toy.py").write_text(CASES)
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"]
    process = subprocess.run(
        [*command, "-n", "2", "--case-limit=0.5", "--file-times=times.json"],
        cwd=folder,
        env=tiny.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return process.stdout, json.loads((folder / "times.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "passes"),
    [
        ("quick", True),
        ("sleeps", True),  # on a busy machine everybody does
        ("works", False),
        ("has_others_work", False),
        ("may_work", True),
        ("is_wrong", False),
    ],
)
def test_cases_over_the_limit_fail_unless_they_are_slow(case, passes, outcome):
    word = "PASSED" if passes else "FAILED"
    assert f"{word} test_toy.py::test_{case}" in outcome[0]


@pytest.mark.slow
def test_the_reason_is_told(outcome):
    message = "test_works took 1.0 s of processor time, more than the 0.5 s of the fast"
    assert message in outcome[0]
    assert "wrong anyway" in outcome[0]


@pytest.mark.slow
def test_seconds_are_of_the_process_and_its_children(outcome):
    text, seconds = outcome
    assert seconds["test_toy.py::test_has_others_work"] >= 1.0
    assert 1.0 <= seconds["test_toy.py::test_works"] < 1.5
    assert seconds["test_toy.py::test_sleeps"] < 0.3
    assert f"{sum(seconds.values()):8.1f}  test_toy.py" in text


def test_all_cases_but_the_fast_ones_are_marked():
    first, second = fast_are(["a"], ["a", "b"])
    assert first == "a"
    assert second.values == ("b",) and second.marks[0].name == "slow"
    with pytest.raises(ValueError, match=r"no such cases: \['c'\]"):
        fast_are(["c"], ["a", "b"])


def test_slow_ones_are_marked_and_exist():
    first, second = slow_are(["a"], {"a": 1, "b": 2})
    assert first.values == ("a",) and first.marks[0].name == "slow"
    assert second == "b"
    with pytest.raises(ValueError, match=r"no such cases: \['c'\]"):
        slow_are(["c"], ["a", "b"])


@pytest.mark.parametrize("name", ["first", "second"])
@pytest.mark.parametrize("other", ["third"])
def test_a_fixture_learns_which_cases_are_run(name, other, request):
    selected = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.originalname == request.node.originalname
    }
    assert asked_for(request, "name") == selected and name in selected
    assert asked_for(request, "other") == {"third"}
    assert asked_for(request, "another") == set()


def test_the_longest_files_come_first_and_exist():
    files = [path for path in (tiny.ROOT / "tests").rglob("test_*.py")]
    items = [types.SimpleNamespace(path=path) for path in sorted(files)]
    longest_first(items)
    first = [item.path.as_posix() for item in items[: len(LONG)]]
    assert all(path.endswith(f"/{end}") for path, end in zip(first, LONG, strict=True))
