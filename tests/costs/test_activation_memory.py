"""Memory of activations read off programs: by hand, of models, and as compiled."""

import math

import jax
import jax.numpy as jnp
import pytest
from jax.extend import core

from hrnet_jax.costs import activation_memory
from hrnet_jax.models.convolution import convolve
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.models.layers import relu
from hrnet_jax.models.resize import resize
from hrnet_jax.registry import create_model
from hrnet_jax.runtime.pieces import inner_jaxprs
from tests.inspection.inspected import inspected
from tests.tiers import fast_are


def program(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return activation_memory.read_program(jax.make_jaxpr(function)(*arguments))


IMAGES, FIRST, SECOND = (1, 8, 8, 4), (3, 3, 4, 8), (3, 3, 8, 16)


def test_memory_of_two_convolutions():
    def network(x, first, second):
        return convolve(relu(convolve(x, first)), second) * 2

    found = program(network, IMAGES, FIRST, SECOND)
    pixels = 4 * 8 * 8
    # ReLU and doubling take the place of what they read; the image is given up.
    assert activation_memory.peak(found) == pixels * (8 + 16)
    assert activation_memory.kept_for_training(found) == pixels * (4 + 8)


def test_memory_of_a_shortcut():
    def network(x, first, second):
        x = convolve(x, first)
        for _ in range(3):
            x = relu(x + convolve(x, second))
        return x

    found = program(network, IMAGES, FIRST, (3, 3, 8, 8))
    pixels = 4 * 8 * 8
    assert activation_memory.peak(found) == pixels * (8 + 8)
    # The first sum's input, and three results of ReLU, two of them read again.
    assert activation_memory.kept_for_training(found) == pixels * (4 + 8 + 3 * 8)


def test_constants_and_weights_are_no_activations():
    def network(x, first):
        kernel = jnp.transpose(first, (1, 0, 2, 3)) * 2
        return resize(convolve(x, kernel), (16, 16), "align_corners")

    found = program(network, IMAGES, FIRST)
    # The matrices of upsampling have no gradient, so that their operands may go.
    assert activation_memory.kept_for_training(found) == 4 * 8 * 8 * 4
    assert activation_memory.peak(found) == 4 * (8 * 16 + 16 * 16) * 8


@pytest.mark.parametrize(
    "name", fast_are(["pyramid/w18"], ["segmentation/w18_small_v1_ocr", "pyramid/w18"])
)
def test_the_peak_is_that_of_the_program_of_inference(name):
    model = create_model(name)
    images = jax.ShapeDtypeStruct((1, 128, 128, 3), jnp.float32)
    closed = jax.make_jaxpr(lambda x, v: model.apply(v, x))(
        images, variable_shapes(model)
    )
    peak = activation_memory.peak(activation_memory.read_program(closed))
    assert inspected(name, (128, 128)).peak_bytes == peak


def dependent(jaxpr: core.Jaxpr, known: set[core.Var]) -> list[bool]:
    """Which results of a function some of its arguments have a part in."""
    known = set(known)

    def is_known(atoms):
        return [isinstance(atom, core.Var) and atom in known for atom in atoms]

    for equation in jaxpr.eqns:
        reads = is_known(equation.invars)
        inner = list(inner_jaxprs(equation))
        if len(inner) == 1 and len(inner[0].invars) == len(reads):
            bound = zip(inner[0].invars, reads, strict=True)
            made = dependent(inner[0], {variable for variable, is_ in bound if is_})
        else:
            made = [any(reads)] * len(equation.outvars)
        outputs = zip(equation.outvars, made, strict=True)
        known |= {variable for variable, is_ in outputs if is_}
    return is_known(jaxpr.outvars)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("classification/w18_small_v1", 0.03),
        ("segmentation/w18_small_v1", 0.03),
        ("pyramid/w18_small_v1", 0.03),
        # JAX keeps masks of dropout and copies in other shapes, too.
        ("segmentation/w18_small_v1_ocr", 0.15),
    ],
)
def test_training_keeps_what_differentiation_keeps(name, tolerance):
    model = create_model(name)
    images = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    variables = variable_shapes(model)

    def residuals(params, batch_stats, images, key):
        def forward(params):
            return model.apply(
                {"params": params, "batch_stats": batch_stats},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )

        return jax.vjp(forward, params, has_aux=True)[1]

    key = jax.eval_shape(lambda: jax.random.key(0))
    closed = jax.make_jaxpr(residuals)(
        variables["params"], variables["batch_stats"], images, key
    )
    # Matrices that upsample are kept as well, but they are no activations.
    made_of_images = dependent(closed.jaxpr, {closed.jaxpr.invars[-2]})
    results = zip(closed.jaxpr.outvars, made_of_images, strict=True)
    kept = {variable for variable, is_made in results if is_made}
    shapes = [variable.aval.shape for variable in kept]
    maps = [shape for shape in shapes if len(shape) == 4 and 1 == shape[0] < shape[1]]
    total = 4 * sum(map(math.prod, maps))
    found = inspected(name, (256, 256)).training_bytes
    assert found == pytest.approx(total, rel=tolerance)


def test_the_peak_is_about_what_the_compiler_reserves():
    name, size = "segmentation/w18_small_v1", (256, 256)
    model = create_model(name)
    images = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    compiled = jax.jit(model.apply).lower(variable_shapes(model), images).compile()
    memory = compiled.memory_analysis()
    reserved = memory.temp_size_in_bytes + images.size * 4
    assert 0.5 < inspected(name, size).peak_bytes / reserved < 2
