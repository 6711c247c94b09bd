"""FLOPs and bytes of compiled functions against counts by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.profiling import costs
from hrnet_jax.costs.hlo import HloProgram


def counted(function, *shapes, dtype=jnp.float32):
    """FLOPs and bytes of all kernels of a function, and what XLA counts."""
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    compiled = jax.jit(function).lower(*arguments).compile()
    program = HloProgram(compiled.as_text())
    kernels = program.computations[program.entry]
    flops = sum(costs.flops(program, kernel) for kernel in kernels)
    accessed = sum(costs.bytes_accessed(program, kernel) for kernel in kernels)
    return flops, accessed, compiled.cost_analysis()


def convolve(x, kernel, stride=1):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def test_product():
    flops, accessed, xla = counted(jnp.matmul, (3, 5), (5, 7))
    assert flops == 2 * 3 * 5 * 7
    assert accessed == 4 * (3 * 5 + 5 * 7 + 3 * 7)
    assert xla["flops"] == flops and xla["bytes accessed"] == accessed


def test_elementwise_work_is_one_per_operation_and_half_as_many_bytes_in_16_bits():
    flops, accessed, _ = counted(lambda x, y: x * y - x, (4, 8), (4, 8))
    assert (flops, accessed) == (2 * 32, 3 * 4 * 32)
    _, accessed, _ = counted(lambda x: -x, (4, 8), dtype=jnp.int16)
    assert accessed == 2 * 2 * 32


def test_reduction_takes_one_less_than_its_values():
    flops, accessed, _ = counted(lambda x: jnp.sum(x, 0), (6, 10))
    assert flops == 5 * 10
    # The zero it starts from is an operand as well.
    assert accessed == 4 * (60 + 10 + 1)


@pytest.mark.parametrize(("stride", "met"), [(1, 22), (2, 11)])
def test_convolution_leaves_padding_out(stride, met):
    # Along a side of 8, windows of 3 meet 8 + 7 + 7 real values; at stride 2, every
    # second window: 2 + 3 + 3 + 3.
    flops, _, xla = counted(
        lambda x, k: convolve(x, k, stride), (2, 8, 8, 3), (3, 3, 3, 4)
    )
    assert flops == 2 * 2 * met**2 * 3 * 4
    assert xla["flops"] == flops


def test_gradients_of_a_strided_convolution_meet_as_many_values():
    shapes = (2, 8, 8, 3), (3, 3, 3, 4)

    def gradients(x, kernel, g):
        return jax.vjp(lambda x, k: convolve(x, k, 2), x, kernel)[1](g)

    flops, _, xla = counted(gradients, *shapes, (2, 4, 4, 4))
    # The same pairs of values and weights, once for each gradient.
    assert flops == 2 * (2 * 2 * 11**2 * 3 * 4)
    assert xla["flops"] == flops


def test_groups_share_neither_inputs_nor_work():
    def depthwise(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=6,
        )

    flops, _, _ = counted(depthwise, (1, 5, 5, 6), (3, 3, 1, 6))
    assert flops == 2 * 3 * 3 * 9 * 6


def test_what_only_names_values_costs_nothing():
    flops, accessed, _ = counted(lambda x: x.reshape(8, 4), (4, 8))
    assert flops == 0
    assert accessed <= 2 * 4 * 32  # At most one copy.


def test_pairs_along_an_axis_equal_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(50):
        image, kernel, result = rng.integers(1, 9, 3)
        stride, spread, holes, pad = rng.integers(1, 4, 4) - [0, 0, 0, 1]
        expected = 0
        for i in range(result):
            for k in range(kernel):
                place = i * stride - pad + k * holes
                expected += place % spread == 0 and 0 <= place // spread < image
        got = costs._meetings(image, kernel, result, stride, spread, holes, pad)
        assert got == expected


# One convolution of 6x10 pixels at stride 2 and its two gradients, as XLA writes them
# for cuDNN: window and labels are those of the convolution.
CUDNN = """\
HloModule step, is_scheduled=true

ENTRY %main (x: bf16[2,6,10,8], k: bf16[16,3,3,8], g: bf16[2,3,5,16]) -> bf16[1] {
  %x = bf16[2,6,10,8]{3,2,1,0} parameter(0)
  %k = bf16[16,3,3,8]{3,2,1,0} parameter(1)
  %g = bf16[2,3,5,16]{3,2,1,0} parameter(2)
  %conv = (bf16[2,3,5,16]{3,2,1,0}, u8[9]{0}) custom-call(%x, %k), window={size=3x3 \
stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convForward"
  %input = (bf16[2,6,10,8]{3,2,1,0}, u8[9]{0}) custom-call(%g, %k), window={size=3x3 \
stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convBackwardInput"
  %filter = (bf16[16,3,3,8]{3,2,1,0}, u8[9]{0}) custom-call(%x, %g), window={size=3x3 \
stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convBackwardFilter"
}
"""


@pytest.mark.parametrize("name", ["conv", "input", "filter"])
def test_gradients_by_cudnn_are_as_much_work_as_the_convolution(name):
    program = HloProgram(CUDNN)
    # Windows of 3 around 0, 2, 4 (and 6, 8) meet 2 + 3 + 3 (+ 3 + 3) real values.
    expected = 2 * 2 * (8 * 14) * 8 * 16
    assert costs.flops(program, program.instructions[name]) == expected
