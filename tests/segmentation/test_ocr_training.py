"""Models with an auxiliary output train, dropout included, and predict."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.experiment.sections import OptimizerOptions
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.resize import resize
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.segmentation.model import ObjectContextHead
from hrnet_jax.segmentation.task import InferenceOptions, SegmentationTask
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step
from tests.tiers import fast_are

INFO = DatasetInfo("tests", 3, ("a", "b", "c"), ((0, 0, 0),) * 3, flip_pairs=((0, 2),))


SMALL = "segmentation/small_ocr"


@pytest.fixture
def small(monkeypatch):
    """The name of a model whose programs compile in seconds."""
    small = Variant(4, stage1_blocks=0, modules=(0, 2, 0), blocks=1)
    monkeypatch.setitem(VARIANTS, "small", small)
    return SMALL


def make_batch(size=4, side=32):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (size, side // 8, side // 8)).repeat(8, 1).repeat(8, 2)
    label[rng.random(label.shape) < 0.1] = 255
    return {
        "image": rng.integers(0, 256, (size, side, side, 3), np.uint8),
        "label": label.astype(np.int32),
        "example_valid": np.arange(size) != 1,
    }


def make_task(name, model_options=None, **options):
    model = create_model(name, num_classes=3, **(model_options or {}))
    return SegmentationTask(model, INFO, **options)


def make_state(task, optimizer, step=0, dtype=np.float32):
    variables = initial_variables(task.model)
    variables = jax.tree.map(lambda x: x.astype(dtype), variables)
    state = create_state(variables, optimizer).replace(step=jnp.int32(step))
    return on_device(state)


def on_device(tree):
    return jax.device_put(tree, runtime.replicated(runtime.make_mesh(data=1)))


def step_of(task, batch, dtype=np.float32):
    """(number of the step) -> state and scalars after it, from the first weights."""
    optimizer = make_optimizer(OptimizerOptions(), lambda step: 0.1)
    mesh = runtime.make_mesh(data=1)
    step = make_train_step(task.loss, optimizer, lambda step: 0.1, mesh)
    state = functools.partial(make_state, task, optimizer, dtype=dtype)
    batch = on_device(batch)
    _, compiled = runtime.compile_ahead(step, state(), batch)
    return lambda number=0: jax.device_get(compiled(state(number), batch))


WHOLE = "segmentation/w18_small_v1_ocr"


@pytest.mark.slow
@pytest.mark.parametrize("name", [SMALL, WHOLE])
def test_a_step_drops_channels_by_its_number_and_moves_everything(name, small):
    task, batch = make_task(name), make_batch(2, 64)
    step = step_of(task, batch)
    state, scalars = step(0)
    assert np.isfinite(scalars["loss"]) and np.isfinite(scalars["gradient_norm"])
    again, same = step(0)
    assert same["loss"] == scalars["loss"]
    jax.tree.map(np.testing.assert_array_equal, again.params, state.params)
    # Only the random stream differs: the weights and the batch are the same.
    _, other = step(1)
    assert other["loss"] != scalars["loss"]
    assert other["gradient_norm"] != scalars["gradient_norm"]
    start = initial_variables(task.model)["params"]
    moved = jax.tree.map(lambda a, b: np.any(a != b), state.params, start)
    assert all(jax.tree.leaves(moved))
    predictions = jax.jit(task.predict)(state.variables, batch)
    assert predictions["label"].shape == (2, 64, 64)
    assert predictions["label"].dtype == np.uint8
    # The second example is padding.
    assert predictions["confusion"].sum() == (batch["label"][0] != 255).sum()


def test_the_loss_of_a_task_has_both_outputs(small):
    options = LossOptions("ohem", (1.0, 2.0, 3.0), 0.3, 50, 0.7, True)
    task, batch = make_task(small, loss=options), make_batch()
    variables, rngs = initial_variables(task.model), {"dropout": jax.random.key(1)}

    @jax.jit
    def compute(variables):
        outputs, state = task.model.apply(
            variables,
            normalize_images(batch["image"]),
            train=True,
            rngs=rngs,
            mutable=["batch_stats"],
        )
        loss = segmentation_loss(outputs, batch["label"], options, "align_corners")
        expected = loss, (state["batch_stats"], {})
        return task.loss(variables, batch, rngs), expected

    got, expected = compute(variables)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        got,
        expected,
    )


@pytest.mark.parametrize("flip", fast_are([True], [False, True]))
def test_predictions_are_those_of_the_main_output(small, flip):
    task = make_task(small, inference=InferenceOptions(flip=flip))
    batch, variables = make_batch(), initial_variables(task.model)
    images = normalize_images(batch["image"])
    apply = jax.jit(task.model.apply)
    logits = apply(variables, images)["logits"]
    if flip:  # Labels 0 and 2 are left and right.
        mirrored = apply(variables, images[:, :, ::-1])["logits"][:, :, ::-1]
        logits = (logits + mirrored[..., ::-1]) / 2
    expected = resize(logits, (32, 32), "align_corners")
    got = jax.jit(task.logits)(variables, batch["image"])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    predictions = jax.jit(task.predict)(variables, batch)
    np.testing.assert_array_equal(predictions["label"], np.argmax(got, -1))


@pytest.mark.slow
def test_recomputing_modules_drops_the_same_channels(small):
    batch = make_batch()
    with jax.enable_x64():
        results = []
        for remat in (False, True):
            task = make_task(small, {"dtype": jnp.float64, "remat": remat})
            results.append(step_of(task, batch, np.float64)(0))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), *results
    )


def test_whole_channels_are_dropped():
    head = ObjectContextHead(num_classes=3)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 5, 8)).astype(np.float32)
    coarse = rng.standard_normal((2, 6, 5, 3)).astype(np.float32)

    @jax.jit
    def initialise_and_apply(x, coarse):
        variables = head.init(jax.random.key(0), x, coarse, False)
        return head.apply(
            variables,
            x,
            coarse,
            True,
            rngs={"dropout": jax.random.key(1)},
            mutable=["batch_stats", "intermediates"],
            capture_intermediates=lambda module, _: isinstance(module, nn.Dropout),
        )

    _, state = initialise_and_apply(x, coarse)
    (dropped,) = jax.tree.leaves(state["intermediates"])
    zero = np.asarray(dropped == 0)
    # After a ReLU half of all values are zero, but not of one channel everywhere.
    whole = zero.all((1, 2))
    assert 10 <= whole.sum() <= 100  # of 1024, where 51 are expected
    kept = np.asarray(dropped)[~np.broadcast_to(whole[:, None, None], zero.shape)]
    assert (kept > 0).mean() > 0.4
