"""The extras of the package and the list for `pip install -r` say the same."""

import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def lines_of(name: str) -> set[str]:
    text = (ROOT / name).read_text()
    return {
        line for line in text.splitlines() if line and not line.startswith(("#", "-r "))
    }


def everything_in(extra: str) -> set[str]:
    """Requirements of an extra, those of the extras that it names included."""
    found = set()
    for requirement in EXTRAS[extra]:
        inner = re.fullmatch(r"hrnet_jax\[(.*)\]", requirement)
        if inner:
            for name in inner[1].split(","):
                found |= everything_in(name)
        else:
            found.add(requirement)
    return found


def test_the_file_lists_the_core_and_all_extras():
    assert lines_of("requirements.txt") == everything_in("all") | set(
        PROJECT["dependencies"]
    )


def test_the_core_is_three_packages():
    names = [re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"]]
    assert names == ["flax", "jax", "numpy"]


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_every_range_has_both_bounds(extra):
    for requirement in everything_in(extra):
        assert re.search(r">=[\d.]+,<[\d.]+$", requirement), requirement


def test_the_development_list_has_both_bounds():
    for requirement in lines_of("requirements-dev.txt"):
        assert re.search(r">=[\d.]+,<[\d.]+$", requirement), requirement
