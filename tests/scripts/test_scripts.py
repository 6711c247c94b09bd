"""The command lines: help, one-line errors, exit codes, and what they print."""

import ast
import json
import re
import shutil

import cv2
import numpy as np
import pytest

from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import to_torch
from hrnet_jax.pretrained.files import read_weights_file, write_weights_file
from hrnet_jax.registry import create_model
from tests import tiny
from tests.scripts.refused import LATE, QUICKSTART, REFUSED
from tests.tiers import asked_for, slow_are

SCRIPTS = sorted(path.stem for path in (tiny.ROOT / "scripts").glob("*.py"))

ANSWERED = {
    "finished": ["train", "--config={root}/tests/tiny.py", "--workdir={finished}"]
    + ["--config.dataset.data_dir={data}"],
    "printed": ["train", QUICKSTART, "--print_config", "--config.seed=5"],
    "printed of a run": ["train", "--workdir={finished}", "--print_config"],
    "evaluate": ["evaluate", "--workdir={finished}", "--out={tmp}/metrics.json"]
    + ["--config.eval.batch_size=3"],
    "predict": ["predict", "--workdir={finished}", "--images={tmp}/image.png"]
    + ["--out={tmp}/labels"],
    "to torch": ["convert", "{finished}", "{tmp}/tiny.pth"],
    "from torch": ["convert", "{tmp}/official.pth", "{tmp}/converted"]
    + ["--set", "remat=true", "--partial"],
    "list": ["convert", "--list", "wflw"],
    "draw": ["plot", "--workdir", "{finished}", "--metric", "loss", "mean_iou"]
    + ["--out={tmp}/curves.svg", "--smooth=0.6"],
    "list metrics": ["plot", "--workdir={finished}", "--list"],
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the braces in the commands stand for."""
    folder = tmp_path_factory.mktemp("scripts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        finished = tiny.finished_run()
    model = create_model("segmentation/w18_small_v1")
    tensors = to_torch(initial_variables(model), model)
    write_weights_file(folder / "official.pth", tensors)
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    cv2.imwrite(str(folder / "image.png"), image)
    (folder / "old.onnx").touch()
    (folder / "boxes.json").write_text('{"image.png": [[1, 1, 20, 20]]}')
    (folder / "damaged" / "checkpoints").mkdir(parents=True)
    shutil.copy(finished / "config.json", folder / "damaged")
    return {
        "damaged": folder / "damaged",
        "tmp": folder,
        "data": tiny.data_dir(),
        "finished": finished,
        "root": tiny.ROOT,
    }


@pytest.fixture(scope="module")
def outcomes(places, request):
    """name -> (exit code, standard output, standard error)."""
    commands = {f"help {name}": [name, "--help"] for name in SCRIPTS}
    asked = asked_for(request, "name")
    commands |= {
        name: command for name, (command, _) in REFUSED.items() if name in asked
    }
    commands |= ANSWERED
    commands = {
        name: [argument.format(**places) for argument in command]
        for name, command in commands.items()
    }
    # What scripts import only when they have read their arguments.
    modules = (
        "hrnet_jax.conversion.importing",
        "hrnet_jax.data.registry",
        "hrnet_jax.data.summary",
        "hrnet_jax.export.writing",
        "hrnet_jax.inference.folder",
        "hrnet_jax.inference.video",
        "hrnet_jax.pages.report",
        "hrnet_jax.training.curves",
        "hrnet_jax.training.evaluate",
        "hrnet_jax.training.train",
        "tests.tiny",
    )
    return tiny.run_scripts(commands, places["tmp"], *modules)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_the_docstring(script, outcomes):
    code, out, err = outcomes[f"help {script}"]
    assert code == 0, err
    docstring = ast.get_docstring(
        ast.parse((tiny.ROOT / "scripts" / f"{script}.py").read_text())
    )
    assert docstring.splitlines()[0] in out


@pytest.mark.parametrize("name", slow_are(LATE, REFUSED))
def test_wrong_input_is_one_line_and_exit_code_2(name, outcomes, places):
    code, out, err = outcomes[name]
    assert code == 2, err
    assert "Traceback" not in err and out == ""
    # A progress bar may have begun before the file at fault came up.
    lines = [line for line in err.splitlines() if line.strip() and "%|" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    assert REFUSED[name][1].format(**places) in lines[0]


def answer(outcomes, name):
    code, out, err = outcomes[name]
    assert code == 0, err
    return out


def metrics_printed(text):
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines()}


def test_a_finished_run_prints_its_metrics_again(outcomes, places):
    printed = metrics_printed(answer(outcomes, "finished"))
    expected = tiny.result(places["finished"])["metrics"]
    assert printed == pytest.approx(expected, abs=5e-5)


@pytest.mark.slow
def test_a_work_directory_alone_is_the_run_with_its_configuration(places, tmp_path):
    before = (places["finished"] / "config.json").read_text()
    command = ["train", f"--workdir={places['finished']}"]
    outcomes = tiny.run_scripts({"resumed": command}, tmp_path, "tests.tiny")
    printed = metrics_printed(answer(outcomes, "resumed"))
    expected = tiny.result(places["finished"])["metrics"]
    assert printed == pytest.approx(expected, abs=5e-5)
    assert (places["finished"] / "config.json").read_text() == before


def test_the_configuration_is_printed_instead_of_trained(outcomes, places):
    lines = answer(outcomes, "printed").splitlines()
    place = lines.index("seed: int = 5")
    assert lines[place + 1].startswith("    of initial weights, order, augmentation")
    assert "schedule.name: text = 'cosine'" in lines
    of_run = answer(outcomes, "printed of a run").splitlines()
    assert f"dataset.data_dir: text = '{places['data']}'" in of_run


def test_evaluate_prints_and_writes_the_metrics(outcomes, places):
    printed = metrics_printed(answer(outcomes, "evaluate"))
    written = json.loads((places["tmp"] / "metrics.json").read_text())
    assert written == tiny.result(places["finished"])["metrics"]
    assert printed == pytest.approx(written, abs=5e-5)


def test_predict_writes_a_label_map_of_the_size_of_the_image(outcomes, places):
    out = answer(outcomes, "predict")
    assert out == f"1 image labelled, see {places['tmp']}/labels/summary.json\n"
    label = cv2.imread(str(places["tmp"] / "labels/image_label.png"), -1)
    assert label.shape == (32, 48)
    summary = json.loads((places["tmp"] / "labels/summary.json").read_text())
    assert summary["step"] == tiny.BEST_STEP
    assert summary["metrics"] == tiny.result(places["finished"])["metrics"]


def test_convert_writes_the_tensors_of_the_best_step(outcomes, places, monkeypatch):
    out = answer(outcomes, "to torch")
    path = places["tmp"] / "tiny.pth"
    assert re.fullmatch(rf"[1-9]\d+ tensors written to {path}\n", out)
    written = read_weights_file(path)
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    run = load_run(places["finished"], tiny.BEST_STEP)
    for name, array in to_torch(run.variables, run.task.model).items():
        if name in written:
            np.testing.assert_array_equal(written.pop(name), array, err_msg=name)
    assert not written


@pytest.mark.slow
def test_convert_writes_over_a_file_if_told(places, tmp_path):
    command = ["convert", str(places["finished"]), str(tmp_path / "tiny.pth")]
    commands = {"first": command, "again": [*command, "--overwrite"]}
    outcomes = tiny.run_scripts(commands, tmp_path, "tests.tiny")
    assert answer(outcomes, "again") == answer(outcomes, "first")


def test_convert_reports_every_tensor_where_it_takes_a_part(outcomes, places):
    lines = answer(outcomes, "from torch").splitlines()
    assert "kept     params/stem/conv1/kernel" in lines
    assert "segmentation/w18_small_v1: 363 of 363 tensors loaded" in lines
    config = json.loads((places["tmp"] / "converted/config.json").read_text())
    assert config["model"]["options"]["remat"] is True


def test_convert_lists_released_files(outcomes):
    lines = answer(outcomes, "list").splitlines()
    assert lines[0].split()[:3] == ["file", "model", "outputs"]
    (official,) = [line for line in lines if line.startswith("HR18-WFLW.pth")]
    assert "landmarks/w18" in official and "NME (%) 4.6, test (2500)" in official
    assert re.fullmatch(r"\d+ of 271 released files", lines[-1])
    assert all("wflw" in line.lower() for line in lines[1:-1])


def test_plot_draws_what_it_is_asked_for(outcomes, places):
    assert answer(outcomes, "draw") == f"{places['tmp']}/curves.svg\n"
    assert (places["tmp"] / "curves.svg").read_text().startswith("<?xml")
    lines = answer(outcomes, "list metrics").splitlines()
    assert lines[0] == f"{places['finished']} (ranked by eval/mean_iou)"
    ((_, count, step, _),) = [
        line.split() for line in lines if line.startswith("eval/mean_iou ")
    ]
    assert (count, step) == ("2", "8")


def documented_commands():
    """(where, script, flags) of every command line in docs, docstrings, Makefile."""
    paths = [*tiny.ROOT.glob("*.md"), *(tiny.ROOT / "docs").rglob("*.md")]
    paths += [tiny.ROOT / "Makefile", *(tiny.ROOT / "scripts").glob("*.py")]
    paths += (tiny.ROOT / "experiments").rglob("*.py")
    for path in paths:
        text = re.sub(r"\\+\n\s*", " ", path.read_text())
        for line in text.splitlines():
            for script, rest in re.findall(r"scripts/(\w+)\.py(\s+-[^`]*)", line):
                flags = re.findall(r"(?<=\s)--(\w+)", rest)
                yield path.relative_to(tiny.ROOT).as_posix(), script, tuple(flags)


@pytest.mark.parametrize(
    ("where", "script", "flags"), sorted(set(documented_commands()))
)
def test_documented_commands_exist(where, script, flags, outcomes):
    _, out, _ = outcomes[f"help {script}"]
    assert [flag for flag in flags if f"--{flag}" not in out] == []
