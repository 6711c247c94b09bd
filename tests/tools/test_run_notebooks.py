"""Notebooks are executed, cleaned, compared; what must not be saved is refused."""

import base64
import io
import sys

import nbformat
import numpy as np
import pytest
from nbformat import v4
from PIL import Image

from tools import run_notebooks
from tools.run_notebooks import NotebookError


def notebook_of(*sources):
    return v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])


def printed(*texts, name="stdout"):
    """A notebook with a cell that printed these texts."""
    notebook = notebook_of("print()")
    notebook.cells[0].outputs = [
        v4.new_output("stream", name=name, text=text) for text in texts
    ]
    return notebook


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.ipynb"


def start(monkeypatch, *arguments):
    """Exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["run_notebooks", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        run_notebooks.main()
    return stopped.value.code


def test_what_changes_at_each_execution_is_removed():
    notebook = printed("a ", "b")
    cell = notebook.cells[0]
    cell.id, cell.execution_count = "89ab", 7
    cell.metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00"}
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11.7"}
    clean = run_notebooks.cleaned(notebook)
    assert clean.cells[0].id == "cell-0"
    assert clean.cells[0].execution_count == 1
    assert clean.cells[0].metadata == {}
    assert [output.text for output in clean.cells[0].outputs] == ["a b"]
    assert clean.metadata.language_info == {"name": "python"}
    nbformat.validate(clean)


def test_pictures_have_a_palette_once():
    stored = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(stored, "png")
    data = {"image/png": base64.b64encode(stored.getvalue()).decode()}
    notebook = notebook_of("draw()")
    notebook.cells[0].outputs = [v4.new_output("display_data", data=data)]
    run_notebooks.cleaned(notebook)
    once = notebook.cells[0].outputs[0].data["image/png"]
    picture = Image.open(io.BytesIO(base64.b64decode(once)))
    assert picture.mode == "P" and picture.size == (64, 64)
    difference = np.asarray(picture.convert("RGB"), float) - pixels
    assert np.abs(difference).mean() < 24
    run_notebooks.cleaned(notebook)
    assert notebook.cells[0].outputs[0].data["image/png"] == once


def test_streams_are_joined_only_with_their_own_kind():
    notebook = printed("a", "b")
    notebook.cells[0].outputs[1].name = "stderr"
    assert len(run_notebooks.cleaned(notebook).cells[0].outputs) == 2


@pytest.mark.parametrize(
    ("notebook", "said"),
    [
        (printed("careful\nmore", name="stderr"), "writes to standard error: careful"),
        (printed("in /home/me/runs"), "has an absolute path: /home/me/runs"),
        (printed(r"in C:\Users\me"), r"has an absolute path: C:\Users\me"),
        (notebook_of("1"), "no cell has an output"),
    ],
)
def test_what_must_not_be_saved_is_named(notebook, said, path):
    assert any(fault.endswith(said) for fault in run_notebooks.faults(notebook))
    with pytest.raises(NotebookError, match="is not saved"):
        run_notebooks.save(notebook, path)
    assert not path.exists()


def test_an_error_in_an_output_is_named():
    notebook = notebook_of("1 / 0")
    error = {"ename": "ZeroDivisionError", "evalue": "by zero", "traceback": []}
    notebook.cells[0].outputs = [v4.new_output("error", **error)]
    assert run_notebooks.faults(notebook) == [
        "cell 0 failed: ZeroDivisionError: by zero"
    ]


@pytest.mark.parametrize("text", ["runs/mine/home", "http://a.b/home/c", "a / b"])
def test_other_paths_may_be_shown(text):
    assert run_notebooks.faults(printed(text)) == []


def test_what_is_too_large_is_refused(path):
    large = printed("x" * run_notebooks.MOST_BYTES)
    with pytest.raises(NotebookError, match="expected at most 400,000; draw fewer"):
        run_notebooks.save(large, path)
    assert not path.exists()


def test_numbers_may_differ_and_words_may_not(path):
    run_notebooks.save(printed("loss 0.5 of run 1\nof all\n"), path)
    run_notebooks.check(printed("of all\nloss  1.2e-3 of run -7\n"), path)
    run_notebooks.check(printed("loss nan of run 1\nof all\n"), path)
    with pytest.raises(NotebookError, match=r"cell 0: \+error # of run #"):
        run_notebooks.check(printed("error 0.5 of run 1\nof all\n"), path)


def test_a_picture_that_is_missing_differs():
    with_picture, without = notebook_of("draw()"), notebook_of("draw()")
    data = {"image/png": "iVBORw0KGgo="}
    with_picture.cells[0].outputs = [v4.new_output("display_data", data=data)]
    assert run_notebooks.differences(with_picture, with_picture) == []
    assert run_notebooks.differences(with_picture, without) == ["cell 0: -image/png"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("no JSON", "no notebook (Notebook does not appear to be JSON"),
        ('{"nbformat": 4, "nbformat_minor": 5}', "no notebook ("),
    ],
)
def test_a_file_that_is_no_notebook_is_one_line(
    content, said, path, monkeypatch, capsys
):
    if content is not None:
        path.write_text(content)
    assert start(monkeypatch, path) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {path}: {said}")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("package", ["nbclient", "nbformat", "ipykernel"])
def test_a_missing_package_is_one_line_with_the_extra(
    package, path, monkeypatch, capsys
):
    nbformat.write(notebook_of("1"), path)
    monkeypatch.setitem(sys.modules, package, None)
    assert start(monkeypatch, path) == 2
    assert capsys.readouterr().err == (
        f"error: this needs the package {package}, which is not installed: "
        "pip install -e '.[notebooks]' in the folder of hrnet_jax\n"
    )


def test_a_wrong_limit_is_one_line(monkeypatch, capsys):
    assert start(monkeypatch, "--timeout=0") == 2
    assert capsys.readouterr().err == "error: --timeout is 0; expected 1 or more\n"


def test_help_shows_what_it_does(monkeypatch, capsys):
    assert start(monkeypatch, "--help") == 0
    assert "Executes the notebooks" in capsys.readouterr().out


@pytest.mark.slow
def test_a_notebook_is_executed_in_a_folder_with_this_checkout(tmp_path, path):
    sources = (
        "import hrnet_jax, os\nopen('made', 'w').close()",
        "print(sorted(os.listdir('.')))\nhrnet_jax.__version__",
    )
    nbformat.write(notebook_of(*sources), path)
    folder = tmp_path / "folder"
    folder.mkdir()
    executed = run_notebooks.execute(path, folder)
    assert "made" in run_notebooks.texts(executed.cells[1])[0]
    assert (folder / "made").exists()
    run_notebooks.save(executed, path)
    run_notebooks.check(executed, path)


@pytest.mark.slow
def test_a_cell_that_fails_is_named(tmp_path, path):
    nbformat.write(notebook_of("1", "# careful\n1 / 0"), path)
    with pytest.raises(NotebookError) as raised:
        run_notebooks.execute(path, tmp_path)
    assert str(raised.value) == (
        f"{path}, cell 1 (# careful): ZeroDivisionError: division by zero"
    )


@pytest.mark.slow
def test_a_cell_that_takes_too_long_is_stopped(tmp_path, path):
    nbformat.write(notebook_of("import time; time.sleep(60)"), path)
    with pytest.raises(NotebookError, match="a cell took more than 1 seconds"):
        run_notebooks.execute(path, tmp_path, seconds=1)
