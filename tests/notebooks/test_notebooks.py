"""The notebooks are as they should be seen, and run."""

import ast
import importlib
import json
import re
import sys

import pytest

from hrnet_jax.errors import _EXTRAS
from tests import tiny
from tests.walks import pages
from tools import run_notebooks

PATHS = {path.stem: path for path in run_notebooks.all_notebooks()}

# What the package itself needs, and what comes with every notebook.
CORE = {"flax", "hrnet_jax", "jax", "numpy"}
WITH_NOTEBOOKS = {"IPython"}
IN_ALL = {"predict", "train", "prepare", "faces"}


@pytest.fixture(params=sorted(PATHS))
def notebook(request):
    return run_notebooks.read(PATHS[request.param])


def code(notebook) -> ast.Module:
    cells = run_notebooks._code_cells(notebook)
    return ast.parse("\n".join(cell.source for _, cell in cells))


def imported(tree: ast.Module) -> list[str]:
    """Dotted names that a program imports."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def used(tree: ast.Module) -> list[str]:
    """What a program names of this package: `hrnet_jax.load_run`."""
    names = [name for name in imported(tree) if name.startswith("hrnet_jax")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if re.fullmatch(r"hrnet_jax(\.\w+)+", text):
                names.append(text)
    return names


def exists(dotted: str) -> bool:
    """Whether a name is a module, or an attribute of one."""
    module, _, name = dotted.rpartition(".")
    if module and hasattr(importlib.import_module(module), name):
        return True
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        return False
    return True


def test_there_are_five():
    assert sorted(PATHS) == [
        "compare_runs",
        "look_inside",
        "official_weights",
        "restore_a_run",
        "your_own_images",
    ]


def test_nothing_is_saved_that_should_not_be_seen(notebook):
    assert run_notebooks.faults(notebook) == []


def test_what_is_saved_is_clean(notebook):
    """So that executing it again changes no more than its results."""
    before = json.dumps(notebook)
    assert json.dumps(run_notebooks.cleaned(notebook)) == before


def test_every_notebook_has_outputs_and_is_small(notebook, request):
    name = request.node.callspec.params["notebook"]
    assert PATHS[name].stat().st_size <= run_notebooks.MOST_BYTES
    shown = [cell for _, cell in run_notebooks._code_cells(notebook) if cell.outputs]
    assert len(shown) >= 5


def test_the_first_cell_says_what_it_shows_and_what_it_takes(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert re.search(r"Time: (about )?(half a|a|one|two) minutes?", first.source)
    (extras,) = re.findall(r"pip install -e '\.\[([\w,]+)\]'", first.source)
    named = set(extras.split(","))
    assert "notebooks" in named
    if "all" in named:
        named |= IN_ALL
    for package in {name.partition(".")[0] for name in imported(code(notebook))}:
        if package not in CORE | WITH_NOTEBOOKS | set(sys.stdlib_module_names):
            assert _EXTRAS[package] in named, package


def test_every_name_of_the_package_exists(notebook):
    names = used(code(notebook))
    assert names
    wrong = [name for name in names if not exists(name)]
    assert wrong == []


def test_a_name_that_does_not_exist_is_found():
    tree = ast.parse("import hrnet_jax\nhrnet_jax.pretrained.from_tensorflow(1)")
    assert [name for name in used(tree) if not exists(name)] == [
        "hrnet_jax.pretrained.from_tensorflow"
    ]


def test_the_page_lists_all_of_them():
    listed = re.findall(r"notebooks/(\w+)\.ipynb\)", pages.read("notebooks.md"))
    assert sorted(set(listed)) == sorted(PATHS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PATHS))
def test_it_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HRNET_JAX_CACHE", str(tiny.ROOT / ".cache" / "xla-tests"))
    executed = run_notebooks.execute(PATHS[name], tmp_path)
    run_notebooks.check(executed, PATHS[name])
