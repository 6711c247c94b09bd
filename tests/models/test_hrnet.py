"""The body of the network: the exchange and the number of outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import traverse_util

from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.hrnet import Exchange
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.registry import create_model
from tests.models.maps import nchw, nhwc

COMMON = {"upsample": "bilinear", "norm": NormOptions(), "dtype": jnp.float32}


def branches():
    rng = np.random.default_rng(0)
    return tuple(
        rng.standard_normal((2, *size, width)).astype(np.float32)
        for size, width in [((9, 7), 4), ((5, 4), 8)]
    )


@pytest.mark.parametrize("outputs", [1, 2])
def test_an_exchange_makes_only_the_resolutions_asked_for(outputs):
    exchange = Exchange(outputs, **COMMON)
    variables = jax.eval_shape(
        lambda x: exchange.init(jax.random.key(0), x, False), branches()
    )
    maps = jax.eval_shape(
        lambda v, x: exchange.apply(v, x, False), variables, branches()
    )
    assert [x.shape for x in maps] == [x.shape for x in branches()[:outputs]]
    paths = {"from1_to0", "from0_to1"} if outputs == 2 else {"from1_to0"}
    assert set(variables["params"]) == paths


def test_an_exchange_is_the_sum_of_its_paths():
    # One new map of weights each: 1x1 up, 3x3 stride 2 down, identity norms.
    exchange = Exchange(2, **COMMON)
    high, low = branches()
    rng = np.random.default_rng(1)
    up = rng.standard_normal((1, 1, 8, 4)).astype(np.float32)
    down = np.zeros((3, 3, 4, 8), np.float32)
    down[1, 1] = rng.standard_normal((4, 8))  # Only the centre: every other pixel.
    init = jax.jit(exchange.init, static_argnums=2)
    variables = init(jax.random.key(0), (high, low), False)
    params = variables["params"]
    params["from1_to0"]["conv"]["kernel"] = up
    params["from0_to1"]["step0"]["conv"]["kernel"] = down
    norm = 1 / np.sqrt(1 + 1e-5)
    got = jax.jit(exchange.apply, static_argnums=2)(variables, (high, low), False)
    upsampled = jax.image.resize(low @ up[0, 0] * norm, (2, 9, 7, 4), "linear")
    np.testing.assert_allclose(got[0], np.maximum(high + upsampled, 0), atol=1e-4)
    strided = high[:, ::2, ::2] @ down[1, 1] * norm
    np.testing.assert_allclose(got[1], np.maximum(strided + low, 0), atol=1e-4)


def exchange(branches, upsample, variables):
    """Both outputs of a module's exchange, in evaluation."""
    model = Exchange(2, upsample, NormOptions(), jnp.float32)
    return model.apply(variables, branches, False)


def exchange_variables(upsample="bilinear"):
    model = Exchange(2, upsample, NormOptions(), jnp.float32)
    return model.init(jax.random.key(0), branches(), False)


def test_by_factor_upsamples_as_mmsegmentation_does():
    # By 2 to 10x8 first, then to the size of the target, 9x7.
    variables = exchange_variables()
    high, low = branches()
    path = variables["params"]["from1_to0"]["conv"]["kernel"][0, 0]
    narrow = np.einsum("bhwc,cf->bhwf", low, path) / np.sqrt(1 + 1e-5)
    up = torch.nn.functional.interpolate(nchw(narrow), scale_factor=2, mode="bilinear")
    up = torch.nn.functional.interpolate(up, size=(9, 7), mode="bilinear")
    expected = np.maximum(high + nhwc(up), 0)
    got = exchange((high, low), "bilinear_by_factor", variables)[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    once = exchange((high, low), "bilinear", variables)[0]
    assert np.abs(got - once).max() > 0.05


def test_by_factor_is_bilinear_where_sizes_are_multiples():
    variables = exchange_variables()
    high, low = branches()
    maps = (np.concatenate([high, high[:, :1]], 1)[:, :, :6], low[:, :, :3])
    twice = exchange(maps, "bilinear_by_factor", variables)
    once = exchange(maps, "bilinear", variables)
    for a, b in zip(twice, once, strict=True):
        np.testing.assert_array_equal(a, b)


def test_stages_are_sown_for_those_who_ask():
    model = create_model("pose/w18_small_v1")
    images = jax.ShapeDtypeStruct((1, 64, 96, 3), jnp.float32)
    _, state = jax.eval_shape(
        lambda v, x: model.apply(v, x, mutable=["intermediates"]),
        variable_shapes(model),
        images,
    )
    taps = state["intermediates"]
    for stage, count in ((1, 1), (2, 2), (3, 3), (4, 1)):
        (maps,) = taps[f"after_stage{stage}"]
        assert len(maps) == count
        for index, leaf in enumerate(maps):
            width = 128 if stage == 1 else 16 * 2**index
            assert leaf.shape == (1, 16 >> index, 24 >> index, width)


def test_v1h_raises_the_channels_by_one_convolution():
    model = create_model("segmentation/w18_small_v1", representation="v1h")
    leaves = traverse_util.flatten_dict(variable_shapes(model)["params"], sep="/")
    assert leaves["expand/kernel"].shape == (1, 1, 16, 240)
    assert leaves["expand/bias"].shape == (240,)
    assert leaves["head/project/kernel"].shape == (1, 1, 240, 240)
    assert not any("stage4/module0/exchange/from0_to1" in name for name in leaves)
