"""A task in a folder outside the project does all that a task of the project does.

CONTRIBUTING.md, "Add a task", is what `installed` does.
"""

import importlib
import itertools
import pathlib
import shutil
import sys

import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax import registry, runtime
from hrnet_jax.data.stream.batches import train_batches
from hrnet_jax.data.stream.feeding import device_part, to_global
from hrnet_jax.errors import ConfigError, WeightsError
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.export.writing import ExportOptions, export_model
from hrnet_jax.inference.folder import find_images, predict_files
from hrnet_jax.inference.video import predict_video
from hrnet_jax.inspection.inspection import inspect_model
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.planning import abstract
from hrnet_jax.training.build import build_run
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.workdir.files import PICTURES_FOLDER
from tests import tiny

FOLDER = pathlib.Path(__file__).parent / "brightness"
ENTRY_POINT = """\
[hrnet_jax.tasks]
brightness = brightness:SPEC
"""


def install(folder):
    """What `pip install` leaves of a package with this entry point."""
    shutil.copytree(FOLDER, folder / "brightness")
    about = folder / "brightness-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness\n")
    (about / "entry_points.txt").write_text(ENTRY_POINT)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of the installed package, known to this process for the module."""
    folder = tmp_path_factory.mktemp("site")
    install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        registry._installed.cache_clear()
        yield folder
    registry._installed.cache_clear()
    registry._load.cache_clear()
    for name in [name for name in sys.modules if name.startswith("brightness")]:
        del sys.modules[name]


def config():
    """Eight steps on generated images, as a user writes them down."""
    config = hrnet_jax.default_config("brightness")
    config.model.name = f"brightness/{tiny.VARIANT_NAME}"
    config.dataset.name = "shapes"
    config.dataset.data_dir = str(tiny.data_dir())
    config.num_steps = 8
    config.eval.every_steps = 4
    config.eval.pictures = 2
    config.checkpoint.every_steps = 2
    config.mesh.data = 1
    config.logging.every_steps = 1
    config.logging.progress = False
    config.logging.tensorboard = False
    return config


@pytest.fixture(scope="module")
def workdir(installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    hrnet_jax.train(config(), folder)
    return folder


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)


def test_it_is_listed_beside_the_others(installed):
    assert "brightness" in registry.task_names(trainable=True)
    assert "brightness/w18" in hrnet_jax.model_names()
    with pytest.raises(
        ConfigError, match="unknown task 'bright'; .* brightness, class"
    ):
        registry.get_spec("bright")


def test_a_fresh_process_knows_it_without_a_word(installed):
    code = (
        "import hrnet_jax; print(hrnet_jax.create_model('brightness/w18').output_kind)"
    )
    path = f"{tiny.ROOT}:{installed}"
    assert tiny.run_python(code, PYTHONPATH=path).stdout.split() == ["brightness"]


def test_trains_and_draws(workdir):
    losses = [row["train/loss"] for row in read_metrics(workdir) if "train/loss" in row]
    assert len(losses) == 8 and losses[-1] < losses[0] / 2
    assert 0 < tiny.result(workdir)["mean_error"] < 1
    assert len(list((workdir / PICTURES_FOLDER).glob("*.png"))) == 2


def test_evaluates(workdir):
    metrics = hrnet_jax.evaluate(config(), workdir, "best")
    best = tiny.result(workdir)
    assert metrics["mean_error"] == pytest.approx(best["mean_error"], abs=1e-6)


@pytest.mark.slow
def test_resumes_bit_for_bit(workdir, tmp_path, monkeypatch):
    from brightness.task import BrightnessEvaluator

    class PulledPlug(Exception):
        pass

    compute, calls = BrightnessEvaluator.compute, itertools.count(1)

    def break_off(self):
        if next(calls) == 2:
            raise PulledPlug
        return compute(self)

    with monkeypatch.context() as patch:
        patch.setattr(BrightnessEvaluator, "compute", break_off)
        with pytest.raises(PulledPlug):
            hrnet_jax.train(config(), tmp_path)
    # The last two steps are made again.
    assert (
        max(int(path.name) for path in (tmp_path / "checkpoints").glob("[0-9]*")) == 6
    )
    hrnet_jax.train(config(), tmp_path)
    tiny.assert_equal_bits(tiny.state(tmp_path), tiny.state(workdir))


def test_predicts_for_images_files_and_videos(workdir, image, tmp_path):
    import cv2

    run = hrnet_jax.load_run(workdir)
    found = run.predict(image)["brightness"]
    assert found.shape == () and np.isfinite(found)
    assert run.draw(image, {"brightness": found}).shape[0] > len(image)
    cv2.imwrite(str(tmp_path / "photo.png"), image[..., ::-1])
    report = predict_files(run, find_images(tmp_path), tmp_path / "out", progress=False)
    assert report["images"][0]["brightness"] == pytest.approx(float(found), abs=1e-5)
    codec = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), codec, 20, (80, 48))
    writer.write(image)
    writer.release()
    video = predict_video(run, tmp_path / "clip.mp4", tmp_path / "v", progress=False)
    assert (video["frames"], video["points"]) == (1, None)


@pytest.mark.slow
def test_exports(workdir, image, tmp_path):
    run = hrnet_jax.load_run(workdir)
    path = tmp_path / "brightness.stablehlo"
    # In deviations of the output, which noise hardly varies: every image is grey.
    export_model(run, path, check_size=(32, 32), tolerance=0.01)
    exported = hrnet_jax.open_exported(path)
    assert exported.record["task"] == "brightness"
    found, expected = (model.predict(image)["brightness"] for model in (exported, run))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ConfigError, match="only segmentation is upsampled"):
        export_model(run, path, ExportOptions(upsample=True))


def test_is_inspected_and_planned(installed):
    found = inspect_model(f"brightness/{tiny.VARIANT_NAME}")
    assert found.size == (64, 64) and found.linear == 8 * (1 + 2 + 4 + 8)
    mesh = runtime.make_mesh(data=2)
    made = build_run(read_config(config()))
    batches = train_batches(
        made.train_records, made.task.train_transform, batch_size=8, seed=0
    )
    real = device_part(to_global(next(batches), mesh, made.task.map_keys))
    batches.close()
    told = abstract.train_batch(made.task, 8, mesh)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), told) == jax.tree.map(
        lambda x: (x.shape, x.dtype), real
    )


def test_weights_of_code_bases_that_have_no_such_model_are_refused(installed):
    model = hrnet_jax.create_model("brightness/w18")
    with pytest.raises(WeightsError, match="no code base here has brightness models"):
        hrnet_jax.pretrained.from_torch({"conv1.weight": np.ones(1)}, model)


def test_a_task_is_registered_by_hand_in_a_notebook(installed, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    spec = importlib.import_module("brightness").SPEC
    registry.register(spec)
    assert registry.get_spec("brightness/w18") is spec
    with pytest.raises(ConfigError, match="there is a task 'pose' already"):
        registry.register(registry.get_spec("pose"))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            "no_such_module:SPEC",
            "'bad' cannot be read from no_such_module:SPEC: No mod",
        ),
        ("brightness:NOTHING", "'bad' cannot be read from brightness:NOTHING: .*NOTHI"),
        ("brightness:SPEC", "brightness:SPEC is listed as the task 'bad', but calls"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_named(
    place, message, installed, monkeypatch
):
    monkeypatch.setattr(registry, "_installed", lambda: {"bad": place})
    with pytest.raises(ConfigError, match=message):
        registry.get_spec("bad")


def test_a_class_that_lacks_part_of_the_contract_is_refused(installed):
    from brightness.task import BrightnessTask

    from hrnet_jax.tasks.spec import TaskSpec

    whole = {"name": "half", "models": {}, "default_size": (1, 1), "trainable": True}
    members = {
        name: value
        for name, value in vars(BrightnessTask).items()
        if name not in ("loss", "best_metric")
    }
    half = type("Half", BrightnessTask.__bases__, members)
    with pytest.raises(TypeError, match="task 'half': Half lacks best_metric, loss of"):
        TaskSpec(task=half, **whole)
    TaskSpec(task=half, **whole | {"trainable": False})
