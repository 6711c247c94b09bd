"""Scripts given names and addresses in place of paths, as a user's shell gives them."""

import json

import pytest
import safetensors.numpy
from PIL import Image

from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import hub as names
from scripts import convert
from tests import tiny
from tests.pretrained import web_server
from tests.pretrained.hub_server import serving

ADDRESS = "hf://owner/tiny"
IMPORTS = ("tests.tiny", "hrnet_jax.conversion.publishing", "huggingface_hub")


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """Variables of a user with an own cache, and a hub in this process."""
    with serving() as hub:
        monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HRNET_JAX_WEIGHTS", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub


def run(tmp_path, **commands):
    """Output by name of the commands, all of which end well."""
    results = tiny.run_scripts(commands, tmp_path, *IMPORTS)
    for name, (code, _, log) in results.items():
        assert code == 0, (name, log)
    return {name: out for name, (_, out, _) in results.items()}


@pytest.mark.slow
def test_a_run_is_published_and_used_by_its_name(surroundings, tmp_path, monkeypatch):
    workdir = str(tiny.finished_run())
    publish = ["convert", workdir, ADDRESS, "--license=mit", "--private"]
    code, _, log = tiny.run_scripts({"publish": publish}, tmp_path, *IMPORTS)["publish"]
    assert code == 2 and "publishing needs a token of the hub" in log
    assert log.startswith("error: ") and len(log.splitlines()) == 1
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    outputs = run(tmp_path, publish=publish)
    assert (
        f"tensors published at {surroundings.address}/owner/tiny" in outputs["publish"]
    )
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    run(
        tmp_path,
        predict=[
            "predict",
            f"--workdir={ADDRESS}",
            f"--images={tmp_path}/a.png",
            f"--out={tmp_path}/out",
        ],
        convert=["convert", ADDRESS, f"{tmp_path}/theirs"],
        evaluate=[
            "evaluate",
            f"--workdir={ADDRESS}",
            f"--config.dataset.data_dir={tiny.data_dir()}",
            f"--out={tmp_path}/metrics.json",
        ],
        export=[
            "export",
            f"--workdir={ADDRESS}",
            f"--out={tmp_path}/theirs.stablehlo",
            "--check_size=64x64",
            "--platforms=cpu",
        ],
        train=[
            "train",
            "--config=tests/tiny.py",
            f"--config.dataset.data_dir={tiny.data_dir()}",
            f"--config.model.init_from={ADDRESS}",
            "--config.num_steps=2",
            f"--workdir={tmp_path}/started",
        ],
    )
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["step"] == tiny.BEST_STEP
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics == tiny.result(tiny.finished_run())["metrics"]
    exported = json.loads((tmp_path / "theirs.stablehlo.json").read_text())
    assert exported["step"] == tiny.BEST_STEP
    written = json.loads((tmp_path / "theirs" / "weights.json").read_text())
    assert written["address"] == ADDRESS
    config = json.loads((tmp_path / "started" / "config.json").read_text())
    assert config["model"]["init_from"] == ADDRESS


@pytest.mark.slow
def test_errors_of_scripts_are_one_line(surroundings, tmp_path):
    surroundings.add("owner/text", {"README.md": b"#"})
    workdir = str(tiny.finished_run())
    commands = {
        "no HRNet": ["convert", "hf://owner/text", f"{tmp_path}/a"],
        "no repository": [
            "predict",
            "--workdir=hf://owner/none",
            f"--images={tmp_path}/a.png",
            f"--out={tmp_path}/out",
        ],
        "a page": ["convert", "--fetch", "HR18-WFLW.pth"],
        "nothing to evaluate": ["evaluate", "--workdir=hf://owner/none"],
        "nothing to export": [
            "export",
            "--workdir=hf://owner/none",
            f"--out={tmp_path}/a.stablehlo",
        ],
        "a file to publish": ["convert", "a.pth", ADDRESS],
        "an address to publish to": ["convert", workdir, "https://example.org/a.pth"],
        "a licence for a file": ["convert", "a.pth", "runs/a", "--license=mit"],
        "a change": ["convert", workdir, ADDRESS, "--config.batch_size=3"],
    }
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    expected = {
        "no HRNet": "no weights of an HRNet in the repository; it has README.md",
        "no repository": "no such repository, or a private one that needs a token",
        "nothing to evaluate": "hf://owner/none: no such repository, or a private one",
        "nothing to export": "hf://owner/none: no such repository, or a private one",
        "a page": "no address is known that gives it without a browser; https://git",
        "a file to publish": "a.pth is no work directory, so not published",
        "an address to publish to": "expected hf://OWNER/NAME to publish to",
        "a licence for a file": "--license and --private go with hf://OWNER/NAME",
        "a change": "a run is published as it is, without --config and --convention",
    }
    for name, result in tiny.run_scripts(commands, tmp_path, *IMPORTS).items():
        code, out, log = result
        assert (code, out) == (2, ""), (name, result)
        last = log.splitlines()[-1]
        assert "error: " in last and expected[name] in last, (name, log)
        assert "Traceback" not in log


def test_fetch_prints_where_a_file_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HRNET_JAX_WEIGHTS", str(tmp_path))
    body = safetensors.numpy.save({})
    with web_server.serving() as web:
        web.pages["/a.safetensors"] = web_server.Page(body)
        (path,) = convert.fetch([f"{web.address}/a.safetensors"])
    assert path.read_bytes() == body and path.is_relative_to(tmp_path)


def test_the_list_says_what_can_be_fetched():
    text = convert.list_files("hrnetv2_w18-00eb2006")
    address = "https://download.openmmlab.com/pretrain/third_party/"
    assert f"{address}hrnetv2_w18-00eb2006.pth" in text
    narrow = convert.list_files("hrnet_w18.ms_in1k", 60).splitlines()
    assert "    hf://timm/hrnet_w18.ms_in1k" in narrow
    assert "https://download" not in convert.list_files("HR18-WFLW")


def test_the_names_of_published_files_are_those_of_the_hub():
    assert names.PUBLISHED_FILES == (
        "hrnet_jax.json",
        "config.json",
        "model.safetensors",
    )
