"""The command line that lists, explains and draws models."""

import json
import re
import sys
from xml.etree import ElementTree

import pytest

from hrnet_jax.errors import ConfigError
from scripts import models
from tests import tiny

# Its help is in `test_scripts`, the table it prints in `tests/inspection`.
pytestmark = pytest.mark.slow

SMALL = "segmentation/w18_small_v1"

ANSWERED = {
    "table": ["*w18_small_v1", "--json={tmp}/table.json"],
    "options": [SMALL, "--size=64x96", "--num_outputs=7", "--representation=v1"],
    "names": [SMALL, "--names", "--num_outputs=7"],
    "picture": [SMALL, "--svg={tmp}/small.svg", "--size=64x96"],
}

# What the one line on standard error says.
REFUSED = {
    "unknown model": (["segmentation/w20"], "unknown model 'segmentation/w20'"),
    "no match": (["depth/*"], "unknown model 'depth/*'; expected one of"),
    "wrong size": (["--size=big"], "wrong size 'big'; expected HEIGHTxWIDTH"),
    "small size": (["pyramid/w18", "--size=32x32"], "at least 64 pixels high and"),
    "several names": (["pose/*", "--names"], "--names needs one model; these are 9"),
    "several pictures": (["--svg={tmp}/a.svg"], "--svg needs one model; these are 108"),
    "no outputs": (["pyramid/w18", "--num_outputs=3"], "has no number of outputs"),
    "few outputs": (["pose/w18", "--num_outputs=0"], "number of outputs is 0"),
    "representation": (
        ["pose/w18", "--representation=v2"],
        "'pose/w18' has no representation 'v2'",
    ),
    "unknown choice": (
        [SMALL, "--representation=v3"],
        "has no representation 'v3'; expected one of v1, v1h, v2",
    ),
    "unwritable": (
        [SMALL, "--svg={tmp}/none/a.svg", "--size=64x64"],
        "{tmp}/none/a.svg: cannot be written: No such file",
    ),
}

# Refused by the parser: usage and one line.
MISUSED = {
    "json of names": ([SMALL, "--names", "--json=a"], "--json is for the table"),
    "unknown flag": (["--sise=64x64"], "unrecognized arguments: --sise=64x64"),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return {"tmp": tmp_path_factory.mktemp("models")}


@pytest.fixture(scope="module")
def outcomes(places):
    """name -> (exit code, standard output, standard error)."""
    commands = {name: command for name, (command, _) in (REFUSED | MISUSED).items()}
    commands |= ANSWERED
    commands = {
        name: ["models", *(argument.format(**places) for argument in command)]
        for name, command in commands.items()
    }
    return tiny.run_scripts(
        commands,
        places["tmp"],
        "tools.draw_network",
        "hrnet_jax.inspection.model_table",
    )


def answer(outcomes, name):
    code, out, err = outcomes[name]
    assert code == 0, err
    assert err == ""
    return out


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_input_is_one_line_and_exit_code_2(name, outcomes, places):
    code, out, err = outcomes[name]
    assert (code, out) == (2, ""), err
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert REFUSED[name][1].format(**places) in line


@pytest.mark.parametrize("name", MISUSED)
def test_wrong_use_shows_the_usage(name, outcomes):
    code, out, err = outcomes[name]
    assert (code, out) == (2, "")
    assert err.startswith("usage: models.py")
    assert MISUSED[name][1] in err.splitlines()[-1]


def test_the_table_prints_the_published_counts_to_the_unit(outcomes):
    out = answer(outcomes, "table")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if "/" in line}
    # The publication cuts 1,540,819 to 1.5 M and 13,187,464 to 13.2 M.
    classification = rows["classification/w18_small_v1"]
    assert classification[1:6] == ["224x224", "1000", "13,187,464", "1.602", "1.492"]
    assert " ".join(classification[9:]) == "13.2 M, 1.49 Gi agrees"
    segmentation = rows["segmentation/w18_small_v1"]
    assert segmentation[1:6] == ["1024x2048", "19", "1,540,819", "33.391", "31.098"]
    assert " ".join(segmentation[9:]) == "1.5 M, 31.1 Gi agrees"
    assert rows["pyramid/w18_small_v1"][3] == "4,490,016"
    assert rows["pyramid/w18_small_v1"][9:] == ["-"]


def test_the_table_is_written_as_json(outcomes, places):
    assert f"{places['tmp']}/table.json\n" in answer(outcomes, "table")
    items = json.loads((places["tmp"] / "table.json").read_text())
    counts = {item["model"]: item["parameters"] for item in items}
    assert len(counts) == 11 and counts[SMALL] == 1_540_819
    (record,) = items[-1]["published"]
    assert items[-1]["model"] == SMALL and record["multiply_adds"] == "31.1"


def test_size_outputs_and_representation_are_followed(outcomes):
    row = answer(outcomes, "options").splitlines()[3].split()
    assert row[:3] == [SMALL, "64x96", "7"]
    # Body of V1, 16 to 16 channels with norm, 16 to 7.
    assert row[3] == f"{1_284_672 + 16**2 + 3 * 16 + 7 * 17:,}"
    assert row[-1] == "-"


def test_names_are_printed_with_shapes_types_and_totals(outcomes):
    lines = answer(outcomes, "names").splitlines()
    assert lines[0].split() == ["params/stem/conv1/kernel", "3x3x3x64", "float32"]
    names = [line.split()[0] for line in lines[:-2]]
    assert "params/stage3/module0/exchange/from0_to2/step1/conv/kernel" in names
    assert len(set(names)) == len(names)
    # Twelve classes less than published.
    total = 1_540_819 - 12 * 241
    assert lines[-2] == f"params: {total:,} values in 219 arrays, 5.9 MiB"
    assert re.fullmatch(r"batch_stats: [\d,]+ values in 144 arrays, .*", lines[-1])


def test_the_picture_is_written(outcomes, places):
    path = places["tmp"] / "small.svg"
    assert answer(outcomes, "picture") == f"{path}\n"
    root = ElementTree.parse(path).getroot()
    assert "16×24×19" in [element.text for element in root.iter()]


def test_pictures_without_the_tools_of_the_repository_are_one_clear_error(monkeypatch):
    # As in an installed package, which has no `tools`.
    monkeypatch.setitem(sys.modules, "tools", None)
    for name in [name for name in sys.modules if name.startswith("tools.")]:
        monkeypatch.delitem(sys.modules, name)
    before = list(sys.path)
    with pytest.raises(
        ConfigError, match=r"^--svg needs the folder tools/draw_network"
    ):
        models._drawing()
    assert sys.path == before
