"""The command line of scripts/convert.py, and its list of released files."""

import subprocess
import sys

import pytest

from scripts.convert import list_files
from tests import tiny


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_list_fits_the_terminal(width):
    lines = list_files("wflw", width).splitlines()
    # Names of files and addresses are never cut.
    assert all(len(line) <= width or " " not in line.strip() for line in lines)
    start = lines.index("HR18-WFLW.pth")
    text = " ".join(line.strip() for line in lines[start : start + 5])
    assert text.startswith(
        "HR18-WFLW.pth landmarks/w18; 98 outputs; bilinear; MIT; NME"
    )
    page = (
        "https://github.com/HRNet/HRNet-Facial-Landmark-Detection/blob/HEAD/README.md"
    )
    assert page in text
    assert lines[-1].endswith(" of 271 released files")


@pytest.mark.parametrize("width", [None, 1000])
def test_a_wide_terminal_and_a_pipe_get_a_line_for_each_file(width):
    lines = list_files("wflw", width).splitlines()
    assert lines[0].split()[-2:] == ["source", "page"]
    (line,) = [line for line in lines if line.startswith("HR18-WFLW.pth")]
    assert "landmarks/w18" in line and line.endswith("README.md")


def test_nothing_found_is_an_empty_list():
    assert list_files("no such text", 20).endswith("0 of 271 released files")


@pytest.mark.parametrize("arguments", [[], ["a.pth"], ["--model=segmentation/w18"]])
def test_convert_wants_a_source_and_a_target(arguments):
    process = subprocess.run(
        [sys.executable, f"{tiny.ROOT}/scripts/convert.py", *arguments],
        env=tiny.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith("convert.py: error: ")
