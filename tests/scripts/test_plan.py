"""The command line that plans runs on TPUs."""

import importlib.util
import json

import pytest

from tests import tiny
from tests.coloured import colours

# Its help is in `test_scripts`, the plan it prints in `tests/planning`.
pytestmark = pytest.mark.slow

TINY = f"--config={tiny.ROOT}/tests/tiny.py"
SLICE = "--topology=v5e:2x2"
HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None

COMPILED = [
    TINY,
    "--topology=v5e:2x2",
    "--mesh=space:2",
    "--config.eval.batch_size=4",
    "--nocache",
    "--out={tmp}/plan.json",
    "--picture={tmp}/plan.png",
]

# What the one line on standard error says.
REFUSED = {
    "no config": ([SLICE], "--config"),
    "no such file": (["--config=none.py", SLICE], "none.py: no such file"),
    "unknown key": ([TINY, SLICE, "--config.batchsize=8"], "batchsize"),
    "no topology": ([TINY], "--topology is missing; name slices such as v5e:2x4"),
    "wrong topology": ([TINY, "--topology=v5e"], "wrong topology 'v5e'"),
    "wrong mesh": ([TINY, SLICE, "--mesh=8"], "wrong --mesh '8'"),
    "no images": (
        [TINY, SLICE, "--per_chip_batch=0"],
        "--per_chip_batch must be positive, got 0",
    ),
    "no folder": (
        [TINY, SLICE, "--out={tmp}/none/a.json"],
        "--out={tmp}/none/a.json: no folder {tmp}/none",
    ),
    "another format": (
        [TINY, SLICE, "--picture={tmp}/x.doc"],
        "{tmp}/x.doc: expected the name of a picture, which ends in .png, .svg or .pdf",
    ),
    "own data": (
        [TINY, SLICE, "--config.dataset.name=mine"],
        "data set 'mine' is neither prepared nor one of ade20k, aflw, camvid",
    ),
    "check with slices": (
        [TINY, SLICE, "--check"],
        "--topology does not go with --check",
    ),
    "untrainable": (
        [TINY, SLICE, "--config.task=pyramid"],
        "'pyramid', which predicts but cannot be trained",
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return {"tmp": tmp_path_factory.mktemp("plan")}


@pytest.fixture(scope="module")
def outcomes(places):
    """name -> (exit code, standard output, standard error)."""
    commands = {name: command for name, (command, _) in REFUSED.items()}
    commands["help"] = ["--help"]
    if HAS_LIBTPU:
        commands["compiled"] = COMPILED
    commands = {
        name: ["plan", *(argument.format(**places) for argument in command)]
        for name, command in commands.items()
    }
    return tiny.run_scripts(
        commands,
        places["tmp"],
        "tests.tiny",
        "hrnet_jax.planning.report",
        "hrnet_jax.planning.drawing",
    )


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_input_is_one_line_and_exit_code_2(name, outcomes, places):
    code, out, err = outcomes[name]
    assert (code, out) == (2, ""), err
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert REFUSED[name][1].format(**places) in line


def test_help_shows_an_example_and_the_flags(outcomes):
    code, out, _ = outcomes["help"]
    assert code == 0
    assert "--topology=v5e:2x4,v5e:4x4" in out and "--per_chip_batch" in out


@pytest.mark.skipif(
    not HAS_LIBTPU, reason="compiling for TPUs needs libtpu: pip install -e '.[tpu]'"
)
def test_a_tiny_run_is_planned_without_a_tpu(outcomes, places):
    code, out, err = outcomes["compiled"]
    assert code == 0, err
    assert "v5e:2x2 train step: compiled in" in err
    assert "segmentation/tiny, float32" in out and "512 train, 128 val" in out
    plan = json.loads((places["tmp"] / "plan.json").read_text())["plans"][0]
    assert plan["mesh"] == {"data": 2, "space": 2}
    assert plan["train"]["batch_size"] == 8
    # Rows lie on two devices: neighbours exchange halos, and norms sum over all four.
    collectives = plan["train"]["costs"]["collectives"]
    assert "collective-permute of 2" in collectives and "all-reduce of 4" in collectives
    assert plan["roofline"]["hours"] > 0
    assert colours(places["tmp"] / "plan.png") >= 2
