"""Rows of images divided over devices: the same training, a share of the memory.

Devices exchange the rows at their borders and sums, never whole maps.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.costs.collectives import collectives
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.experiment.sections import OptimizerOptions
from hrnet_jax.keypoints.landmarks import LandmarkTask
from hrnet_jax.keypoints.transforms import AugmentationOptions
from hrnet_jax.models import resize
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.losses import LossOptions
from hrnet_jax.segmentation.task import InferenceOptions, SegmentationTask
from hrnet_jax.training.evaluation import make_predict_step
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step
from tests import tiny

CLASSES = 4
# One row a device at stride 32, and two images a replica: with one, XLA need not
# keep apart what lies side by side in memory.
HEIGHT, WIDTH, BATCH = 128, 32, 4
DIVIDED = {"data": 2, "space": 4}
WHOLE = {"data": 1, "space": 1}
INFO = DatasetInfo("four", CLASSES, tuple("abcd"), ((0, 0, 0),) * CLASSES)
FACES = DatasetInfo(
    "three",
    0,
    (),
    (),
    point_names=("nose", "left", "right"),
    normalizers={"eyes": ((1,), (2,))},
    default_normalizer="eyes",
)


@pytest.fixture(autouse=True, scope="module")
def tiny_variant():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        yield


def segmentation(name="segmentation/tiny", dtype="float32", loss="ohem"):
    """The task that reaches farthest: hard pixels of all images, mirrored inputs."""
    return SegmentationTask(
        create_model(name, num_classes=CLASSES, dtype=dtype),
        INFO,
        loss=LossOptions(loss, ohem_min_kept=100)
        if loss == "ohem"
        else LossOptions(loss),
        inference=InferenceOptions(flip=True),
    )


def landmarks():
    return LandmarkTask(
        create_model("landmarks/tiny", num_points=3),
        FACES,
        augmentation=AugmentationOptions(crop_size=(HEIGHT, WIDTH)),
    )


def make_batch(mesh, height=HEIGHT):
    """What both tasks read, on the devices of a mesh."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, (BATCH, height, WIDTH)).astype(np.int32)
    label[rng.random(label.shape) < 0.1] = 255
    batch = {
        "image": rng.integers(0, 256, (BATCH, height, WIDTH, 3), np.uint8),
        "label": label,
        "example_valid": np.array([True] * (BATCH - 1) + [False]),
        "points": rng.uniform(0, WIDTH, (BATCH, 3, 2)).astype(np.float32),
        "visible": np.ones((BATCH, 3), bool),
        "annotated": np.ones((BATCH, 3), bool),
    }
    maps = ("image", "label")
    return {
        key: jax.device_put(
            value, runtime.batch_sharding(mesh, value.ndim if key in maps else 1)
        )
        for key, value in batch.items()
    }


def compiled_step(task, mesh, dtype=np.float32, height=HEIGHT):
    """The compiled train step and its arguments."""
    mesh = runtime.make_mesh(**mesh)
    optimizer = make_optimizer(OptimizerOptions(weight_decay=0.0), lambda step: 1.0)
    step = make_train_step(task.loss, optimizer, lambda step: 1.0, mesh)
    variables = jax.tree.map(lambda x: x.astype(dtype), initial_variables(task.model))
    state = jax.device_put(create_state(variables, optimizer), runtime.replicated(mesh))
    arguments = state, make_batch(mesh, height)
    return step.lower(*arguments).compile(), arguments


def compiled_predictions(task, mesh):
    """The compiled predict step and its arguments."""
    mesh = runtime.make_mesh(**mesh)
    arguments = (
        jax.device_put(initial_variables(task.model), runtime.replicated(mesh)),
        make_batch(mesh),
    )
    return make_predict_step(task, mesh).lower(*arguments).compile(), arguments


@functools.cache
def double_steps():
    """The train step whole and divided, in double precision: (program, results)."""
    steps = []
    with jax.enable_x64():
        for mesh in (WHOLE, DIVIDED):
            task = segmentation(dtype=jnp.float64)
            program, (state, batch) = compiled_step(task, mesh, np.float64)
            before = jax.device_get(state.params)
            steps.append((program, before, jax.device_get(program(state, batch))))
    return steps


def row_bytes(itemsize=4):
    """Bytes of a row of a replica's images where it is longest.

    After the first convolution it has half the pixels and 64 channels; in the head a
    quarter of the pixels and all channels of the model.
    """
    channels = 15 * tiny.VARIANT.width
    return BATCH // DIVIDED["data"] * WIDTH // 4 * max(2 * 64, channels) * itemsize


def whole_maps(program, longest_row, sums):
    """Collectives that could move a map.

    Args:
        program: compiled for `DIVIDED`.
        longest_row: bytes that one exchange of border rows may take.
        sums: bytes that all sums together may take; maps may be summed up as well.
    """
    found, total = [], 0
    for one in collectives(program.as_text()):
        if one.kind == "all-reduce":
            total += one.bytes
        elif one.kind != "collective-permute" or one.bytes > longest_row:
            found.append(one)
    return found + [f"{total} bytes in sums"] * (total > sums)


def step_sums(params):
    """Bytes of the sums of a train step.

    Those of gradients, once along each axis of the mesh, and moments of norms.
    """
    return 2.1 * sum(leaf.nbytes for leaf in jax.tree.leaves(params))


@pytest.mark.slow
def test_a_divided_step_equals_the_whole_one_in_double_precision():
    (_, before, one), (_, _, many) = double_steps()
    for left, right in zip(*map(jax.tree.leaves, (one, many)), strict=True):
        np.testing.assert_allclose(right, left, rtol=1e-9, atol=1e-11)
    # Not for want of gradients, which only a bias in front of a norm lacks.
    moved = [
        np.abs(new - old).max() > 1e-6
        for new, old in zip(*map(jax.tree.leaves, (one[0].params, before)), strict=True)
    ]
    assert sum(moved) == len(moved) - 1


@pytest.mark.slow
def test_a_divided_step_exchanges_border_rows_and_sums():
    _, (program, before, _) = double_steps()
    row = row_bytes(itemsize=8)
    assert not whole_maps(program, row, step_sums(before))
    kinds = {one.kind for one in collectives(program.as_text())}
    assert kinds == {"collective-permute", "all-reduce"}


@pytest.mark.slow
def test_a_divided_step_takes_a_share_of_the_memory():
    (one, before, _), (many, _, _) = double_steps()
    # Two arrays of the size of the parameters, gradients and updates, are not divided.
    parameters = sum(leaf.nbytes for leaf in jax.tree.leaves(before))
    whole, share = (
        program.memory_analysis().temp_size_in_bytes for program in (one, many)
    )
    assert share - 2 * parameters < whole / 4


@pytest.mark.slow
def test_matrices_of_rows_would_gather_maps(monkeypatch):
    monkeypatch.setattr(resize, "row_shards", lambda: 1)
    program, _ = compiled_predictions(segmentation(), DIVIDED)
    assert "all-gather" in {one.kind for one in collectives(program.as_text())}


def test_predictions_of_divided_images_are_the_same_without_whole_maps():
    task = segmentation()
    program, arguments = compiled_predictions(task, DIVIDED)
    assert not whole_maps(program, row_bytes(), sums=8 * (CLASSES**2 + 1))
    got = program(*arguments)
    assert got["label"].sharding.shard_shape(got["label"].shape) == (2, 32, WIDTH)
    whole, arguments = compiled_predictions(task, WHOLE)
    got, expected = jax.device_get((got, whole(*arguments)))
    np.testing.assert_allclose(got["confidence"], expected["confidence"], atol=1e-5)
    different = got["label"] != expected["label"]
    assert different.mean() < 1e-3  # Where two classes are equal to rounding.
    total = int((np.asarray(arguments[1]["label"])[:-1] < CLASSES).sum())
    assert int(got["confusion"].sum()) == total
    assert np.abs(got["confusion"] - expected["confusion"]).sum() <= 2 * different.sum()


@pytest.mark.slow
def test_context_of_objects_trains_without_whole_maps():
    task = segmentation("segmentation/tiny_ocr", loss="cross_entropy")
    program, (state, _) = compiled_step(task, DIVIDED)
    # Rows of 512 channels, which are what objects are made of.
    assert not whole_maps(program, 4 * row_bytes(), step_sums(state.params))


@pytest.mark.slow
def test_landmarks_train_without_whole_maps():
    task = landmarks()
    program, (state, _) = compiled_step(task, DIVIDED)
    assert not whole_maps(program, row_bytes(), step_sums(state.params))
