"""ONNX files: any batch, images of one size."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from hrnet_jax.export.onnx_graph import CHANNELS_FIRST, Graph, Tensor
from hrnet_jax.export.onnx_operations import convert
from hrnet_jax.export.onnx_spatial import resize_p
from hrnet_jax.models.resize import RESIZE_OVERRIDE
from hrnet_jax.runtime.target import tracing_for


def to_onnx(
    function: Callable[[jax.Array], dict[str, jax.Array]],
    size: tuple[int, int],
    dtype: Any,
    *,
    channels_first: bool,
    metadata: dict[str, str],
) -> bytes:
    """Writes a function of images as an ONNX model.

    Args:
        function: maps images [B, H, W, 3] to named outputs.
        size: (height, width) of the images.
        dtype: of the images.
        channels_first: whether images and maps are [B, C, H, W] in the model.
        metadata: stored in the model's properties.

    Returns:
        The content of the file. Its input is called `images`.

    Raises:
        ExportError: for an operation that has no counterpart here.
    """
    (batch,) = jax.export.symbolic_shape("batch")
    shape = (batch, *size, 3)
    with resizing_as_one_operation(), tracing_for("cpu"):
        traced, outputs = jax.make_jaxpr(function, return_shape=True)(
            jax.ShapeDtypeStruct(shape, dtype)
        )
    order = CHANNELS_FIRST if channels_first else (0, 1, 2, 3)
    graph = Graph()
    results = convert(graph, traced, [Tensor("images", shape, order)])
    named = {}
    for name, tensor in zip(sorted(outputs), results, strict=True):
        rank = len(tensor.shape)
        kept = order if rank == 4 else tuple(range(rank))
        named[name] = graph.arranged(tensor, kept), _shape(outputs[name].shape, kept)
    inputs = {"images": (np.dtype(dtype), _shape(shape, order))}
    return graph.model("hrnet", inputs, named, metadata).SerializeToString()


def _shape(sizes: tuple, order: tuple[int, ...]) -> list[int | str]:
    """Sizes in the order of a tensor's axes, a symbolic one by its name."""
    return [
        sizes[axis] if isinstance(sizes[axis], int) else str(sizes[axis])
        for axis in order
    ]


@contextlib.contextmanager
def resizing_as_one_operation() -> Iterator[None]:
    """Traces flat programs in which resizing is `resize_p`.

    Without `jit`: its kept traces would mix these programs with those of training.
    """
    token = RESIZE_OVERRIDE.set(
        lambda x, size, method: resize_p.bind(x, size=tuple(size), method=method)
    )
    try:
        with jax.disable_jit():
            yield
    finally:
        RESIZE_OVERRIDE.reset(token)
