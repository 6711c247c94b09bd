"""The network without a head, and heads composed with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from hrnet_jax.models.hrnet import HRNet
from hrnet_jax.models.initialization import initial_variables, variable_shapes
from hrnet_jax.models.model import HRNetWithHead
from hrnet_jax.models.representations import concatenate
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.model import SegmentationHRNet


@pytest.fixture
def smallest(monkeypatch):
    """A variant that compiles in seconds."""
    variant = Variant(4, stage1_blocks=1, stage1_width=4, modules=(1, 1, 0), blocks=1)
    monkeypatch.setitem(VARIANTS, "smallest", variant)


def shapes_of(model, size=(65, 97)):
    images = jax.ShapeDtypeStruct((2, *size, 3), jnp.float32)
    return jax.eval_shape(model.apply, variable_shapes(model), images)


def ceil(size, stride):
    return tuple(-(-side // stride) for side in size)


@pytest.mark.parametrize(
    ("options", "strides", "channels"),
    [
        ({}, (4, 8, 16, 32), (16, 32, 64, 128)),
        ({"concatenate": True}, (4,), (240,)),
        ({"representation": "v1"}, (4,), (16,)),
        ({"representation": "v1", "concatenate": True}, (4,), (16,)),
        ({"representation": "v1h"}, (4,), (240,)),
        ({"dtype": "bfloat16", "lanes": 128}, (4, 8, 16, 32), (16, 32, 64, 128)),
    ],
)
def test_maps_have_the_strides_and_channels_that_the_model_states(
    options, strides, channels
):
    model = create_model("features/w18_small_v1", **options)
    assert (model.strides, model.channels) == (strides, channels)
    maps = shapes_of(model)
    if options.get("concatenate"):
        assert isinstance(maps, jax.ShapeDtypeStruct)
        maps = (maps,)
    assert isinstance(maps, tuple)
    for leaf, stride, width in zip(maps, strides, channels, strict=True):
        assert leaf.shape == (2, *ceil((65, 97), stride), width)
        assert leaf.dtype == jnp.float32


def test_the_concatenation_is_the_maps_upsampled_and_joined(smallest):
    maps_model = create_model("features/smallest", upsample="align_corners")
    variables = initial_variables(maps_model)
    images = np.random.default_rng(0).normal(size=(1, 40, 64, 3)).astype(np.float32)
    maps = jax.jit(maps_model.apply)(variables, images)
    joined = jax.jit(maps_model.clone(concatenate=True).apply)(variables, images)
    expected = concatenate(maps, "align_corners")
    np.testing.assert_allclose(joined, expected, rtol=1e-4, atol=1e-5)


class Brightness(HRNetWithHead):
    """A head of one's own: the mean of the highest resolution."""

    scale: float = 1.0

    @nn.compact
    def __call__(self, images, train=False):
        maps = self.backbone.represent(images, train)
        return nn.Dense(1, name="brightness")(self.scale * jnp.mean(maps[0], (1, 2)))


@pytest.mark.parametrize("remat", ["none", "modules"])
def test_a_head_shares_the_names_of_the_body(remat):
    body = create_model("features/w18_small_v1", remat=remat)
    headed = Brightness(body, scale=2.0)
    shapes = variable_shapes(headed)
    alone = variable_shapes(body)
    assert shapes["batch_stats"] == alone["batch_stats"]
    assert shapes["params"].pop("brightness")["kernel"].shape == (16, 1)
    assert shapes["params"] == alone["params"]


def test_a_head_is_applied_to_what_the_body_computes(smallest):
    body = create_model("features/smallest")
    headed = Brightness(body, scale=2.0)
    variables = initial_variables(headed)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)

    def applied(model):
        return jax.jit(
            lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"])
        )(variables, images)

    (maps, state), (outputs, headed_state) = applied(body), applied(headed)
    dense = variables["params"]["brightness"]
    expected = 2 * maps[0].mean((1, 2)) @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        headed_state,
        state,
    )


def test_options_of_the_body_are_options_of_the_model():
    model = SegmentationHRNet.create("w18", num_classes=3, upsample="nearest")
    assert model == SegmentationHRNet(HRNet("w18", upsample="nearest"), num_classes=3)
    other = model.clone(upsample="bilinear", remat=True, num_classes=5)
    assert (other.upsample, other.remat, other.num_classes) == (
        "bilinear",
        "modules",
        5,
    )
    assert other.backbone == HRNet("w18", remat="modules")
    assert model.upsample == "nearest"
    assert len({model, model.clone(), other}) == 2
