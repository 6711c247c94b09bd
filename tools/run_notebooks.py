"""Executes the notebooks and saves them with their outputs.

    python -m tools.run_notebooks                                  # all, saved
    python -m tools.run_notebooks notebooks/look_inside.ipynb      # one
    python -m tools.run_notebooks --check                          # nothing is saved

Each runs from top to bottom in an empty folder, with this checkout. What is saved holds
nothing that the next execution would change by itself: no times, no running numbers, no
progress. `--check` compares what cells print with what is saved, numbers aside.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import base64
import difflib
import io
import os
import pathlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from hrnet_jax.config import command_line
from hrnet_jax.errors import ConfigError, HRNetError, how_to_install
from hrnet_jax.whole_files import write_whole

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"

# Of a file; code hosts show no larger ones quickly.
MOST_BYTES = 400_000
# Of a cell, unless told otherwise.
CELL_SECONDS = 900

_KERNEL = "python3"
_PNG = "image/png"
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": _KERNEL},
    "language_info": {"name": "python"},
}
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|\bnan\b|\binf\b)")
# Folders of a machine, as they begin on the systems that Python runs on.
_ABSOLUTE = re.compile(
    r"(?<![\w.:/])/(?:home|root|tmp|work|Users|usr|var|opt|mnt)/\S*|\b[A-Z]:\\\S*"
)


class NotebookError(HRNetError):
    """A notebook does not run, or is not as it should be saved."""


def all_notebooks() -> list[pathlib.Path]:
    """Those of the project."""
    return sorted(FOLDER.glob("*.ipynb"))


def read(path: pathlib.Path) -> Any:
    """The notebook in a file.

    Raises:
        NotebookError: if it is not there, or no notebook.
    """
    nbformat = _library("nbformat")
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except OSError as error:
        raise NotebookError(f"{path}: cannot be read ({error.strerror})") from error
    except (
        ValueError,
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
    ) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NotebookError(f"{path}: no notebook ({said[:200]})") from error
    return notebook


def execute(
    path: pathlib.Path, folder: pathlib.Path, seconds: int = CELL_SECONDS
) -> Any:
    """A notebook as it is after its cells ran in order, cleaned.

    Args:
        path: of the notebook, which is only read.
        folder: that it runs in.
        seconds: that a cell may take.

    Raises:
        NotebookError: naming the cell that failed, and why; or the extra that is
            missing.
    """
    nbclient = _library("nbclient")
    _library("ipykernel")
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook,
        timeout=seconds,
        kernel_name=_KERNEL,
        record_timing=False,
        # Not what it says of its connection to this process.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": os.fspath(folder)}},
    )
    try:
        client.execute(env=_environment(folder))
    except nbclient.exceptions.CellTimeoutError as error:
        raise NotebookError(
            f"{path}: a cell took more than {seconds} seconds"
        ) from error
    except nbclient.exceptions.CellExecutionError as error:
        raise NotebookError(
            f"{path}, {_failed_cell(notebook)}: {error.ename}: {error.evalue}"
        ) from error
    return cleaned(notebook)


def _library(name: str) -> Any:
    """A library of the extra `notebooks`.

    Raises:
        NotebookError: if it is not installed, with the extra.
    """
    try:
        return __import__(name)
    except ModuleNotFoundError as error:
        raise NotebookError(
            f"this needs the package {name}, which is not installed: "
            f"{how_to_install('notebooks')} in the folder of hrnet_jax"
        ) from error


def _environment(folder: pathlib.Path) -> dict[str, str]:
    """The variables of a kernel: this checkout, and no settings of the user's."""
    paths = [os.fspath(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "IPYTHONDIR": os.fspath(folder / ".ipython"),
    }


def _failed_cell(notebook: Any) -> str:
    for number, cell in _code_cells(notebook):
        if any(output.output_type == "error" for output in cell.outputs):
            return f"cell {number} ({cell.source.strip().splitlines()[0]})"
    return "a cell"


def _code_cells(notebook: Any) -> Iterator[tuple[int, Any]]:
    """Cells of code with their numbers among all cells, from 0."""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            yield number, cell


def cleaned(notebook: Any) -> Any:
    """The notebook without what changes at each execution; changed in place."""
    notebook.metadata = type(notebook.metadata)(_METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = type(cell.metadata)()
    for count, (_, cell) in enumerate(_code_cells(notebook), start=1):
        cell.execution_count = count
        cell.outputs = _joined(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
            if picture := output.get("data", {}).get(_PNG):
                output.data[_PNG] = _with_palette(picture)
    return notebook


def _with_palette(picture: str) -> str:
    """A PNG, in base64, with 128 colours at most: a third as large."""
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    if image.mode == "P":
        return picture
    stored = io.BytesIO()
    image.convert("RGB").quantize(128).save(stored, "png", optimize=True)
    return base64.b64encode(stored.getvalue()).decode()


def _joined(outputs: Sequence[Any]) -> list[Any]:
    """Outputs with neighbouring pieces of one stream as one: they come as they come."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.output_type == output.output_type == "stream"
            and last.name == output.name
        ):
            last.text += output.text
        else:
            joined.append(output)
    return joined


def faults(notebook: Any) -> list[str]:
    """What must not be saved: errors, warnings, folders of a machine, no outputs."""
    found = []
    for number, cell in _code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {number} failed: {output.ename}: {output.evalue}")
            elif output.output_type == "stream" and output.name == "stderr":
                line = output.text.strip().splitlines()[0]
                found.append(f"cell {number} writes to standard error: {line}")
        for text in (cell.source, *texts(cell)):
            if path := _ABSOLUTE.search(text):
                found.append(f"cell {number} has an absolute path: {path[0]}")
    if not any(cell.outputs for _, cell in _code_cells(notebook)):
        found.append("no cell has an output")
    return found


def texts(cell: Any) -> list[str]:
    """What a cell printed or showed as text, HTML included."""
    found = []
    for output in cell.outputs:
        if output.output_type == "stream":
            found.append(output.text)
        for kind, value in output.get("data", {}).items():
            if kind.startswith("text/"):
                found.append(value)
    return found


def differences(saved: Any, executed: Any) -> list[str]:
    """Lines that differ in what cells print or show.

    Numbers and pictures may, and the order of lines: that of runs, the best first.
    """
    found = []
    for (number, old), (_, new) in zip(
        _code_cells(saved), _code_cells(executed), strict=True
    ):
        before, after = _comparable(old), _comparable(new)
        if before != after:
            lines = [*difflib.unified_diff(before, after, lineterm="", n=0)][2:]
            found += [f"cell {number}: {line}" for line in lines if line[0] in "+-"]
    return found


def _comparable(cell: Any) -> list[str]:
    """Texts with numbers and spaces made alike, and which pictures there are."""
    lines = []
    for output in cell.outputs:
        lines += [kind for kind in output.get("data", {}) if kind.startswith("image/")]
    for text in texts(cell):
        lines += [
            " ".join(_NUMBER.sub("#", line).split()) for line in text.splitlines()
        ]
    return sorted(lines)


def save(notebook: Any, path: pathlib.Path) -> None:
    """Writes a notebook, whole or not at all.

    Raises:
        NotebookError: if it holds what must not be saved, or too much of it.
    """
    if found := faults(notebook):
        raise NotebookError(f"{path} is not saved: {'; '.join(found)}")
    text = _library("nbformat").writes(notebook)
    size = len(text.encode())
    if size > MOST_BYTES:
        raise NotebookError(
            f"{path} is not saved: it would have {size:,} bytes, expected at most "
            f"{MOST_BYTES:,}; draw fewer or smaller pictures"
        )
    write_whole(path, text if text.endswith("\n") else text + "\n")


def check(notebook: Any, path: pathlib.Path) -> None:
    """Compares an executed notebook with what its file has.

    Raises:
        NotebookError: listing what differs.
    """
    found = faults(notebook) + differences(read(path), notebook)
    if found:
        lines = "\n  ".join(found)
        raise NotebookError(
            f"{path}: other outputs than those that are saved\n  {lines}"
        )


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.run_notebooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "notebooks",
        nargs="*",
        type=pathlib.Path,
        metavar="FILE",
        help="notebooks to execute (default: all of notebooks/)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare what is printed with what is saved, and save nothing",
    )
    parser.add_argument(
        "--timeout",
        type=int,
        default=CELL_SECONDS,
        metavar="SECONDS",
        help="that a cell may take (default: %(default)s)",
    )
    arguments = parser.parse_args()
    if arguments.timeout < 1:
        raise ConfigError(f"--timeout is {arguments.timeout}; expected 1 or more")
    return arguments


def main() -> None:
    """Executes notebooks, one after the other."""
    with command_line.reporting_errors():
        arguments = parse_arguments()
        for path in arguments.notebooks or all_notebooks():
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                notebook = execute(path, pathlib.Path(folder), arguments.timeout)
            if arguments.check:
                check(notebook, path)
            else:
                save(notebook, path)
            done = "as saved" if arguments.check else "saved"
            seconds = time.perf_counter() - start
            sys.stdout.write(f"{path.name}: {done}, {seconds:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
