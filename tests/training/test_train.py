"""What a run leaves behind, and what it refuses."""

import errno
import json
import types

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.data.registry import prepare
from hrnet_jax.errors import CheckpointError, ConfigError, DataError, HRNetError
from hrnet_jax.experiment.defaults import make_debug, to_json
from hrnet_jax.experiment.loading import load_config
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training import build, loop
from hrnet_jax.training import train as train_module
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.training.reporting import Reporter, read_metrics
from hrnet_jax.training.train import train
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.files import writing_to
from tests import tiny
from tests.tiers import fast_are


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def test_a_run_leaves_config_result_metrics_and_checkpoints():
    workdir = tiny.finished_run()
    assert json.loads((workdir / "config.json").read_text()) == to_json(tiny.config())
    result = tiny.result(workdir)
    assert result["split"] == "val" and result["num_steps"] == 8 and result["seed"] == 0
    assert set(result["metrics"]) >= {"mean_iou", "pixel_accuracy", "iou/star"}
    assert result["mean_iou"] == result["metrics"]["mean_iou"]
    assert result["device"].startswith("1 x ")
    lines = read_metrics(workdir)
    train_lines = [line for line in lines if "train/loss" in line]
    assert [line["step"] for line in train_lines] == list(range(1, 9))
    assert train_lines[0]["train/learning_rate"] == pytest.approx(0.2)
    eval_lines = {line["step"]: line for line in lines if "eval/mean_iou" in line}
    assert list(eval_lines) == [4, 8]
    best = eval_lines[result["step"]]["eval/mean_iou"]
    assert (
        best
        == result["mean_iou"]
        == max(line["eval/mean_iou"] for line in eval_lines.values())
    )
    checkpoints = Checkpoints(workdir)
    assert checkpoints.best() == result["step"] == tiny.BEST_STEP
    assert checkpoints.steps() == [4, 6, 8]
    meta = checkpoints.meta(8)
    assert meta["dataset_info"]["class_names"][0] == "background"
    checkpoints.close()


def test_a_run_keeps_freed_memory(monkeypatch):
    kept = []
    monkeypatch.setattr(runtime, "keep_freed_memory", lambda: kept.append(True))
    train(tiny.config(), tiny.finished_run())
    assert kept == [True]


def test_evaluating_the_best_step_again_gives_the_same_metrics():
    workdir = tiny.finished_run()
    expected = tiny.result(workdir)
    assert evaluate(tiny.config(), workdir, step="latest") != expected["metrics"]
    assert evaluate(tiny.config(), workdir) == expected["metrics"]
    assert (
        evaluate(tiny.config(), workdir, step=expected["step"]) == (expected["metrics"])
    )


@pytest.mark.parametrize(
    ("reason", "name"),
    [(errno.ENOSPC, None), (errno.EROFS, None), (errno.EACCES, "metrics.jsonl")],
)
def test_a_disk_that_is_full_or_read_only_is_named(reason, name, tmp_path):
    path = tmp_path / name if name else tmp_path
    with (
        pytest.raises(CheckpointError) as error,
        writing_to(tmp_path),
    ):
        raise OSError(reason, "why", *([str(path)] if name else []))
    assert str(error.value).startswith(f"{path}: cannot be written (why); make room")
    assert str(error.value).endswith("run the same command again to resume")


def test_other_errors_of_the_system_pass(tmp_path):
    with pytest.raises(FileNotFoundError), writing_to(tmp_path):
        (tmp_path.parent / "elsewhere").read_text()


def test_a_disk_that_fills_up_during_training(tmp_path, monkeypatch):
    def scalars(self, step, values):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Reporter, "scalars", scalars)
    with pytest.raises(CheckpointError, match="cannot be written .No space left"):
        train(tiny.config(), tmp_path)


def test_refuses_to_evaluate_on_data_with_other_classes(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        pixels = np.zeros((8, 8, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), pixels)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), pixels[..., 0])
    folder = tmp_path / "data"
    prepare("segmentation_folder", folder, tmp_path, classes=("floor", "wall"))
    config = tiny.config(dataset__name="segmentation_folder")
    config.dataset.data_dir = str(folder)
    message = (
        r"was trained on 'shapes' with num_classes=7, but the data set "
        r"'segmentation_folder' has num_classes=2"
    )
    with pytest.raises(CheckpointError, match=message):
        evaluate(config, tiny.finished_run())


def test_the_test_split_and_pictures_of_the_best_checkpoint(tmp_path):
    config = tiny.config(dataset__test_split="train[:3]", eval__pictures=2, num_steps=2)
    metrics = train(config, tmp_path)
    result = tiny.result(tmp_path)
    assert result["split"] == "train[:3]" and result["metrics"] == metrics
    assert metrics == evaluate(config, tmp_path)
    (line,) = [line for line in read_metrics(tmp_path) if "eval/mean_iou" in line]
    assert line["eval/mean_iou"] != metrics["mean_iou"]
    pictures = sorted((tmp_path / "predictions").glob("*.png"))
    assert len(pictures) == 2
    for path in pictures:
        height, width, _ = cv2.imread(str(path)).shape
        assert height >= tiny.SIZE and width >= 3 * tiny.SIZE


def poison(monkeypatch, step, name):
    """Makes one scalar of one step infinite."""
    compile_step = loop.Loop._compile

    def patched(self, state, batch):
        step_fn = compile_step(self, state, batch)

        def poisoned(state, batch):
            state, scalars = step_fn(state, batch)
            bad = jnp.where(state.step == step, jnp.inf, scalars[name])
            return state, scalars | {name: bad}

        return poisoned

    monkeypatch.setattr(loop.Loop, "_compile", patched)


@pytest.mark.parametrize("name", fast_are(["loss"], ["loss", "gradient_norm"]))
def test_stops_at_a_scalar_that_is_not_finite(name, tmp_path, monkeypatch):
    poison(monkeypatch, 5, name)
    # Logged every 8th step only: saving step 6 has to notice.
    config = tiny.config(logging__every_steps=8)
    with pytest.raises(HRNetError) as caught:
        train(config, tmp_path)
    assert str(caught.value) == f"step 5: {name} is inf; last good checkpoint: 4"
    assert Checkpoints(tmp_path).steps() == [2, 4]
    assert not (tmp_path / "result.json").exists()


def test_stops_when_the_weights_explode(tmp_path):
    config = tiny.config(schedule__learning_rate=1e30)
    message = r"step 2: \w+ is (nan|inf); last good checkpoint: None"
    with pytest.raises(HRNetError, match=message):
        train(config, tmp_path)
    assert Checkpoints(tmp_path).steps() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (2, 2)),
        ({"mesh__round_up_batch": True}, (8, 8)),
        ({"mesh__round_up_batch": True, "mesh__data": 1}, (2, 2)),
        ({"mesh__round_up_batch": True, "mesh__space": 2}, (4, 4)),
        ({"mesh__round_up_batch": True, "optimizer__accumulate": 2}, (16, 8)),
        ({"mesh__round_up_batch": True, "batch_size": 9}, (16, 8)),
    ],
)
def test_batches_fit_the_devices_where_asked_for(changes, expected):
    small = {"batch_size": 2, "eval__batch_size": 2, "mesh__data": -1}
    fitted = build.fit_batches(read_config(tiny.config(**small | changes)))
    assert (fitted.batch_size, fitted.eval.batch_size) == expected


def test_a_run_is_taken_up_with_the_batches_it_was_begun_with(tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    path = workdir / "config.json"
    begun = json.loads(path.read_text())
    # Larger than the devices here would make it.
    begun["batch_size"] = 8 * tiny.config().batch_size
    begun["mesh"]["round_up_batch"] = True
    path.write_text(json.dumps(begun))
    metrics = train(tiny.config(mesh__round_up_batch=True), workdir)
    assert metrics == tiny.result(workdir)["metrics"]


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ({"batch_size": 8, "mesh__round_up_batch": True}, (8, 2)),
        ({"batch_size": 8}, (2, 2)),
        ({"batch_size": 1, "mesh__round_up_batch": True}, (2, 2)),
    ],
)
def test_batches_of_a_run_stay_as_it_was_begun(begun, expected):
    # On eight devices, for instance, and resumed on two.
    small = {"batch_size": 2, "eval__batch_size": 1, "mesh__data": 2}
    config = read_config(tiny.config(**small, mesh__round_up_batch=True))
    fitted = build.fit_batches(config, to_json(tiny.config(**begun)))
    assert (fitted.batch_size, fitted.eval.batch_size) == expected


@pytest.mark.slow
def test_debug_runs_on_all_devices_and_can_be_repeated(tmp_path, caplog):
    caplog.set_level("INFO", logger="hrnet_jax")
    config = tiny.config(mesh__data=-1)
    make_debug(config, (32, 32))
    metrics = train(config, tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert (stored["batch_size"], stored["eval"]["batch_size"]) == (8, 8)
    message = "batch_size is 8 instead of 2: a multiple of 8, as mesh.round_up_batch"
    assert message in caplog.text
    # The same command, and the run's own configuration.
    assert train(config, tmp_path) == metrics
    assert train(load_config(tmp_path / "config.json"), tmp_path) == metrics
    assert evaluate(config, tmp_path) == metrics


WRONG = [
    ({"batch_size": 7, "mesh__data": 8}, ConfigError, "'batch_size' is 7.*multiple of 8"),
    ({"eval__batch_size": 2, "mesh__data": 8}, ConfigError, "'eval.batch_size' is 2"),
    ({"mesh__data": 16}, ConfigError, "mesh.data=16 .* needs 16 devices, there are 8"),
    ({"mesh__space": 3}, ConfigError, "mesh.space=3 does not divide the 8 devices"),
    ({"model__name": "segmentation/w19"}, ConfigError, "unknown model 'segmentation/w19'"),
    ({"model__name": "classification/w18"}, ConfigError, "must be a segmentation model"),
    ({"model__norm": "group"}, ConfigError, "group"),
    ({"task": "depth"}, ConfigError, "unknown task 'depth'"),
    ({"dataset__name": "mnist"}, DataError, "'mnist' is not prepared in .*shapes"),
    ({"dataset__name": ""}, ConfigError, "'dataset.name' is empty"),
    ({"dataset__train_split": "training"}, DataError, "no split 'training'"),
    ({"dataset__eval_split": "valid"}, DataError, "no split 'valid'; it has train"),
    ({"num_steps": 0}, ConfigError, "one of 'num_steps' and 'num_epochs'"),
    ({"num_steps": 0, "num_epochs": 1, "batch_size": 16}, ConfigError, "only 12 examples"),
    ({"loss__class_weights": (1.0, 2.0)}, ConfigError, "'loss.class_weights' has 2 val"),
    ({"loss__name": "tversky"}, ConfigError, "unknown loss.name 'tversky'"),
    ({"dataset__augmentation__scale_min": 0.0}, ConfigError, "scale_min"),
    ({"model__init_from": "no.pth"}, HRNetError, "model.init_from=no.pth: no.pth: no such"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "message"), WRONG, ids=["-".join(case[0]) for case in WRONG]
)
def test_refuses_wrong_configurations_before_any_step(
    changes, error, message, tmp_path, monkeypatch
):
    monkeypatch.delattr(loop.Loop, "__call__")
    with pytest.raises(error, match=message):
        train(tiny.config(**changes), tmp_path)


def test_a_refused_configuration_does_not_claim_the_work_directory(tmp_path):
    with pytest.raises(ConfigError, match="'loss.class_weights' has 2 values"):
        train(tiny.config(loss__class_weights=(1.0, 2.0)), tmp_path)
    # So the corrected command may resume there.
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("section", "key"),
    [("loss", "gamma"), ("dataset.augmentation", "rotate"), ("eval.inference", "tta")],
)
def test_refuses_keys_that_the_task_does_not_read(section, key, tmp_path):
    config = to_json(tiny.config())
    place = config
    for part in section.split("."):
        place = place[part]
    place[key] = 1
    with pytest.raises(ConfigError, match=f"'{section}.{key}' is not read by anything"):
        train(config, tmp_path)


def test_refuses_the_work_directory_of_another_run():
    with pytest.raises(CheckpointError) as caught:
        train(tiny.config(batch_size=4, seed=1), tiny.finished_run())
    message = str(caught.value)
    assert message.startswith(f"{tiny.finished_run()} belongs to a run of another")
    assert "batch_size: 8 there, 4 here; seed: 0 there, 1 here" in message


@pytest.mark.parametrize(
    ("changes", "ways"),
    [
        ({"num_steps": 9}, "begin .*model.init_from={workdir}, or go on .*--extend$"),
        ({"num_steps": 9, "seed": 1}, "another work directory, begin .*={workdir}$"),
        ({"seed": 1}, "choose another work directory$"),
    ],
)
def test_the_refusal_of_another_length_names_the_ways(changes, ways):
    workdir = tiny.finished_run()
    with pytest.raises(CheckpointError, match=ways.format(workdir=workdir)):
        train(tiny.config(**changes), workdir)


def test_accepts_changes_that_leave_the_weights_alone(tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    changes = {"eval__batch_size": 1, "logging__every_steps": 3, "dataset__workers": 2}
    assert train(tiny.config(**changes), workdir) == tiny.result(workdir)["metrics"]
    written = json.loads((workdir / "config.json").read_text())
    assert written["eval"]["batch_size"] == 1


def test_an_evaluation_without_the_metric_that_ranks_names_the_split(monkeypatch):
    """As on objects of which none is annotated."""
    evaluations = train_module._Evaluations.__new__(train_module._Evaluations)
    config = read_config(tiny.config(dataset__eval_split="unlabelled"))
    task = types.SimpleNamespace(best_metric=("AP", "max"))
    evaluations._run = types.SimpleNamespace(config=config, task=task)
    monkeypatch.setattr(evaluations, "metrics", lambda *_: {"detections": 3.0})
    state = types.SimpleNamespace(eval_variables={})
    with pytest.raises(DataError) as caught:
        evaluations(state, 5)
    assert str(caught.value) == (
        "config key 'dataset.eval_split' is 'unlabelled', whose evaluation gives no AP, "
        "which ranks checkpoints, but detections; expected a split in which something "
        "is annotated"
    )


def test_refuses_checkpoints_of_unknown_origin(tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    (workdir / "config.json").unlink()
    with pytest.raises(CheckpointError, match="has checkpoints but no config.json"):
        train(tiny.config(), workdir)


@pytest.mark.usefixtures("abandoned_reads")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_checkpoint_stops_a_run_that_goes_on(tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    (workdir / "result.json").unlink()
    (workdir / "checkpoints" / "8" / "state" / "manifest.ocdbt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="checkpoints/8: cannot be read"):
        train(tiny.config(), workdir)
