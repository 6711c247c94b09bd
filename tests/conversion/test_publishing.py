"""A run goes to the hub and comes back the same, for all that take weights."""

import json

import numpy as np
import pytest
import safetensors.numpy
import yaml
from huggingface_hub import close_session

import hrnet_jax
from hrnet_jax.conversion.importing import ImportOptions, import_weights
from hrnet_jax.conversion.opening import (
    load_pretrained,
    load_run,
    open_to_evaluate,
)
from hrnet_jax.conversion.publishing import publish
from hrnet_jax.errors import CheckpointError, ConfigError, WeightsError
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import HEAD_PATTERNS
from hrnet_jax.training.evaluate import evaluators_of_run
from hrnet_jax.training.weights import first_variables, flat_variables
from hrnet_jax.workdir.published import read_published
from tests import tiny
from tests.pretrained.hub_server import serving
from tests.pretrained.test_hub import turn_to

# The hub's library uploads in a way that its own one for HTTP advises against.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ADDRESS = "hf://owner/tiny"
NAME = f"segmentation/{tiny.VARIANT_NAME}"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub with the tiny run, which is published once."""
    folder = tmp_path_factory.mktemp("hub")
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        patch.setenv("HF_TOKEN", "hf_x")
        patch.setenv("HRNET_JAX_WEIGHTS", str(folder / "cache"))
        turn_to(server.address, folder / "hub", patch)
        page, server.count = publish(tiny.finished_run(), ADDRESS, licence="mit")
        assert page == f"{server.address}/owner/tiny"
        yield server
        close_session()


@pytest.fixture(scope="module")
def here():
    return load_run(tiny.finished_run())


def files(hub) -> dict[str, bytes]:
    found = hub.repositories["owner/tiny"]
    return found.commits[found.names["main"]]


def equal(left, right):
    tiny.assert_equal_bits(flat_variables(left), flat_variables(right))


def image():
    return np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)


def test_load_run_gives_the_run_back(hub, here):
    run = load_run(ADDRESS)
    equal(run.variables, here.variables)
    assert (run.step, run.metrics) == (tiny.BEST_STEP, here.metrics)
    assert run.info == here.info
    assert run.config.model == here.config.model
    np.testing.assert_array_equal(
        run.predict(image())["label"], here.predict(image())["label"]
    )
    assert load_run(ADDRESS, tiny.BEST_STEP).step == tiny.BEST_STEP
    with pytest.raises(ConfigError, match="step 7 of hf://owner/tiny: a published run"):
        load_run(ADDRESS, 7)
    changed = load_run(ADDRESS, changes=["eval.inference.flip=true"])
    assert changed.config.eval.inference.flip


def test_load_pretrained_knows_what_it_should_be(hub, here):
    predictor = hrnet_jax.load_pretrained(NAME, ADDRESS)
    expected = here.predict(image())["label"]
    np.testing.assert_array_equal(predictor.predict(image())["label"], expected)
    message = f"{ADDRESS}: these are weights of {NAME}, expected segmentation/w18"
    with pytest.raises(WeightsError, match=message):
        load_pretrained("segmentation/w18", ADDRESS)
    with pytest.raises(ConfigError, match="unknown model 'segmentation/w1'"):
        load_pretrained("segmentation/w1", ADDRESS)


def test_it_is_evaluated_with_its_own_configuration(hub):
    changes = [f"dataset.data_dir={tiny.data_dir()}"]
    config, weights = open_to_evaluate(ADDRESS, str(tiny.BEST_STEP), changes)
    assert (config["dataset"]["name"], config["eval"]["batch_size"]) == ("shapes", 2)
    (evaluator,) = evaluators_of_run(config, weights).values()
    assert evaluator.compute() == tiny.result(tiny.finished_run())["metrics"]
    with pytest.raises(
        ConfigError, match=f"step '8' of {ADDRESS}: a published run has"
    ):
        open_to_evaluate(ADDRESS, "8", changes)


def test_training_starts_from_it_with_its_head(hub, here):
    options = tiny.config(model__init_from=ADDRESS, model__init_skip=HEAD_PATTERNS)
    config = read_config(options)
    variables, moved = first_variables(
        here.task.model, config.model, seed=3, info=here.info
    )
    equal(variables, here.variables)
    assert not moved.new


def test_convert_makes_a_work_directory_of_it(hub, here, tmp_path):
    imported = import_weights(ADDRESS, tmp_path / "theirs")
    assert f"a published run at step {tiny.BEST_STEP}" in str(imported)
    run = load_run(tmp_path / "theirs")
    equal(run.variables, here.variables)
    assert run.info == here.info
    written = json.loads((tmp_path / "theirs" / "weights.json").read_text())
    assert (written["file"], written["address"]) == ("model.safetensors", ADDRESS)
    with pytest.raises(ConfigError, match=f"{ADDRESS}: a published run says all"):
        import_weights(ADDRESS, tmp_path / "other", ImportOptions(upsample="nearest"))


def test_the_weights_are_what_official_code_reads(hub):
    tensors = safetensors.numpy.load(files(hub)["model.safetensors"])
    assert len(tensors) == hub.count
    assert "stage2.0.branches.0.0.conv1.weight" in tensors


def test_nothing_of_this_machine_is_published(hub):
    for name, content in files(hub).items():
        assert str(tiny.data_dir()).encode() not in content, name


def test_the_card_has_a_header_and_says_how_to_use_it(hub, here):
    _, header, text = files(hub)["README.md"].decode().split("---\n", 2)
    values = yaml.safe_load(header)
    assert values["license"] == "mit"
    assert values["library_name"] == "hrnet_jax"
    assert values["pipeline_tag"] == "image-segmentation"
    assert values["datasets"] == ["shapes"]
    assert {"hrnet", "jax", NAME} <= set(values["tags"])
    assert "mean_iou" in values["metrics"]
    (result,) = values["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == here.metrics["mean_iou"]
    assert f'load_pretrained("{NAME}", "{ADDRESS}")' in text
    assert "schedule.learning_rate = 0.2" in text
    assert ", ".join(here.info.class_names) in text
    assert "scripts/train.py --config=config.json" in text
    for line in text.splitlines():
        assert "data_dir" not in line


def test_a_repository_with_files_is_added_to_only_if_told(hub):
    with pytest.raises(CheckpointError, match="owner/tiny has files already .README"):
        publish(tiny.finished_run(), ADDRESS)
    before = len(hub.repositories["owner/tiny"].commits)
    publish(tiny.finished_run(), ADDRESS, step="latest", overwrite=True)
    assert len(hub.repositories["owner/tiny"].commits) == before + 1
    assert json.loads(files(hub)["hrnet_jax.json"])["step"] == 8
    hub.repositories["owner/tiny"].commit({}, "main")
    publish(tiny.finished_run(), ADDRESS, licence="mit", overwrite=True)


def test_a_private_repository(hub):
    publish(tiny.finished_run(), "hf://owner/secret", private=True)
    assert hub.repositories["owner/secret"].private
    assert load_run("hf://owner/secret").step == tiny.BEST_STEP


@pytest.mark.parametrize(
    ("address", "token", "message"),
    [
        ("hf://owner/tiny@v1", "hf_x", "v1: expected hf://OWNER/NAME to publish to"),
        ("hf://owner/t/a.pth", "hf_x", "a.pth: expected hf://OWNER/NAME to publish to"),
        ("hf://owner/new", None, "publishing needs a token of the hub that may write"),
        ("hf://owner/new", "wrong", "HTTP 401, see to the token in HF_TOKEN"),
        ("hf://owner/a--b", "hf_x", "not a name of the hub"),
    ],
)
def test_what_cannot_be_published(hub, monkeypatch, tmp_path, address, token, message):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token")
    )
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(WeightsError, match=message) as error:
        publish(tiny.finished_run(), address)
    assert "\n" not in str(error.value)


def test_a_clone_of_a_repository_is_opened_as_it_is(hub, here, tmp_path):
    for name, content in files(hub).items():
        (tmp_path / name).write_bytes(content)
    equal(load_run(tmp_path).variables, here.variables)
    with pytest.raises(CheckpointError, match="published before; expected a work dir"):
        publish(tmp_path, "hf://owner/again")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("hrnet_jax.json", {"format": 2}, "'format' is 2, expected 1; a newer hrnet"),
        ("hrnet_jax.json", {"step": None}, "hrnet_jax.json: .* of another kind"),
        ("hrnet_jax.json", {"dataset_info": {}}, "hrnet_jax.json: "),
        ("hrnet_jax.json", {"model": "pose/w32"}, "'model' is 'pose/w32', config.json"),
        ("config.json", {"batchsize": 3}, "config.json: .*'batchsize'"),
        ("config.json", None, "config.json: No such file"),
    ],
)
def test_a_damaged_clone_names_the_file(hub, tmp_path, name, change, message):
    for each, content in files(hub).items():
        (tmp_path / each).write_bytes(content)
    path = tmp_path / name
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        read_published(tmp_path)
