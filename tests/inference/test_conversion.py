"""Official files to work directories and back."""

import functools

import jax
import numpy as np
import pytest
import torch

from hrnet_jax import runtime
from hrnet_jax.data.camvid import CLASSES as CAMVID
from hrnet_jax.data.cityscapes import CLASSES as CITYSCAPES
from hrnet_jax.errors import CheckpointError, DataError, HRNetError, WeightsError
from hrnet_jax.inference.conversion import class_info, export_torch, import_torch
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.resize import resize
from hrnet_jax.pretrained import to_torch
from hrnet_jax.registry import create_model
from hrnet_jax.training.weights import flat_variables
from tests import tiny

NAME = "segmentation/w18_small_v1"


@functools.cache
def official(num_classes=19, name=NAME):
    """(model, variables, official tensors) with random weights."""
    model = create_model(name, num_classes=num_classes)
    variables = jax.device_get(initial_variables(model, 0, "he"))
    return model, variables, to_torch(variables, model)


@pytest.fixture
def pth(tmp_path):
    path = tmp_path / "official.pth"
    _, _, tensors = official()
    torch.save({f"model.{k}": torch.tensor(v) for k, v in tensors.items()}, path)
    return path


@pytest.fixture
def workdir(pth, tmp_path):
    import_torch(pth, tmp_path / "run", NAME, classes="cityscapes")
    return tmp_path / "run"


def test_nothing_is_lost_there_and_back(workdir, tmp_path):
    _, variables, tensors = official()
    run = load_run(workdir)
    tiny.assert_equal_bits(flat_variables(run.variables), flat_variables(variables))
    assert run.info.class_names == tuple(CITYSCAPES)
    assert run.info.palette[0] == (128, 64, 128)
    count = export_torch(workdir, "best", tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert count == len(back) == len(tensors)
    tiny.assert_equal_bits({k: v.numpy() for k, v in back.items()}, tensors)


def test_every_tensor_but_the_counters_is_counted(pth, tmp_path):
    count = import_torch(pth, tmp_path / "run", NAME)
    assert count == len(flat_variables(official()[1]))
    assert load_run(tmp_path / "run").info.class_names[18] == "class 18"


def test_predicts_what_the_model_computes(workdir):
    model, variables, _ = official()
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    logits = runtime.jit(model.apply)(variables, normalize_images(image[None]))
    expected = np.asarray(resize(logits, (32, 32), "bilinear"))[0]
    prediction = load_run(workdir).predict(image)
    np.testing.assert_array_equal(prediction["label"], expected.argmax(-1))
    top = np.exp(expected.max(-1)) / np.exp(expected).sum(-1)
    np.testing.assert_allclose(prediction["confidence"], top, rtol=1e-3)


def test_aligned_corners_are_remembered(pth, tmp_path):
    import_torch(pth, tmp_path / "run", NAME, align_corners=True)
    assert load_run(tmp_path / "run").task.model.upsample == "align_corners"


def test_a_directory_in_use_is_left_alone(pth, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="run is not empty; choose a new"):
        import_torch(pth, tmp_path / "run", NAME)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("segmentation/w48", WeightsError, "official.pth: .*weights do not fit"),
        ("segmentation/w17", HRNetError, "unknown model 'segmentation/w17'"),
        ("classification/w18", WeightsError, "only these families"),
        ("w18", HRNetError, "w18"),
    ],
)
def test_another_model_is_refused_and_nothing_is_left(
    name, error, message, pth, tmp_path
):
    with pytest.raises(error, match=message):
        import_torch(pth, tmp_path / "run", name)
    assert not (tmp_path / "run").exists()


def test_a_classifier_is_no_segmentation_model(tmp_path):
    torch.save({"conv1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "cls.pth")
    message = "cls.pth: has no tensor 'last_layer.3.weight', so it is no segmentation"
    with pytest.raises(WeightsError, match=message):
        import_torch(tmp_path / "cls.pth", tmp_path / "run", NAME)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="gone.pth: no such file"):
        import_torch(tmp_path / "gone.pth", tmp_path / "run", NAME)


def test_class_names_from_data_sets_and_files(tmp_path):
    info = class_info("camvid", 11)
    assert info.class_names == tuple(CAMVID) and info.palette[3] == (128, 64, 128)
    path = tmp_path / "mine.txt"
    path.write_text("sky\n\n tree \nroad\n")
    info = class_info(str(path), 3)
    assert info.class_names == ("sky", "tree", "road") and len(info.palette) == 3
    assert info.name == "mine"


@pytest.mark.parametrize(
    ("classes", "count", "message"),
    [
        ("camvid", 19, "camvid names 11 classes, the weights have 19"),
        ("segmentation_folder", 3, "'segmentation_folder' has no fixed classes"),
        ("ade", 150, "ade: neither a file of class names nor one of the data sets"),
    ],
)
def test_wrong_class_names(classes, count, message):
    with pytest.raises(DataError, match=message):
        class_info(classes, count)
