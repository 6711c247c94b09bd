"""The network equals the official PyTorch code on synthetic weights."""

import jax
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.pretrained import from_torch, to_torch
from hrnet_jax.registry import create_model
from tests.goldens import official


def golden_model(name: str):
    """Our model for a golden file, by its name."""
    family, stem = name.split("/")
    if family == "classification":
        return create_model(name)
    variant = stem.removeprefix("hrnet_").rsplit("_", 2)[0]
    record = official.info(name)
    return create_model(
        f"{family}/{variant}",
        num_classes=record["num_classes"],
        align_corners=record["align_corners"],
    )


GOLDENS = official.names("classification") + official.names("segmentation")


@pytest.mark.parametrize("name", GOLDENS)
def test_forward_pass_equals_the_official_code(name):
    model = golden_model(name)
    variables = from_torch(official.state_dict(name), model)

    @runtime.jit
    def forward(variables, images):
        return model.apply(variables, images, mutable=["intermediates"])

    for case in official.info(name)["cases"]:
        outputs, state = jax.device_get(forward(variables, official.image(case)))
        if outputs.ndim == 4:
            outputs = outputs.transpose(0, 3, 1, 2)
        official.assert_matches(name, case, "logits", outputs)
        if "intermediates" in state:
            (features,) = state["intermediates"]["features"]
            official.assert_matches(
                name, case, "features", features.transpose(0, 3, 1, 2)
            )


@pytest.mark.parametrize("name", GOLDENS)
def test_parameter_count_and_round_trip_are_exact(name):
    model = golden_model(name)
    state = official.state_dict(name)
    variables = from_torch(state, model)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == official.info(name)["trainable_parameters"]
    back = to_torch(variables, model)
    assert back.keys() == state.keys()
    for key, value in state.items():
        assert back[key].dtype == value.dtype
        np.testing.assert_array_equal(back[key], value)
