"""Multiply-adds are counted exactly, and equal the official counts."""

import jax
import jax.numpy as jnp
import pytest
from flax import traverse_util

from hrnet_jax.costs.multiply_adds import multiply_adds
from hrnet_jax.models.convolution import convolve
from hrnet_jax.registry import create_model
from tests.goldens import official
from tests.models.shapes import leaf_shapes


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def model_cost(name: str, images: jax.ShapeDtypeStruct) -> int:
    variables = traverse_util.unflatten_dict(leaf_shapes(name), sep="/")
    return multiply_adds(create_model(name).apply, variables, images)


# The structure of w30 and w32 is that of w18 and w48.
@pytest.mark.parametrize("variant", ["w18_small_v1", "w18_small_v2", "w18", "w48"])
def test_classification_costs_what_the_official_code_counts(variant):
    name = f"classification/{variant}"
    (record,) = official.info(name)["multiply_adds"]
    batch, channels, height, width = record["input_shape"]
    cost = model_cost(name, shape(batch, height, width, channels))
    assert cost == record["convolution"] + record["linear"]


def test_segmentation_head_costs_less_than_in_the_official_code():
    name = "segmentation/hrnet_w18_small_v1_cityscapes19_v11"
    (record,) = official.info(name)["multiply_adds"]
    pixels = record["input_shape"][2] * record["input_shape"][3]
    height, width = 128, 256
    # Ours counts the upsampling too, which is a matrix product here.
    cost = model_cost("segmentation/w18_small_v1", shape(1, height, width, 3))
    assert cost < 0.9 * record["convolution"] * height * width / pixels


def test_a_convolution_costs_outputs_times_kernel_elements():
    cost = multiply_adds(
        lambda x, k: convolve(x, k, 2), shape(2, 9, 13, 5), shape(3, 3, 5, 7)
    )
    assert cost == 2 * 5 * 7 * 7 * (3 * 3 * 5)


def test_a_matrix_product_costs_the_product_of_its_sizes():
    cost = multiply_adds(
        lambda a, b: jnp.einsum("bij,bjk->bik", a, b), shape(4, 2, 3), shape(4, 3, 5)
    )
    assert cost == 4 * 2 * 3 * 5


def test_loops_count_as_often_as_they_run():
    def looped(x, w):
        return jax.lax.scan(lambda c, _: (c @ w, None), x, length=6)[0]

    assert multiply_adds(looped, shape(2, 3), shape(3, 3)) == 6 * 2 * 3 * 3


def test_gradients_of_a_product_cost_two_more_products():
    def loss(x, w):
        return jnp.sum(jnp.square(x @ w))

    forward = multiply_adds(loss, shape(2, 3), shape(3, 5))
    both = multiply_adds(jax.grad(loss, argnums=(0, 1)), shape(2, 3), shape(3, 5))
    assert both == 3 * forward


def test_recomputed_and_nested_programs_are_counted():
    def product(x, w):
        return jax.jit(jax.checkpoint(lambda x, w: x @ w))(x, w)

    assert multiply_adds(product, shape(2, 3), shape(3, 5)) == 2 * 3 * 5
