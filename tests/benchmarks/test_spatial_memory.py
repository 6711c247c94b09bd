"""The benchmark of spatial partitioning reports what compiled programs say."""

import json

import pytest

from benchmarks import spatial_memory
from hrnet_jax.models.variants import VARIANTS
from tests import tiny


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def run(path, *arguments):
    model = f"segmentation/{tiny.VARIANT_NAME}"
    return spatial_memory.main(
        ["--model", model, "--size=128x32", f"--json={path}", *arguments]
    )


@pytest.mark.slow
def test_memory_and_exchanges_of_each_number_of_devices(tmp_path, capsys):
    report = run(tmp_path / "report.json", "--space=1,4")
    assert json.loads((tmp_path / "report.json").read_text()) == report
    (case,) = report["cases"]
    assert case["case"] == "segmentation/tiny:train:1x128x32"
    one, four = case["spaces"]
    assert (one["space"], four["space"]) == (1, 4)
    assert one["collectives"] == {}
    assert set(four["collectives"]) == {"collective-permute", "all-reduce"}
    assert all(entry["count"] > 0 for entry in four["collectives"].values())
    assert four["temporary_bytes"] < one["temporary_bytes"]
    # A quarter of the image (three bytes) and its labels (four) a device.
    pixels = 128 * 32 * (3 + 4)
    assert one["argument_bytes"] - four["argument_bytes"] == pixels * 3 // 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[3:5]] == ["1", "4"]
    assert "1.000" in lines[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space=1,x"], "--space is '1,x'; expected numbers like 1,2,4,8"),
        (["--space=0"], "--space is '0'"),
        (["--space=3"], "mesh.space=3 does not divide the 8 devices"),
        (["--size=128"], "cannot read case"),
        (["--model=pose/w32"], "--model is 'pose/w32'; expected segmentation/<v>"),
        (["--model=segmentation/w19"], "segmentation/w19"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(arguments, message, tmp_path, capsys):
    if arguments[0].startswith("--model"):
        call = [*arguments, "--size=128x32", "--space=1"]
    else:
        call = ["--model=segmentation/tiny", "--size=128x32", *arguments]
    with pytest.raises(SystemExit, match="2"):
        spatial_memory.main(call)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
