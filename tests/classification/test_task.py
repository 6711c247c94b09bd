"""What an image shows."""

import dataclasses
import json

import cv2
import jax
import numpy as np
import pytest
from PIL import Image

from hrnet_jax import runtime
from hrnet_jax.classification import drawing
from hrnet_jax.classification.losses import distillation
from hrnet_jax.classification.options import InferenceOptions, LossOptions
from hrnet_jax.classification.task import ClassificationTask
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.inference import Predictor
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from tests import tiny

NAMES = tuple(f"thing {index}" for index in range(7))
INFO = DatasetInfo("things", 0, (), (), image_class_names=NAMES)


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def make_task(**options):
    model = create_model("classification/tiny", num_classes=7)
    return ClassificationTask(model, INFO, **options)


def make_image(height, width):
    rng = np.random.default_rng([height, width])
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size", [(300, 500), (500, 301), (90, 64), (256, 256)])
def test_images_are_resized_and_cropped_as_for_the_published_figures(size):
    image = make_image(*size)
    prepared = make_task().prepare(image)
    assert prepared.shape == (224, 224, 3) and prepared.dtype == np.uint8
    # torchvision's Resize(256), CenterCrop(224) written out.
    height, width = size
    if height <= width:
        new = (256 * width // height, 256)
    else:
        new = (256, 256 * height // width)
    resized = np.asarray(Image.fromarray(image).resize(new, Image.BILINEAR))
    top, left = round((new[1] - 224) / 2), round((new[0] - 224) / 2)
    np.testing.assert_array_equal(prepared, resized[top : top + 224, left : left + 224])


def test_resizing_and_cropping_can_be_left_out():
    image = make_image(90, 64)
    task = make_task(inference=InferenceOptions(short_side=0, crop=0))
    np.testing.assert_array_equal(task.prepare(image), image)
    task = make_task(inference=InferenceOptions(short_side=0, crop=70))
    np.testing.assert_array_equal(task.prepare(image), image[10:80])


@pytest.mark.parametrize("options", [(100, 224), (-1, 0), (0, -2)])
def test_a_crop_larger_than_the_image_is_an_error(options):
    with pytest.raises(ConfigError, match=r"eval\.inference\.short_side"):
        InferenceOptions(*options)


def test_probabilities_are_the_softmax_of_the_logits(tmp_path):
    norm = Normalization((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), "bgr")
    task = make_task(
        inference=InferenceOptions(short_side=0, crop=0), normalization=norm
    )
    variables = initial_variables(task.model, 3)
    image = make_image(64, 96)
    prediction = Predictor(task, variables).predict(image)
    inputs = (image[..., ::-1] / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(
        normalize_images(image, norm), inputs, atol=1e-5, rtol=1e-5
    )
    apply = runtime.jit(task.model.apply)
    logits = apply(variables, inputs[None].astype(np.float32))[0]
    shares = np.exp(logits - np.max(logits))
    shares /= shares.sum()
    np.testing.assert_allclose(prediction["probabilities"], shares, atol=1e-4)
    assert prediction["class"] == shares.argmax()
    summary = task.save(tmp_path, "it", image, prediction)
    best = summary["classes"]
    assert [entry["id"] for entry in best] == list(np.argsort(-shares)[:5])
    assert best[0]["name"] == NAMES[best[0]["id"]]
    picture = cv2.imread(str(tmp_path / "it_classes.png"))
    np.testing.assert_array_equal(picture[:64, :96, ::-1], image)
    assert picture.shape[0] > 64


def test_the_truth_is_drawn_below():
    prediction = {"probabilities": np.full(7, 1 / 7), "class": 0}
    image = make_image(40, 400)
    plain = make_task().draw(image, prediction)
    told = make_task().draw(image, prediction, {"class": np.int32(4)})
    assert told.shape[0] > plain.shape[0] and told.shape[1] == plain.shape[1] == 400


@pytest.mark.slow
def test_what_places_add_to_the_best_class_has_its_score_for_a_mean():
    task = make_task(inference=InferenceOptions(short_side=0, crop=0))
    variables = initial_variables(task.model, 3)
    predictor = Predictor(task, variables)
    image = make_image(64, 96)
    prediction = predictor.predict(image)
    assert prediction["activation"].shape == (2, 3)
    best = predictor.logits(image)[prediction["class"]]
    assert prediction["activation"].mean() == pytest.approx(best, abs=1e-4)


def test_a_class_is_drawn_where_it_was_seen(tmp_path):
    # 64x96 for the network, of which it sees the middle 64, in cells of 32: the cell
    # at the top right is around column 64 of 96, and row 16 of 64.
    task = make_task(inference=InferenceOptions(short_side=64, crop=64))
    image = np.full((128, 192, 3), 90, np.uint8)
    _, view = task.to_network(image)
    activation = np.float32([[0, 1], [-3, 0]])
    prediction = task.to_image(
        {
            "activation": activation[None],
            "class": np.array([2]),
            "probabilities": np.full((1, 7), 1 / 7, np.float32),
        },
        view,
    )
    heat, seen = drawing._on_image(activation, prediction["view"], image.shape[:2])
    np.testing.assert_array_equal(np.flatnonzero(seen.any(0)), np.arange(32, 160))
    assert seen.any(1).all()
    # 32 pixels of the network are 64 of the image: centres at 96 +- 32 and 32.
    assert heat[32, 128] == pytest.approx(heat.max(), abs=0.01)
    assert heat.max() == pytest.approx(1, abs=0.01)
    assert heat[32, 96] == pytest.approx(0.5, abs=0.03)
    assert heat[96, 64] == 0 and heat[0, 20] == 0
    summary = task.save(tmp_path, "it", image, prediction, ["activation", "json"])
    assert {path.name for path in tmp_path.iterdir()} == {
        "it_activation.png",
        "it.json",
    }
    assert json.loads((tmp_path / "it.json").read_text()) == summary
    picture = cv2.imread(str(tmp_path / "it_activation.png"))[..., ::-1].astype(int)
    assert tuple(picture[64, 4]) == (45, 45, 45)  # not seen
    # Yellow where the class was seen most; nothing where nothing spoke for it.
    red, _, blue = picture[32, 128]
    assert red > 150 > blue
    assert tuple(picture[96, 64]) == (90, 90, 90)


def test_frames_of_a_video_have_one_size_whatever_the_names():
    task, image = make_task(), make_image(40, 50)
    shares = np.eye(7, dtype=np.float32)
    frames = [task.draw_frame(image, {"probabilities": one}) for one in shares]
    assert {frame.shape for frame in frames} == {(len(frames[0]), 50, 3)}
    assert task.draw(image, {"probabilities": shares[0]}).shape[1] > 50


def test_an_exported_file_has_no_places_to_draw(tmp_path):
    prediction = {"probabilities": np.full(7, 1 / 7), "class": 0}
    with pytest.raises(ConfigError, match="only=activation: an exported file"):
        make_task().save(tmp_path, "it", make_image(40, 40), prediction, ["activation"])
    assert not list(tmp_path.iterdir())


BATCH = {
    "image": np.stack([make_image(32, 32), make_image(32, 32)[::-1]]),
    "class": np.array([3, 5], np.int32),
}


class Linear:
    """In the place of a network: scores are linear in the mean of each colour."""

    def apply(self, variables, inputs, train=True, rngs=None, mutable=()):
        scores = inputs.mean((1, 2)) @ variables["params"]["kernel"]
        return (
            (scores, {"batch_stats": variables["batch_stats"]}) if mutable else scores
        )


KERNEL, TEACHER = np.random.default_rng(3).normal(size=(2, 3, 7)).astype(np.float32)


def loss_of(seed=0, **options):
    task = ClassificationTask(Linear(), INFO, loss=LossOptions(**options))
    variables = {"params": {"kernel": KERNEL}, "batch_stats": {"mean": np.ones(2)}}
    value, (stats, scalars) = task.loss(
        variables, BATCH, {"dropout": jax.random.key(seed)}
    )
    assert stats is variables["batch_stats"] and scalars == {}
    return float(value)


def test_the_loss_is_that_of_the_networks_scores():
    inputs = (BATCH["image"] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    scores = inputs.mean((1, 2)) @ KERNEL
    targets = 0.8 * np.eye(7)[BATCH["class"]] + 0.2 / 7
    log_shares = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    expected = -(targets * log_shares).sum(-1).mean()
    assert loss_of(label_smoothing=0.2) == pytest.approx(expected, rel=1e-4)


def test_a_teacher_has_its_share_of_the_loss():
    options = LossOptions(teacher="somewhere", teacher_weight=0.25, temperature=2.0)
    variables = {
        "params": {"kernel": KERNEL},
        "batch_stats": {},
        "teacher": {"params": {"kernel": TEACHER}},
    }
    rngs = {"dropout": jax.random.key(0)}
    task = ClassificationTask(Linear(), INFO, loss=options)
    with pytest.raises(ConfigError, match="'somewhere', which was not opened"):
        task.loss(variables, BATCH, rngs)
    seen_by_teacher = Normalization((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    task = task.with_teacher(Linear(), seen_by_teacher)
    value, (_, parts) = task.loss(variables, BATCH, rngs)
    scores, soft = (
        normalize_images(BATCH["image"], norm).mean((1, 2)) @ kernel
        for norm, kernel in ((Normalization(), KERNEL), (seen_by_teacher, TEACHER))
    )
    assert float(parts["label_loss"]) == pytest.approx(loss_of(), rel=1e-5)
    expected = float(distillation(scores, soft, 2.0))
    assert float(parts["teacher_loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(value) == pytest.approx(0.75 * loss_of() + 0.25 * expected, rel=1e-4)

    def by_teacher(kernel):
        taught = variables | {"teacher": {"params": {"kernel": kernel}}}
        return task.loss(taught, BATCH, rngs)[0]

    assert not jax.grad(by_teacher)(TEACHER).any()


def test_mixtures_follow_the_key_of_the_step():
    first, again, other = (loss_of(seed, cutmix=1.0) for seed in (1, 1, 2))
    assert first == again != other
    assert loss_of(3, cutmix=1.0, mix_probability=0.0) == loss_of()


def test_images_of_several_classes_have_a_probability_of_each():
    info = dataclasses.replace(INFO, multi_label=True)
    model = create_model("classification/tiny", num_classes=7)
    task = ClassificationTask(model, info)
    logits = np.float32([[0, -1, 2, 3, -4, 0.5, 1]])
    found = task.decode({"logits": logits}, (32, 32))
    np.testing.assert_allclose(found["probabilities"], 1 / (1 + np.exp(-logits)), 1e-6)
    assert found["class"] == 3
    shown = {"classes": np.uint8([0, 1, 0, 0, 0, 0, 1])}
    sample = {"image": make_image(40, 60), "image_id": "it", **shown}
    batch = task.train_transform(sample, np.random.default_rng(0))
    assert batch["image"].shape == (224, 224, 3)
    assert batch["classes"].tolist() == shown["classes"].tolist()
    with pytest.raises(
        ConfigError, match="'loss.label_smoothing' is 0.1, but images of"
    ):
        ClassificationTask(model, info, loss=LossOptions(label_smoothing=0.1))


@pytest.mark.slow
def test_evaluated_images_have_one_size_and_their_rank():
    task = make_task(inference=InferenceOptions(short_side=40, crop=32))
    sample = {"image": make_image(50, 90), "image_id": "it", "class": np.int64(4)}
    evaluated = task.eval_transform(sample)
    np.testing.assert_array_equal(evaluated["image"], task.prepare(sample["image"]))
    batch = {key: np.asarray(evaluated[key])[None] for key in ("image", "class")}
    batch["example_valid"] = np.array([True])
    found = jax.jit(task.predict)(initial_variables(task.model, 2), batch)
    assert "activation" not in found
    shares = np.asarray(found["probabilities"][0])
    assert found["truth"][0] == shares[4]
    assert found["rank"][0] == (shares > shares[4]).sum()
    with pytest.raises(ConfigError, match="'crop' are 0 and 0; expected two sides"):
        make_task(inference=InferenceOptions(0, 0)).eval_transform(sample)
