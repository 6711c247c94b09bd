"""What only GPUs get, computed on a CPU that is told to be one.

The compiler for GPUs is not here: these tests show that values are right and arrays
lie as they should, not that anything is fast.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.layout import Format, Layout

from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.experiment.sections import OptimizerOptions
from hrnet_jax.inference import Predictor
from hrnet_jax.models.batch_norm import batch_moments, normalize_batch
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.layers import relu
from hrnet_jax.models.resize import resize
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model
from hrnet_jax.runtime import compiler, layouts, target
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.segmentation.task import SegmentationTask
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step
from hrnet_jax.training.train import train
from hrnet_jax.workdir.checkpoints import Checkpoints
from tests import tiny
from tests.doubles import double_precision

CLASSES = 4
OUTPUTS_FIRST = (3, 0, 1, 2)


@pytest.fixture
def pretend(monkeypatch):
    """Called, it makes this machine say that it has a GPU; what was traced is gone."""

    def pretend():
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        monkeypatch.setattr(target, "platform_of", lambda device: "gpu")
        monkeypatch.setattr(compiler, "platform_of", lambda device: "gpu")
        jax.clear_caches()

    yield pretend
    monkeypatch.undo()
    jax.clear_caches()


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def both(function, pretend):
    """Results of a function here, and where a GPU is pretended, in double precision."""
    with jax.enable_x64():
        here = jax.device_get(jax.jit(function)())
        pretend()
        return here, jax.device_get(jax.jit(function)())


def assert_close(left, right, atol=1e-11):
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol * max(1, np.abs(b).max()))


def test_relu_is_a_maximum_with_the_same_gradient(pretend):
    x = np.array([-1.0, -0.0, 0.0, 2.0, np.nan])

    def values_and_gradients():
        y, back = jax.vjp(relu, jnp.asarray(x))
        return y, back(jnp.ones(5))[0]

    here, there = both(values_and_gradients, pretend)
    np.testing.assert_array_equal(there[0], [0, 0, 0, 2, np.nan])
    np.testing.assert_array_equal(there, here)
    assert "max" in str(jax.make_jaxpr(relu)(x))


# Sides that can be divided into parts, primes that cannot, one row, packed pixels.
@pytest.mark.parametrize("shape", [(2, 8, 6, 3), (3, 7, 5, 4), (1, 1, 9, 2), (4, 6)])
@pytest.mark.parametrize("pixels", [1, 2])
def test_moments_and_gradients_of_norms_in_two_steps(shape, pixels, pretend):
    x, scale, bias, g = (
        normal(*dims, seed=seed)
        for seed, dims in enumerate(
            ((*shape[:-1], pixels * shape[-1]), shape[-1:], shape[-1:], ())
        )
    )
    g = normal(*x.shape, seed=9)

    def results():
        def norm(*arguments):
            return normalize_batch(*map(jnp.asarray, arguments), 1e-5)[0]

        y, back = jax.vjp(norm, x, scale, bias)
        return y, back(jnp.asarray(g)), batch_moments(jnp.asarray(x), shape[-1])

    here, there = both(results, pretend)
    assert_close(there, here)
    mean = x.reshape(-1, shape[-1]).mean(0)
    np.testing.assert_allclose(there[2][0], mean, atol=1e-12)


def test_norms_are_summed_in_two_steps_of_all_sums_together(pretend):
    pretend()
    traced = str(jax.make_jaxpr(lambda x: batch_moments(x, 3))(np.ones((2, 8, 4, 3))))
    # Two maps in parts, as many as pixels in each, then all parts of both at once.
    assert traced.count("= reduce_sum[") == 2 and "f64" not in traced
    assert traced.count("= reduce[") == 1
    assert "f32[2,4,3]" in traced


@pytest.mark.parametrize("method", ["bilinear", "align_corners"])
@pytest.mark.parametrize("factors", [(2, 2), (4, 8), (1, 2), (3, 1)])
def test_upsampling_by_repeated_pixels(method, factors, pretend):
    x, size = normal(2, 3, 5, 2), (3 * factors[0], 5 * factors[1])
    g = normal(2, *size, 2, seed=1)

    def results():
        y, back = jax.vjp(lambda x: resize(x, size, method), jnp.asarray(x))
        return y, back(jnp.asarray(g))[0]

    here, there = both(results, pretend)
    assert_close(there, here)
    upsampled = jax.make_jaxpr(lambda x: resize(x, size, method))(x)
    assert "dot_general" not in str(upsampled)
    assert "concatenate" not in str(upsampled)


def test_logits_that_fit_are_resized_as_a_whole(pretend):
    logits = jax.ShapeDtypeStruct((8, 128, 256, 19), jnp.float32)
    labels = jax.ShapeDtypeStruct((8, 512, 1024), jnp.int32)

    def loss(logits, labels):
        return segmentation_loss(logits, labels, LossOptions(), "bilinear")

    def has_loop(logits):
        return "scan" in str(jax.make_jaxpr(loss)(logits, labels))

    assert has_loop(logits)
    pretend()
    assert not has_loop(logits)
    # 150 classes would be gigabytes.
    assert has_loop(jax.ShapeDtypeStruct((8, 128, 256, 150), jnp.float32))


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        variant = Variant(6, stage1_blocks=0, modules=(1, 0, 0), blocks=1)
        patch.setitem(VARIANTS, "small", variant)
        yield "segmentation/small"


@pytest.fixture(scope="module")
def here(small):
    """State and metrics after a step where no GPU is pretended."""
    with jax.enable_x64():
        step, state, batch = step_of(small)
        return jax.device_get(step(state, batch))


def step_of(name, **options):
    """Train step of a model in double precision with its first state and a batch."""
    model = create_model(name, num_classes=CLASSES, dtype=jnp.float64, **options)

    def loss(variables, batch, rngs):
        logits, state = model.apply(
            variables, batch["image"], True, rngs=rngs, mutable=["batch_stats"]
        )
        value = segmentation_loss(logits, batch["label"], LossOptions(), "bilinear")
        return value, (state["batch_stats"], {})

    optimizer = make_optimizer(OptimizerOptions(), lambda step: 0.1)
    mesh = runtime.make_mesh(data=1)
    step = make_train_step(loss, optimizer, lambda s: 0.1, mesh, free_layout=True)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, jnp.float64), initial_variables(model)
    )
    state = create_state(variables, optimizer)
    batch = {
        "image": normal(2, 64, 96, 3),
        "label": np.random.default_rng(1).integers(0, CLASSES, (2, 64, 96)),
    }
    return step, jax.device_put(state, runtime.replicated(mesh)), batch


# 24 is a multiple of eight, 6 is not: as W18's 72 and 18.
@pytest.mark.slow
@pytest.mark.parametrize("lanes", [0, 24])
def test_a_train_step_is_the_same(lanes, small, here, pretend):
    with jax.enable_x64():
        pretend()
        step, state, batch = step_of(small, lanes=lanes)
        _, compiled = runtime.compile_ahead(step, state, batch)
        # The state may lie as the compiler likes.
        wanted = compiled.input_formats[0][0]
        assert jax.tree.leaves(wanted) == jax.tree.leaves(compiled.output_formats[0])
        # As some other program left it.
        turned = jax.tree.map(turn, state)
        fitted = layouts.with_layout_of(compiled, 0, turned)
        for leaf, format_ in zip(
            jax.tree.leaves(fitted), jax.tree.leaves(wanted), strict=True
        ):
            assert leaf.format.layout == format_.layout
        assert_close(jax.device_get(fitted), jax.device_get(state), atol=0)
        assert_close(jax.device_get(compiled(fitted, batch)), here, atol=1e-9)


def test_a_checkpoint_does_not_tell_how_arrays_lay(small, tmp_path):
    with jax.enable_x64():
        _, state, _ = step_of(small)
        checkpoints = Checkpoints(tmp_path)
        checkpoints.save(1, jax.tree.map(turn, state), {"any": 1})
        checkpoints.wait()
        restored = checkpoints.restore_arrays(1)
        checkpoints.close()
        expected = jax.tree.leaves(jax.device_get(state.params))
        restored = jax.tree.leaves(restored["params"])
        for left, right in zip(restored, expected, strict=True):
            np.testing.assert_array_equal(left, right)


def turn(leaf):
    if leaf.ndim != 4:
        return leaf
    return jax.device_put(leaf, Format(Layout(OUTPUTS_FIRST), leaf.sharding))


def test_a_function_is_compiled_for_arrays_as_they_lie(pretend):
    kernel = np.arange(72, dtype=np.float32).reshape(3, 3, 2, 4)
    pretend()
    placed = layouts.put_for_inference({"kernel": kernel, "bias": kernel[0, 0, 0]})
    assert placed["kernel"].format.layout.major_to_minor == OUTPUTS_FIRST
    function = runtime.jit(lambda tree: tree["kernel"] * 2 + tree["bias"])
    _, compiled = runtime.compile_ahead(function, placed)
    np.testing.assert_array_equal(compiled(placed), kernel * 2 + kernel[0, 0, 0])


def test_nothing_is_placed_elsewhere_than_on_a_gpu():
    sharding = runtime.replicated(runtime.make_mesh(data=1))
    assert layouts.auto_layout(sharding) is sharding
    kernel = layouts.put_for_inference(np.ones((3, 3, 2, 4)))
    assert kernel.format.layout.major_to_minor == (0, 1, 2, 3)
    arguments = (kernel,)
    assert layouts.compile_shapes(arguments) is arguments
    assert layouts.with_layout_of(None, 0, kernel) is kernel


def test_predictions_are_the_same(small, pretend):
    info = DatasetInfo("any", CLASSES, tuple("abcd"), ((0, 0, 0),) * CLASSES)
    task = SegmentationTask(create_model(small, num_classes=CLASSES), info)
    variables = initial_variables(task.model)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    expected = Predictor(task, variables).predict(image)
    pretend()
    predictor = Predictor(task, variables)
    kernels = [leaf for leaf in jax.tree.leaves(predictor._variables) if leaf.ndim == 4]
    orders = {leaf.shape[0]: leaf.format.layout.major_to_minor for leaf in kernels}
    assert orders == {3: OUTPUTS_FIRST, 1: (0, 1, 2, 3)}
    found = predictor.predict(image)
    assert np.mean(found["label"] == expected["label"]) > 0.999
    np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-5)


@pytest.mark.slow
def test_a_run_trains_saves_and_evaluates(tmp_path, monkeypatch, pretend):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    with double_precision():
        train(tiny.config(), tmp_path / "here")
        pretend()
        train(tiny.config(), tmp_path / "there")
    found, expected = (tiny.state(tmp_path / name) for name in ("there", "here"))
    assert found.keys() == expected.keys()
    assert expected["['batch_stats']['stem']['norm1']['var']"].dtype == np.float64
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], atol=1e-11, err_msg=name)
    metrics = [tiny.result(tmp_path / name)["metrics"] for name in ("there", "here")]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-9)
