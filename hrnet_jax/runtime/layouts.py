"""Memory layouts of kernels and optimizer state on GPUs.

Kernels are [height, width, in, out] here, and cuDNN wants all that belongs to one
output channel together. In JAX's usual order a program therefore turns every kernel
around in each call, and a train step also turns the gradients back and copies new
values to where the old ones were: a quarter of all the kernels that a GPU starts.
Figures are in docs/performance.md.

Only the place in memory changes: shapes, checkpoints and results do not. Elsewhere
than on GPUs everything here does nothing.
"""

from typing import Any

import jax
from jax.experimental.layout import Format, Layout
from jax.sharding import Sharding, SingleDeviceSharding

from hrnet_jax.runtime import target

# The order of axes of kernels in memory, the outermost first.
_OUTPUTS_FIRST = Layout((3, 0, 1, 2))


def _matters(sharding: Sharding) -> bool:
    return target.platform_of(next(iter(sharding.device_set))) == "gpu"


def _is_on_gpu(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and _matters(leaf.sharding)


def auto_layout(sharding: Sharding) -> Sharding | Format:
    """A sharding for `jax.jit` that leaves the order in memory to the compiler.

    The function then has to be compiled by `runtime.compile_ahead`, and called with
    arguments from `with_layout_of`.
    """
    return Format(Layout.AUTO, sharding) if _matters(sharding) else sharding


def compile_shapes(arguments: Any) -> Any:
    """Arguments to compile a function for, without the layouts that `auto_layout` leaves open.

    An array in JAX's default order does not ask for any layout.
    """

    def describe(leaf):
        if not _is_on_gpu(leaf):
            return leaf
        stored = leaf.format
        is_usual = stored.layout.major_to_minor == tuple(range(leaf.ndim))
        place = leaf.sharding if is_usual else stored
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    some = any(map(_is_on_gpu, jax.tree.leaves(arguments)))
    return jax.tree.map(describe, arguments) if some else arguments


def with_layout_of(compiled: Any, index: int, argument: Any) -> Any:
    """An argument of a compiled function, in the order that it was compiled for.

    Args:
        compiled: from `runtime.compile_ahead`.
        index: of the argument.
        argument: tree of arrays; those with another layout are copied.
    """
    if not any(map(_is_on_gpu, jax.tree.leaves(argument))):
        return argument
    return jax.device_put(argument, compiled.input_formats[0][index])


def put_for_inference(variables: Any) -> Any:
    """Variables of a model on the default device, kernels as convolutions want them."""
    device = SingleDeviceSharding(jax.local_devices()[0])
    if not _matters(device):
        return jax.device_put(variables)

    def place(leaf):
        is_kernel = leaf.ndim == 4 and leaf.shape[:2] != (1, 1)
        return jax.device_put(
            leaf, Format(_OUTPUTS_FIRST, device) if is_kernel else device
        )

    return jax.tree.map(place, variables)
