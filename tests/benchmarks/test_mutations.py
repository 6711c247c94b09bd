"""The tool that tests the tests: on a toy, and that its lines are still there."""

import json
import subprocess

import pytest

from benchmarks import mutations
from benchmarks.mutations import Mutation

TWICE = Mutation("sums: twice", "return a + b", "return a + 2 * b", ("test_sums.py",))
UNSEEN = Mutation("sums: unseen", "return a * b", "return a / b", ("test_sums.py",))


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A checkout of two functions, one of them tested."""
    root = tmp_path / "toy"
    files = {
        "hrnet_jax/__init__.py": "",
        "hrnet_jax/sums.py": "def add(a, b):\n    return a + b\n\n\n"
        "def multiply(a, b):\n    return a * b\n",
        "tests/test_sums.py": "from hrnet_jax.sums import add\n\n\n"
        "def test_add():\n    assert add(2, 3) == 5\n",
        "pytest.ini": "[pytest]\nmarkers =\n    slow\n    convert\n",
        "left_out.txt": "",
        ".gitignore": "left_out.txt\n.cache\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    monkeypatch.setattr(mutations, "ROOT", root)
    return root


def test_a_wrong_line_is_caught_or_survives(toy, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(mutations, "MUTATIONS", (TWICE, UNSEEN))
    before = (toy / "hrnet_jax/sums.py").read_text()
    path = tmp_path / "results.json"
    with pytest.raises(SystemExit) as stop:
        mutations.main(["--unchecked", f"--json={path}"])
    assert stop.value.code == 1
    results = json.loads(path.read_text())
    assert [result["caught"] for result in results.values()] == [True, False]
    assert "test_sums.py::test_add" in results[TWICE.name]["by"]
    out = capsys.readouterr().out
    assert "SURVIVED" in out and "1 of 2 caught" in out
    assert (toy / "hrnet_jax/sums.py").read_text() == before


def test_tests_that_fail_anyway_prove_nothing(toy, monkeypatch):
    monkeypatch.setattr(mutations, "MUTATIONS", (TWICE,))
    test = toy / "tests/test_sums.py"
    test.write_text(test.read_text().replace("== 5", "== 6"))
    with pytest.raises(ValueError, match="without a mutation fails: .*test_add"):
        mutations.main([])


def test_what_git_ignores_is_not_copied(toy, tmp_path):
    mutations.copy_checkout(toy, tmp_path / "copy")
    assert (tmp_path / "copy/hrnet_jax/sums.py").exists()
    assert not (tmp_path / "copy/left_out.txt").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return a - b", "is to be in the core once, is nowhere"),
        ("return a", r"once, is hrnet_jax/sums\.py, hrnet_jax/sums\.py"),
    ],
)
def test_a_line_that_is_not_there_once_is_an_error(toy, text, message):
    with pytest.raises(ValueError, match=message):
        mutations.find(toy, text)


def test_there_are_forty_six_and_their_lines_and_tests_exist():
    assert len({mutation.name for mutation in mutations.MUTATIONS}) == 58
    for mutation in mutations.MUTATIONS:
        assert mutations.find(mutations.ROOT, mutation.old).suffix == ".py"
        assert mutations.test_files(mutations.ROOT, mutation.tests)
        assert mutation.new != mutation.old


def test_an_unknown_name_is_one_line():
    with pytest.raises(SystemExit, match="error: no mutation is called nonsense"):
        mutations.main(["--only=nonsense"])
