"""Files of weights opened as runs, nothing written."""

import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.conversion.importing import import_weights
from hrnet_jax.conversion.opening import open_to_evaluate
from hrnet_jax.errors import CheckpointError, ConfigError, HRNetError, WeightsError
from hrnet_jax.inference.workdir import load_run as load_directory
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import to_torch
from hrnet_jax.pretrained.files import write_weights_file
from hrnet_jax.registry import create_model
from hrnet_jax.training.evaluate import evaluators_of_run
from hrnet_jax.training.weights import flat_variables
from tests import tiny
from tests.conversion.thin import THIN

NAME = "segmentation/thin"


@pytest.fixture(autouse=True)
def variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, "thin", THIN)


def tensors(num_classes=3):
    model = create_model(NAME, num_classes=num_classes, upsample="bilinear")
    return to_torch(jax.device_get(initial_variables(model, 3)), model)


@pytest.mark.parametrize("name", ["mine.pth", "mine.safetensors"])
def test_a_file_opens_as_what_convert_makes_of_it(name, tmp_path):
    write_weights_file(tmp_path / name, tensors())
    opened = hrnet_jax.load_run(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    import_weights(tmp_path / name, tmp_path / "run")
    directory = load_directory(tmp_path / "run")
    assert opened.config == directory.config and opened.info == directory.info
    assert (opened.record, opened.step, opened.metrics) == (None, 0, {})
    tiny.assert_equal_bits(
        flat_variables(opened.variables), flat_variables(directory.variables)
    )
    assert hrnet_jax.load_run(tmp_path / "run").config == directory.config


def test_a_file_predicts_with_changes_of_its_configuration(tmp_path):
    write_weights_file(tmp_path / "mine.pth", tensors())
    changes = ["eval.inference.flip=true"]
    run = hrnet_jax.load_run(str(tmp_path / "mine.pth"), changes=changes)
    assert run.config.eval.inference.flip
    assert run.predict(np.zeros((32, 32, 3), np.uint8))["label"].shape == (32, 32)


def test_what_needs_options_names_the_command_that_has_them(tmp_path):
    old = {k: v for k, v in tensors().items() if "num_batches" not in k}
    write_weights_file(tmp_path / "old.pth", old)
    message = r"old\.pth: .*say --inplace_abn or .*are those of scripts/convert\.py"
    with pytest.raises(WeightsError, match=message):
        hrnet_jax.load_run(tmp_path / "old.pth")


def test_a_wrong_file_is_one_error(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    write_weights_file(tmp_path / "fc.safetensors", {"fc.bias": np.zeros(3)})
    wrong = {
        "notes.txt": "not a readable PyTorch checkpoint",
        "gone.pth": "no such file",
        "gone.pth.tar": "no such file",
        "fc.safetensors": "not those of a whole HRNet model",
    }
    for name, message in wrong.items():
        with pytest.raises(HRNetError, match=f"{name}: .*{message}"):
            hrnet_jax.load_run(tmp_path / name)
    with pytest.raises(HRNetError, match="gone: no such folder; expected the work"):
        hrnet_jax.load_run(tmp_path / "gone")
    with pytest.raises(ConfigError, match="step 3 of .*notes.txt: .* has no steps"):
        hrnet_jax.load_run(tmp_path / "notes.txt", 3)


def test_a_folder_may_be_called_like_a_file(tmp_path):
    write_weights_file(tmp_path / "mine.pth", tensors())
    import_weights(tmp_path / "mine.pth", tmp_path / "run.pth")
    assert hrnet_jax.load_run(tmp_path / "run.pth").config.model.name == NAME


def on_shapes(*more):
    return ["dataset.name=shapes", f"dataset.data_dir={tiny.data_dir()}", *more]


@pytest.mark.slow
def test_a_file_is_evaluated_as_what_convert_makes_of_it(tmp_path):
    path = tmp_path / "mine.pth"
    write_weights_file(path, tensors(num_classes=7))
    changes = on_shapes("mesh.data=1", "eval.batch_size=2")
    config, weights = open_to_evaluate(path, "best", changes)
    assert (config["dataset"]["name"], config["model"]["name"]) == ("shapes", NAME)
    (found,) = evaluators_of_run(config, weights).values()
    import_weights(path, tmp_path / "run")
    again, workdir = open_to_evaluate(tmp_path / "run", "best", changes)
    assert (again, workdir) == (config, tmp_path / "run")
    (expected,) = evaluators_of_run(again, workdir).values()
    assert found.compute() == expected.compute()


def test_a_file_that_cannot_be_evaluated(tmp_path):
    path = tmp_path / "mine.pth"
    # Before the file is read, fetched, or found missing.
    for source in (path, "https://example.org/mine.pth", "hf://owner/name/mine.pth"):
        with pytest.raises(ConfigError) as caught:
            open_to_evaluate(source, "best", ["dataset.data_dir=data"])
        assert str(caught.value) == (
            f"{source}: weights do not say which data to evaluate on; expected "
            "--config.dataset.name=NAME and --config.dataset.data_dir=FOLDER"
        )
    with pytest.raises(ConfigError, match=r"step '3' of .*mine.pth: .* has no steps"):
        open_to_evaluate(path, "3", on_shapes())
    write_weights_file(path, tensors())
    config, weights = open_to_evaluate(path, "best", on_shapes("mesh.data=1"))
    with pytest.raises(CheckpointError) as caught:
        evaluators_of_run(config, weights)
    assert str(caught.value) == (
        f"{path} was trained on 'segmentation' with num_classes=3, but the data set "
        "'shapes' has num_classes=7"
    )
