"""Detectors as models: names, norms, initial weights, padding, a step of training."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.detection import SPEC, settings
from hrnet_jax.detection.boxes import V1
from hrnet_jax.detection.boxes import flip as flip_boxes
from hrnet_jax.detection.model import blank_outside, mirror
from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model, model_class, model_names
from tests import tiny

THIN = {"num_classes": 3, "features": 32}


def test_the_kind_of_detector_precedes_the_variant():
    names = [name for name in model_names() if name.startswith("detection/")]
    assert len(names) == 5 * 9 and "detection/cascade_mask_rcnn_w18_small_v1" in names
    assert SPEC.models["fcos_"] is model_class("detection/fcos_w48")
    assert create_model("detection/mask_rcnn_w32").variant == "w32"
    with pytest.raises(ConfigError, match="unknown model 'detection/w18_faster_rcnn'"):
        create_model("detection/w18_faster_rcnn")


def test_norms_are_frozen_unless_asked_for():
    assert create_model("detection/fcos_w18").norm.mode == "frozen"
    assert create_model("detection/fcos_w18", norm="batch").norm.mode == "batch"
    assert create_model("pyramid/w18").norm.mode == "batch"


def test_numbers_of_the_published_detectors():
    classes = {name: model_class(f"detection/{name}_w18") for name in ("mask_rcnn",)}
    assert classes["mask_rcnn"].settings.low_quality
    assert not settings.FASTER.low_quality and settings.FASTER.rpn.beta == 0
    assert [one.weight for one in settings.CASCADE.stages] == [1, 0.5, 0.25]
    assert settings.CASCADE.rpn.train_proposals == 2000
    old = settings.v1(settings.FASTER)
    assert old.conventions == V1 and old.rpn.inside_only and old.beta == 1


def test_strides_of_the_levels():
    assert create_model("detection/faster_rcnn_w18").strides == (4, 8, 16, 32, 64)
    assert create_model("detection/fcos_w18").strides == (8, 16, 32, 64, 128)


def test_heads_start_as_in_mmdetection():
    model = create_model("detection/mask_rcnn_w18_small_v1", head_width=64, **THIN)
    for initializer in ("he", "official"):
        parameters = initial_variables(model, 0, initializer)["params"]
        head = parameters["box_head"]
        assert np.std(parameters["rpn"]["conv"]["kernel"]) == pytest.approx(0.01, 0.05)
        assert np.std(head["classes"]["kernel"]) == pytest.approx(0.01, 0.2)
        assert np.std(head["deltas"]["kernel"]) == pytest.approx(0.001, 0.2)
        first = head["fc1"]["kernel"]
        # Uniform within sqrt(6 / (inputs + outputs)).
        bound = np.sqrt(6 / sum(first.shape))
        assert 0.99 * bound < np.abs(first).max() <= bound
        assert not any(head[layer]["bias"].any() for layer in head)
        mask = parameters["mask_head"]["conv0"]["kernel"]
        assert np.std(mask) == pytest.approx(np.sqrt(2 / (9 * 32)), 0.05)
    model = create_model("detection/fcos_w18_small_v1", **THIN)
    head = initial_variables(model, 0)["params"]["fcos"]
    np.testing.assert_allclose(head["classes"]["bias"], np.log(0.01 / 0.99), rtol=1e-6)
    assert np.std(head["box_tower2"]["conv"]["kernel"]) == pytest.approx(0.01, 0.05)
    assert head["scale3"]["scale"] == 1 and head["scale3"]["scale"].shape == ()


def test_images_are_mirrored_within_their_own_sizes():
    images = np.arange(2 * 3 * 6 * 3).reshape(2, 3, 6, 3)
    got = np.asarray(mirror(images, np.array([[3, 6], [3, 4]])))
    np.testing.assert_array_equal(got[0], images[0, :, ::-1])
    np.testing.assert_array_equal(got[1, :, :4], images[1, :, 3::-1])


@pytest.mark.slow
def test_a_mirror_image_has_the_same_objects_where_both_are_looked_at():
    """Without an option the network sees something else in a mirror image."""
    VARIANTS[tiny.VARIANT_NAME] = tiny.VARIANT
    # Random regions of two stages would be equal only but for rounding.
    model = create_model(f"detection/fcos_{tiny.VARIANT_NAME}", **THIN)
    variables = initial_variables(model, 0, "official")
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    sizes = np.array([[64, 64], [64, 50]])
    images[1, :, 50:] = 0

    @functools.partial(jax.jit, static_argnums=1)
    def boxes_and_scores(images, flip):
        chosen = dataclasses.replace(
            model.settings.detections, score=0.0, flip=flip, count=8, overlap=0.9
        )
        numbers = dataclasses.replace(model.settings, detections=chosen)
        found = model.apply(variables, images, sizes, numbers, method="detect")
        return found.boxes, found.scores

    for flip in (True, False):
        boxes, scores = boxes_and_scores(images, flip)
        mirrored, others = boxes_and_scores(mirror(images, sizes), flip)
        # Scores have ties; each box is compared with the nearest.
        width = sizes[:, 1, None]
        back = np.asarray(flip_boxes(mirrored, width))
        distances = np.abs(np.asarray(boxes)[:, :, None] - back[:, None]).max(-1)
        same = distances.min(-1).max() < 1e-2 and np.allclose(scores, others, atol=1e-5)
        assert same == flip


def test_padding_is_zero_after_normalisation():
    images = np.ones((2, 4, 6, 3), np.float32)
    found = np.asarray(blank_outside(images, np.array([[4, 6], [2, 5]])))
    assert found[0].all()
    assert found[1].sum() == 2 * 5 * 3 and found[1, :2, :5].all()


def small(numbers):
    """Few proposals and samples."""
    if not isinstance(numbers, settings.TwoStageSettings):
        return numbers
    rpn = dataclasses.replace(numbers.rpn, proposals=20, train_proposals=30)
    return dataclasses.replace(numbers, rpn=rpn, samples=16, most_positive=8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cascade_mask_rcnn", "fcos"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_parameter_learns_and_padding_objects_do_not_count(kind, dtype):
    options = THIN if kind == "fcos" else THIN | {"head_width": 16}
    name = f"detection/{kind}_w18_small_v1"
    model = create_model(name, norm="batch", dtype=dtype, **options)
    variables = initial_variables(model, 0)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 128, 96, 3), np.float32)
    sizes = np.array([[128, 96], [100, 80]], np.int32)
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[:, 0] = [8, 8, 60, 70]
    boxes[0, 1] = [20, 30, 90, 120]
    valid = np.array([[True, True, False], [True, False, False]])
    masks = rng.integers(0, 2, (2, 3, 28, 28), np.uint8)
    numbers = small(model.settings)

    def total(parameters, boxes):
        objects = Objects(boxes, np.array([[0, 2, 1], [1, 0, 0]]), valid, masks)
        given = {"params": parameters, "batch_stats": variables["batch_stats"]}
        draw = Draw(jax.random.key(1))
        (losses, _), state = model.apply(
            given,
            images,
            sizes,
            objects,
            draw,
            numbers,
            method="losses",
            mutable=["batch_stats"],
        )
        return sum(losses.values()), (losses, state)

    step = runtime.jit(jax.value_and_grad(total, has_aux=True))
    (value, (losses, state)), gradients = step(variables["params"], boxes)
    assert np.isfinite(value) and all(np.isfinite(one) for one in losses.values())
    assert state["batch_stats"].keys() == variables["batch_stats"].keys()
    silent = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradients)
        if not (np.isfinite(leaf).all() and np.any(leaf))
    ]
    # Levels on which nothing was to be found.
    assert all("scale" in path or "level" in path for path in silent), silent
    # What stands in the places of padding is of no account.
    boxes[~valid] = [5, 5, 50, 50]
    (again, _), _ = step(variables["params"], boxes)
    assert again == value


@pytest.mark.slow
def test_detections_of_an_image_do_not_depend_on_its_batch():
    model = create_model("detection/mask_rcnn_w18_small_v1", head_width=16, **THIN)
    variables = initial_variables(model, 0)
    images = np.random.default_rng(0).standard_normal((2, 96, 128, 3), np.float32)
    sizes = np.array([[96, 128], [70, 100]], np.int32)
    numbers = small(model.settings)
    detections = dataclasses.replace(numbers.detections, score=0.0, count=7)
    numbers = dataclasses.replace(numbers, detections=detections)
    run = runtime.jit(
        lambda images, sizes: model.apply(
            variables, images, sizes, numbers, method="detect"
        )
    )
    both, one = run(images, sizes), run(images[1:], sizes[1:])
    assert both.boxes.shape == (2, 7, 4) and both.masks.shape == (2, 7, 28, 28)
    assert both.valid.all() and (both.boxes[1, :, 2] <= 100).all()
    for ours, theirs in zip(both, one, strict=True):
        np.testing.assert_allclose(ours[1], theirs[0], rtol=1e-4, atol=1e-4)
    assert jnp.all((both.masks >= 0) & (both.masks <= 1))
