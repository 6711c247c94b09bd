"""Opening a run."""

import json

import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.conversion.saving import save_converted
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.weights import flat_variables
from hrnet_jax.workdir.variables import saved_variables
from tests import tiny


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


@pytest.mark.parametrize("step", ["best", "latest", 6, "6"])
def test_opens_any_step(step):
    workdir = tiny.finished_run()
    run = load_run(workdir, step)
    assert run.step == {"best": tiny.BEST_STEP, "latest": 8}.get(step, 6)
    evaluated = run.step in (4, 8)
    assert bool(run.metrics) == evaluated
    assert (run.metrics == tiny.result(workdir)["metrics"]) == (step == "best")
    state = tiny.state(workdir, run.step)
    for name, array in flat_variables(run.variables).items():
        path = "".join(f"['{part}']" for part in name.split("/"))
        np.testing.assert_array_equal(array, state[f"['ema']{path}"], err_msg=name)
    assert run.config.model.name == "segmentation/tiny"
    assert run.info.class_names[4] == "star" and run.info.num_classes == 7


def test_a_run_of_an_earlier_version_opens_at_its_best_step(tmp_path):
    workdir = tiny.forget_ranking(tiny.copy_of_finished_run(tmp_path))
    assert load_run(workdir).step == tiny.BEST_STEP
    # A dictionary given to `train` may leave out the keys that are as by default.
    config = json.loads((workdir / "config.json").read_text())
    assert config.pop("task") == "segmentation"
    (workdir / "config.json").write_text(json.dumps(config))
    assert load_run(workdir).step == tiny.BEST_STEP


def test_where_nothing_ranks_the_steps_the_best_is_an_error(tmp_path):
    workdir = tiny.forget_ranking(tiny.copy_of_finished_run(tmp_path))
    (workdir / "config.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        saved_variables(workdir, "best")
    assert str(caught.value) == (
        f"{workdir}/checkpoints: cannot tell the best checkpoint, as nothing says "
        "which metric ranks them (neither their meta nor a task in config.json); name "
        "a step: latest, or one of 4, 6, 8"
    )
    assert saved_variables(workdir, "latest").keys() == {"params", "batch_stats"}


def test_variables_are_plain_arrays_that_the_model_takes():
    run = hrnet_jax.load_run(tiny.finished_run())
    assert set(run.variables) == {"params", "batch_stats"}
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(run.variables))
    images = np.zeros((1, 32, 48, 3), np.float32)
    logits = jax.eval_shape(run.task.model.apply, run.variables, images)
    assert logits.shape == (1, 8, 12, 7) and logits.dtype == np.float32


def test_predicts_and_draws_an_image():
    run = load_run(str(tiny.finished_run()))
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    prediction = run.predict(image)
    assert prediction["label"].shape == (40, 56)
    assert prediction["label"].dtype == np.uint8
    assert prediction["confidence"].dtype == np.float32
    assert prediction["confidence"].max() <= 1 and prediction["confidence"].min() > 0
    picture = run.draw(image, prediction)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    # With the truth, another row of panels.
    compared = run.draw(image, prediction, {"label": np.zeros((40, 56), np.uint8)})
    assert len(compared) > len(picture)


def test_a_run_is_printed_in_one_line():
    run = load_run(tiny.finished_run())
    assert repr(run) == f"LoadedRun('segmentation/tiny', step={run.step})"


def test_needs_neither_data_nor_the_source_of_first_weights(tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    config = json.loads((workdir / "config.json").read_text())
    config["dataset"]["data_dir"] = "gone"
    config["model"]["init_from"] = "gone.pth"
    (workdir / "config.json").write_text(json.dumps(config))
    assert load_run(workdir).info.num_classes == 7


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, CheckpointError, "config.json: no such file; expected a work directory"),
        ("{", CheckpointError, "config.json: not valid JSON"),
        ('{"nothing": 1}', ConfigError, "'nothing' is not read by anything"),
    ],
)
def test_a_wrong_config_file_is_named(content, error, message, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(error, match=message):
        load_run(tmp_path)


def test_a_run_without_checkpoints_is_named(tmp_path):
    config = tiny.finished_run() / "config.json"
    (tmp_path / "config.json").write_text(config.read_text())
    with pytest.raises(CheckpointError, match=f"{tmp_path}.*complete ones: none"):
        load_run(tmp_path)


@pytest.mark.parametrize("step", [3, "newest"])
def test_an_unknown_step_is_named(step):
    with pytest.raises(CheckpointError, match=f"no checkpoint {step!r}; complete ones"):
        load_run(tiny.finished_run(), step)


def test_converted_weights_become_a_run(tmp_path):
    model = hrnet_jax.create_model(
        "segmentation/tiny", num_classes=3, align_corners=True
    )
    variables = jax.device_get(initial_variables(model, 0, "he"))
    info = DatasetInfo(
        name="mine",
        num_classes=3,
        class_names=("sky", "tree", "road"),
        palette=((1, 2, 3), (4, 5, 6), (7, 8, 9)),
    )
    config = default_config("segmentation")
    config.model.name, config.model.align_corners = "segmentation/tiny", True
    save_converted(tmp_path, config, variables, info)
    run = load_run(tmp_path)
    assert run.step == 0 and run.metrics == {} and run.info == info
    assert run.task.model == model
    tiny.assert_equal_bits(flat_variables(run.variables), flat_variables(variables))
