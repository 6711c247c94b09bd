"""PyTorch as a second opinion on the peaks of a CPU, where it is installed."""

import functools

import jax

from hrnet_jax.costs.machine import Probe


def make_torch_probes(side: int, dtype: str, elements: int) -> dict[str, Probe]:
    """A product and a triad of PyTorch, for `measure_machine`.

    Args:
        side: of the square matrices.
        dtype: of the matrices.
        elements: of the float32 arrays.

    Returns:
        Nothing without PyTorch, or where JAX finds an accelerator.
    """
    if jax.default_backend() != "cpu":
        return {}
    try:
        import torch
    except ImportError:
        return {}
    a, b = torch.randn(2, side, side, dtype=getattr(torch, dtype))
    x, y, z = torch.zeros(3, elements)
    return {
        "torch": Probe(functools.partial(torch.mm, a, b), flops=2 * side**3),
        "torch triad": Probe(
            functools.partial(torch.add, x, y, alpha=2, out=z), bytes=12 * elements
        ),
    }
