"""What is taken for an image: paths, Pillow images, arrays, lists and stacks."""

import pathlib
import re

import jax
import numpy as np
import pytest
from PIL import Image

from hrnet_jax import runtime
from hrnet_jax.classification.task import ClassificationTask, InferenceOptions
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging.pillow import pixels_of
from hrnet_jax.inference import Predictor, load_run
from hrnet_jax.inference.images import for_each
from hrnet_jax.models.initialization import initial_variables, variable_shapes
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.task import SegmentationTask
from tests import tiny

SIZE = (32, 48)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
ORIENTATION, TURNED_LEFT = 0x112, 6


@pytest.fixture(scope="module")
def run():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        yield load_run(tiny.finished_run())


@pytest.fixture
def photo(tmp_path):
    """A PNG that a camera held upright: its rows are the columns of the picture."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED_LEFT
    path = tmp_path / "photo.png"
    stored = np.ascontiguousarray(np.rot90(IMAGES[0]))
    Image.fromarray(stored).save(path, exif=exif)
    return path


def keep(image, boxes):
    return image, boxes


def test_a_path_a_pillow_image_and_its_array_are_one_image(photo):
    with Image.open(photo) as opened:
        assert opened.size == SIZE
        for given in (photo, str(photo), opened, IMAGES[0]):
            image, _ = for_each(given, None, keep)
            np.testing.assert_array_equal(image, IMAGES[0], strict=True)


def test_a_file_url_is_a_path(photo):
    image, _ = for_each(photo.as_uri(), None, keep)
    np.testing.assert_array_equal(image, IMAGES[0])


@pytest.mark.parametrize(
    "several", [list(IMAGES), tuple(IMAGES), IMAGES, jax.numpy.asarray(IMAGES)]
)
def test_lists_and_stacks_give_a_list(several):
    results = for_each(several, None, keep)
    assert len(results) == 2 and [boxes for _, boxes in results] == [None, None]
    for (image, _), expected in zip(results, IMAGES, strict=True):
        np.testing.assert_array_equal(image, expected, strict=True)


def test_a_list_may_mix_kinds_and_has_its_boxes(photo):
    results = for_each([photo, IMAGES[1]], ["of the first", "of the second"], keep)
    assert [boxes for _, boxes in results] == ["of the first", "of the second"]
    np.testing.assert_array_equal(results[0][0], IMAGES[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "NoneType is no image; expected the path of an image file, a Pillow"),
        ([], "no image was given; expected the path of an image file"),
        (IMAGES[:0], "no image was given; expected"),
        ("https://host/a.png", "https://host/a.png: images are read from this machine"),
        ("gone.png", "cannot read gone.png: No such file or directory"),
        ([IMAGES[0], IMAGES[0] / 255], "image 1 of 2: an image must be uint8"),
        ([IMAGES[0], [IMAGES[1]]], "image 1 of 2: list is no image; expected"),
        ([b"x"], "image 0 of 1: bytes is no image"),
        (IMAGES[..., :2], "image 0 of 2: an image must be uint8 [height, width, 3]"),
        (Image.new("F", (4, 3)), "a Pillow image of mode F has 32-bit pixels of unk"),
    ],
)
def test_what_is_no_image_is_named(given, message):
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        for_each(given, None, keep)
    assert str(caught.value).startswith(message)


def test_boxes_of_another_number_of_images_are_refused():
    with pytest.raises(DataError, match="boxes of 1 images were given for 2 images; e"):
        for_each(IMAGES, [np.zeros((3, 4))], keep)


@pytest.mark.parametrize("junk", [b"junk", b"II*\0\xff\xff\xff\xff", b"Exif\0\0MM"])
def test_damaged_exif_data_turn_nothing(junk, tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png", exif=junk)
    with Image.open(tmp_path / "a.png") as opened:
        np.testing.assert_array_equal(pixels_of(opened), IMAGES[0])


def test_a_run_predicts_for_all_of_them_alike(run, photo):
    expected = run.predict(IMAGES[0])
    several = run.predict([photo, Image.fromarray(IMAGES[0])])
    for prediction in (run.predict(str(photo)), *several):
        assert prediction.keys() == {"label", "confidence"}
        tiny.assert_equal_bits(prediction, expected)
    picture = run.draw(pathlib.Path(photo), expected)
    np.testing.assert_array_equal(picture, run.draw(IMAGES[0], expected))


def test_probabilities_are_the_softmax_of_the_logits(run):
    logits = run.logits(IMAGES[0])
    prediction = run.predict(IMAGES[0], probabilities=True)
    found = prediction["probabilities"]
    assert logits.shape == found.shape == (*SIZE, 7)
    assert logits.dtype == found.dtype == np.float32
    np.testing.assert_allclose(found, jax.nn.softmax(logits), atol=1e-6)
    np.testing.assert_allclose(prediction["confidence"], found.max(-1), atol=1e-6)
    np.testing.assert_array_equal(prediction["label"], logits.argmax(-1))
    np.testing.assert_array_equal(run.predict(IMAGES[0])["label"], prediction["label"])


def test_features_are_the_maps_of_the_branches(run):
    maps = run.features(IMAGES[0])
    normalization = run.config.model.normalization
    inputs = normalize_images(IMAGES[:1], normalization)
    model = create_model("features/tiny")
    own = variable_shapes(model)
    variables = {
        kind: {name: run.variables[kind][name] for name in tree}
        for kind, tree in own.items()
    }
    expected = runtime.jit(model.apply)(variables, inputs)
    assert [array.shape for array in maps] == [
        (8, 12, 8),
        (4, 6, 16),
        (2, 3, 32),
        (1, 2, 64),
    ]
    for found, wanted in zip(maps, expected, strict=True):
        np.testing.assert_allclose(found, wanted[0], atol=2e-4)


def test_padding_is_cut_off_logits_and_features(run):
    padded = Predictor(run.task, run.variables, pad_multiple=64)
    assert padded.logits(IMAGES[0]).shape == (*SIZE, 7)
    maps = padded.features(IMAGES[0], run.config.model.normalization)
    assert [array.shape[:2] for array in maps] == [(8, 12), (4, 6), (2, 3), (1, 2)]


@pytest.mark.slow
def test_classifiers_have_one_score_for_each_class(run):
    names = ("a", "b", "c")
    task = ClassificationTask(
        create_model("classification/tiny", num_classes=3),
        DatasetInfo("any", 0, (), (), image_class_names=names),
        inference=InferenceOptions(short_side=0, crop=0),
    )
    predictor = Predictor(task, initial_variables(task.model, 0, "he"))
    first, second = predictor.logits(IMAGES)
    assert first.shape == second.shape == (3,)
    found = predictor.predict(IMAGES[0])["probabilities"]
    np.testing.assert_allclose(found, jax.nn.softmax(first), atol=1e-6)


def test_a_task_without_classes_has_no_probabilities(run, monkeypatch):
    monkeypatch.setattr(SegmentationTask, "scores_classes", False)
    with pytest.raises(ConfigError) as caught:
        run.predict(IMAGES[0], probabilities=True)
    assert str(caught.value) == (
        "probabilities were asked for, but SegmentationTask scores no classes; "
        "expected a segmentation or classification model"
    )
    with pytest.raises(ConfigError, match="logits were asked for, but Segmentation"):
        run.logits(IMAGES[0])
