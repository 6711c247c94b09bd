"""Work directories and data that were moved between two sessions."""

import os
import pathlib
import shutil

import cv2
import numpy as np
import pytest

from hrnet_jax.conversion.importing import export_weights
from hrnet_jax.errors import DataError
from hrnet_jax.export.writing import ExportOptions, export_model
from hrnet_jax.inference.folder import predict_files
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained.files import read_weights_file
from hrnet_jax.training.curves import draw_curves
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.training.train import train
from tests import tiny
from tests.tiers import fast_are


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


@pytest.fixture(params=fast_are(["relative"], ["relative", "absolute"]))
def moved(request, tmp_path, monkeypatch):
    """A copy of the finished run, opened once and moved away, from another folder."""
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny.finished_run(), "runs/a")
    load_run("runs/a")
    (tmp_path / "archive" / "2026").mkdir(parents=True)
    shutil.move("runs/a", "archive/2026/b")
    os.rmdir("runs")
    monkeypatch.chdir(tmp_path / "archive")
    path = "2026/b" if request.param == "relative" else tmp_path / "archive/2026/b"
    yield path
    # Nobody made the old place anew.
    assert sorted(os.listdir(tmp_path)) == ["archive"]


@pytest.mark.slow
def test_a_moved_run_is_resumed_to_the_same_bits(moved):
    os.remove(f"{moved}/result.json")
    shutil.rmtree(f"{moved}/checkpoints/8")
    train(tiny.config(), moved)
    tiny.assert_equal_bits(tiny.state(tiny.finished_run()), tiny.state(moved))
    assert tiny.learned(tiny.finished_run()) == tiny.learned(pathlib.Path(moved))


@pytest.mark.slow
def test_a_moved_run_is_used_as_before(moved):
    assert evaluate(tiny.config(), moved) == tiny.result(tiny.finished_run())["metrics"]
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    cv2.imwrite("a.png", picture)
    labels = []
    for number, workdir in enumerate((tiny.finished_run(), moved)):
        predict_files(load_run(workdir), [pathlib.Path("a.png")], f"out{number}")
        labels.append(cv2.imread(f"out{number}/a_label.png", cv2.IMREAD_UNCHANGED))
    np.testing.assert_array_equal(*labels)
    draw_curves([moved], "curves.png")
    assert os.path.getsize("curves.png")
    for number, workdir in enumerate((tiny.finished_run(), moved)):
        export_weights(workdir, "best", f"{number}.safetensors")
    tiny.assert_equal_bits(
        read_weights_file("0.safetensors"), read_weights_file("1.safetensors")
    )


@pytest.mark.slow
def test_a_moved_run_is_exported(moved):
    options = ExportOptions(size=(64, 64), platforms=("cpu",))
    export_model(load_run(moved), "tiny.stablehlo", options)
    assert os.path.getsize("tiny.stablehlo")


@pytest.mark.slow
def test_data_that_were_moved_are_asked_for_and_found_again(tmp_path):
    data = shutil.copytree(tiny.data_dir(), tmp_path / "data")
    workdir = tiny.copy_of_finished_run(tmp_path)
    shutil.rmtree(workdir / "checkpoints" / "8")
    os.remove(workdir / "result.json")
    config = tiny.config(dataset__data_dir=str(data))
    shutil.move(data, tmp_path / "elsewhere")
    for use in (train, evaluate):
        with pytest.raises(DataError) as error:
            use(config, workdir)
        assert str(error.value) == (
            f"data set 'shapes' is not prepared in {data} (found there: none); run: "
            f"python scripts/prepare_data.py --dataset=shapes --data_dir={data}; "
            "if its folder was moved: --config.dataset.data_dir=FOLDER"
        )
    config.dataset.data_dir = str(tmp_path / "elsewhere")
    train(config, workdir)
    tiny.assert_equal_bits(tiny.state(tiny.finished_run()), tiny.state(workdir))
