"""ONNX files: any batch, images of one size."""

import contextlib
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from hrnet_jax.export.onnx_graph import BATCH, CHANNELS_FIRST, Graph, Tensor
from hrnet_jax.export.onnx_operations import convert, whole_p
from hrnet_jax.runtime.target import tracing_for
from hrnet_jax.runtime.whole_operations import SUBSTITUTE


def to_onnx(
    function: Callable[..., dict[str, jax.Array]],
    size: tuple[int, int],
    dtype: Any,
    more: Mapping[str, jax.ShapeDtypeStruct] = types.MappingProxyType({}),
    *,
    channels_first: bool,
    maps: bool = True,
    metadata: dict[str, str],
) -> bytes:
    """Writes a function of images as an ONNX model.

    Args:
        function: maps images [B, H, W, 3], and what else it takes, to named outputs.
        size: (height, width) of the images.
        dtype: of the images.
        more: other inputs in their order, for one image.
        channels_first: whether images and maps are [B, C, H, W] in the model.
        maps: whether outputs of four axes are maps.
        metadata: stored in the model's properties.

    Returns:
        The content of the file. Its first input is called `images`.

    Raises:
        ExportError: for an operation that has no counterpart here.
    """
    (batch,) = jax.export.symbolic_shape(BATCH)
    given = {"images": jax.ShapeDtypeStruct((batch, *size, 3), dtype)} | {
        name: jax.ShapeDtypeStruct((batch, *one.shape), one.dtype)
        for name, one in more.items()
    }
    with keeping_whole_operations(), tracing_for("cpu"):
        traced, outputs = jax.make_jaxpr(function, return_shape=True)(*given.values())
    order = CHANNELS_FIRST if channels_first else (0, 1, 2, 3)
    orders = [order, *(tuple(range(len(one.shape) + 1)) for one in more.values())]
    graph = Graph()
    tensors = [
        Tensor(name, one.shape, kept)
        for (name, one), kept in zip(given.items(), orders, strict=True)
    ]
    results = convert(graph, traced, list(tensors))
    named = {}
    for name, value in zip(sorted(outputs), results, strict=True):
        about = outputs[name]
        rank = len(about.shape)
        kept = order if rank == 4 and maps else tuple(range(rank))
        tensor = graph.arranged(graph.full(value, about.shape), kept)
        named[name] = tensor, about.dtype, _shape(about.shape, kept)
    inputs = {
        tensor.name: (np.dtype(one.dtype), _shape(one.shape, tensor.order))
        for tensor, one in zip(tensors, given.values(), strict=True)
    }
    return graph.model("hrnet", inputs, named, metadata).SerializeToString()


def _shape(sizes: tuple, order: tuple[int, ...]) -> list[int | str]:
    """Sizes in the order of a tensor's axes, a symbolic one by its name."""
    return [
        sizes[axis] if isinstance(sizes[axis], int) else str(sizes[axis])
        for axis in order
    ]


@contextlib.contextmanager
def keeping_whole_operations() -> Iterator[None]:
    """Traces flat programs in which `runtime.whole_operations` are one each.

    Without `jit`: its kept traces would mix these programs with those of training.
    """

    def substitute(name, arrays, shapes, parameters):
        return whole_p.bind(
            *arrays, operation=name, shapes=shapes, parameters=parameters
        )

    token = SUBSTITUTE.set(substitute)
    try:
        with jax.disable_jit():
            yield
    finally:
        SUBSTITUTE.reset(token)
