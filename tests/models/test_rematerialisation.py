"""What is computed again in the backward pass changes memory and nothing else."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from hrnet_jax import runtime
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.initialization import initial_variables, variable_shapes
from hrnet_jax.models.rematerialisation import POLICIES, remat_policy
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model
from tests.tiers import fast_are

NAME = "segmentation/small"
BATCH = 2


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """One bottleneck, one module of two branches: every part there is."""
    variant = Variant(4, stage1_blocks=1, stage1_width=4, modules=(1, 0, 0), blocks=2)
    monkeypatch.setitem(VARIANTS, "small", variant)


def make_loss(remat, dtype=jnp.float32):
    """Sum of sines of the logits of two images, as a function of the parameters."""
    model = create_model(NAME, num_classes=2, remat=remat, dtype=dtype)
    variables = initial_variables(model)
    images = np.random.default_rng(0).standard_normal((BATCH, 32, 32, 3))

    def loss(params):
        logits, state = model.apply(
            variables | {"params": params},
            jnp.asarray(images, dtype),
            train=True,
            mutable=["batch_stats"],
        )
        return jnp.sum(jnp.sin(logits)), (logits, state)

    return loss, jax.tree.map(lambda leaf: leaf.astype(dtype), variables["params"])


def kept_values(remat):
    """Values in the maps that the forward pass hands to the backward pass."""
    loss, params = make_loss(remat)
    backward = jax.eval_shape(lambda p: jax.vjp(loss, p, has_aux=True)[1], params)
    shapes = [leaf.shape for leaf in jax.tree.leaves(backward)]
    return sum(math.prod(s) for s in shapes if len(s) == 4 and s[0] == BATCH)


@functools.cache
def computed(remat):
    """Loss, outputs, statistics and gradients in double precision."""
    with jax.enable_x64():
        loss, params = make_loss(remat, jnp.float64)
        compute = runtime.jit(jax.value_and_grad(loss, has_aux=True))
        # In pieces, so that the compiler cannot merge both computations.
        return jax.device_get(runtime.compile_ahead(compute, params)[1](params))


@pytest.mark.parametrize("remat", fast_are([], POLICIES[1:]))
def test_no_policy_changes_outputs_statistics_or_gradients(remat):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11),
        computed(remat),
        computed("none"),
    )


def test_every_policy_keeps_fewer_maps():
    kept = {remat: kept_values(remat) for remat in POLICIES}
    assert kept["modules"] < kept["blocks"] < kept["convolutions"] < kept["none"]


@pytest.mark.parametrize("remat", POLICIES)
def test_parameter_names_stay(remat):
    plain, other = (
        traverse_util.flatten_dict(variable_shapes(create_model(NAME, remat=choice)))
        for choice in ("none", remat)
    )
    assert plain == other


@pytest.mark.parametrize(
    ("value", "policy"),
    [
        *((policy, policy) for policy in POLICIES),
        (True, "modules"),
        (False, "none"),
        ("true", "modules"),
        ("false", "none"),
    ],
)
def test_booleans_of_earlier_configurations_still_count(value, policy):
    assert remat_policy(value) == policy
    assert create_model(NAME, remat=value).remat == policy


@pytest.mark.parametrize("value", ["block", "", 1, None, ["blocks"]])
def test_other_values_are_named_with_those_that_are_expected(value):
    with pytest.raises(ConfigError) as stop:
        create_model(NAME, remat=value)
    assert str(stop.value) == (
        "config key 'model.remat' must be one of none, modules, blocks, convolutions "
        f"(or true for modules, false for none), got {value!r}"
    )
