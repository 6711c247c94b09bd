"""Models without a head read the body of any state dict, and write it."""

import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained.convert import from_torch, to_torch
from hrnet_jax.registry import create_model
from tests.pretrained.state_dicts import make_model, random_state_dict

# One of each head, and every prefix.
SOURCES = [
    ("classification/w18_small_v1", "official"),
    ("segmentation/w18_small_v1_ocr", "mmseg"),
    ("landmarks/w18_small_v1", "mmpose1"),
    ("pyramid/w18_small_v1", "official"),
    ("pyramid/w18_small_v1", "fcos"),
]


def state_dict_of(name: str, convention: str) -> tuple:
    model = make_model(name, convention)
    return model, random_state_dict(model, convention, np.random.default_rng(0))


def flat(variables: dict) -> dict[str, np.ndarray]:
    return traverse_util.flatten_dict(variables, sep="/")


@pytest.mark.parametrize(("name", "convention"), SOURCES)
def test_the_body_of_a_model_is_read_alone(name, convention):
    model, state = state_dict_of(name, convention)
    whole = flat(from_torch(state, model))
    body = flat(from_torch(state, create_model("features/w18_small_v1")))
    assert {key.split("/")[1] for key in body} == {
        "stem",
        *(f"stage{stage}" for stage in (1, 2, 3, 4)),
        *(f"transition{stage}" for stage in (1, 2, 3)),
    }
    for key, leaf in body.items():
        np.testing.assert_array_equal(leaf, whole[key])


@pytest.mark.parametrize(
    ("convention", "first"),
    [("official", "conv1.weight"), ("mmseg", "backbone.conv1.weight")],
)
def test_a_body_is_written_and_read_again(convention, first):
    model = create_model("features/w18_small_v1")
    _, state = state_dict_of("classification/w18_small_v1", "official")
    variables = from_torch(state, model)
    written = to_torch(variables, model, convention=convention)
    assert first in written
    again = flat(from_torch(written, model))
    for key, leaf in flat(variables).items():
        np.testing.assert_array_equal(again[key], leaf)


def test_a_body_that_lacks_a_tensor_or_has_one_more_is_refused():
    model = create_model("features/w18_small_v1")
    _, state = state_dict_of("classification/w18_small_v1", "official")
    damaged = state | {"stage2.0.branches.0.2.conv1.weight": np.zeros((1,))}
    del damaged["layer1.0.conv1.weight"]
    with pytest.raises(WeightsError) as error:
        from_torch(damaged, model)
    assert "layer1.0.conv1.weight" in str(error.value)
    assert "stage2.0.branches.0.2.conv1.weight" in str(error.value)


class OwnBody(nn.Module):
    """A backbone of one's own, one layer of which is called as ours."""

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.Conv(64, (3, 3), (2, 2), use_bias=False, name="patches")(images)
        return nn.Dense(8, name="mix")(x)


@pytest.mark.parametrize("convention", [None, "official"])
def test_layers_of_ones_own_that_have_no_place_are_named(convention):
    _, state = state_dict_of("pose/w18_small_v1", "official")
    message = (
        r"^3 of 3 tensors of the model have no place among the names of features "
        r"\(official\): params/mix/bias, params/mix/kernel, params/patches/kernel; "
        "convert_names and transfer of hrnet_jax.pretrained take what fits$"
    )
    with pytest.raises(WeightsError, match=message):
        from_torch(state, OwnBody(), convention=convention)


def test_a_body_without_the_last_paths_is_of_another_representation():
    _, state = state_dict_of("pose/w18_small_v1", "official")
    from_torch(state, create_model("features/w18_small_v1", representation="v1"))
    with pytest.raises(WeightsError, match=r"missing.*stage4\.0\.fuse_layers\.1"):
        from_torch(state, create_model("features/w18_small_v1"))
