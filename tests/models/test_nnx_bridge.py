"""Models in Flax NNX compute and train as they do in Linen."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx, traverse_util

import hrnet_jax
from hrnet_jax import runtime
from hrnet_jax.errors import WeightsError
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS, Variant

SMALLEST = Variant(4, stage1_blocks=1, stage1_width=4, modules=(1, 0, 0), blocks=1)


@pytest.fixture
def example(monkeypatch):
    """A model, its variables and images."""
    monkeypatch.setitem(VARIANTS, "smallest", SMALLEST)
    model = hrnet_jax.create_model("segmentation/smallest", num_classes=3)
    images = np.random.default_rng(0).normal(size=(2, 32, 64, 3)).astype(np.float32)
    return model, initial_variables(model), images


def flat(variables):
    return traverse_util.flatten_dict(variables, sep="/")


def test_outputs_and_statistics_are_equal(example):
    model, variables, images = example
    module = hrnet_jax.to_nnx(model, variables)
    kernel = module.stem["conv1"]["kernel"]
    assert isinstance(kernel, nnx.Param)
    expected = variables["params"]["stem"]["conv1"]["kernel"]
    np.testing.assert_array_equal(kernel[...], expected)
    definition, state = nnx.split(module)

    def in_linen(variables):
        logits = model.apply(variables, images)
        _, state = model.apply(variables, images, train=True, mutable=["batch_stats"])
        return logits, state["batch_stats"]

    def in_nnx(state):
        module = nnx.merge(definition, state)
        logits = module(images)
        module(images, train=True, mutable=["batch_stats"])
        return logits, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    expected, statistics = runtime.jit(in_linen)(variables)
    logits, moved = runtime.jit(in_nnx)(state)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    moved, statistics, before = map(flat, (moved, statistics, variables["batch_stats"]))
    assert moved.keys() == statistics.keys()
    for name, leaf in statistics.items():
        np.testing.assert_allclose(moved[name], leaf, rtol=1e-4, atol=1e-5)
        assert np.abs(leaf - before[name]).max() > 1e-4


@pytest.mark.slow
def test_a_train_step_moves_weights_and_statistics_as_in_linen(example):
    model, variables, images = example
    rate = 0.5
    module = hrnet_jax.to_nnx(model, variables)
    optimizer = nnx.Optimizer(module, optax.sgd(rate), wrt=nnx.Param)
    definition, state = nnx.split((module, optimizer))

    def linen_step(params, statistics):
        def loss(params):
            outputs, state = model.apply(
                {"params": params, "batch_stats": statistics},
                images,
                train=True,
                mutable=["batch_stats"],
            )
            return jnp.mean(outputs**2), state["batch_stats"]

        gradient, statistics = jax.grad(loss, has_aux=True)(params)
        moved = jax.tree.map(lambda p, g: p - rate * g, params, gradient)
        return {"params": moved, "batch_stats": statistics}

    def nnx_step(state):
        module, optimizer = nnx.merge(definition, state)

        def loss(module):
            outputs = module(images, train=True, mutable=["batch_stats"])
            return jnp.mean(outputs**2)

        optimizer.update(module, nnx.grad(loss)(module))
        return {
            "params": nnx.to_pure_dict(nnx.state(module, nnx.Param)),
            "batch_stats": nnx.to_pure_dict(nnx.state(module, nnx.BatchStat)),
        }

    trained = runtime.jit(linen_step)(variables["params"], variables["batch_stats"])
    expected = flat(trained)
    found = flat(runtime.jit(nnx_step)(state))
    assert found.keys() == expected.keys()
    before = flat(variables)
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name], leaf, rtol=1e-3, atol=1e-5)
    for name in ("params/head/norm/scale", "batch_stats/stem/norm1/mean"):
        assert np.abs(found[name] - before[name]).max() > 1e-4


def test_variables_of_another_model_are_refused(example):
    model, variables, _ = example
    del variables["params"]["head"]["norm"]
    variables["params"]["fc"] = {"kernel": np.zeros((1, 1))}
    with pytest.raises(WeightsError, match=r"missing.*head/norm/.*left over.*fc/ker"):
        hrnet_jax.to_nnx(model, variables)
