"""Whole runs in double precision, for comparisons of runs by different programs.

Programs for other devices, other numbers of them or other processors add up in other
orders. In single precision that alone decides now and then whether a value before a
ReLU is positive, and from there on gradients differ by a thousandth, however right
both programs are. In double precision nothing lies as near to zero as rounding.
"""

import contextlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pytest

from hrnet_jax.training import build
from hrnet_jax.training import train as train_module


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Has `train` compute in float64, from parameters and statistics in float64."""
    build_model, create_state = build.build_model, train_module.create_state

    def double_state(variables, *arguments, **options):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
        return create_state(wide, *arguments, **options)

    was_enabled = jax.config.jax_enable_x64
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            build, "build_model", lambda *a: build_model(*a).clone(dtype=jnp.float64)
        )
        patch.setattr(train_module, "create_state", double_state)
        # Not the context manager: that is of this thread, and reading has its own.
        jax.config.update("jax_enable_x64", True)
        try:
            yield
        finally:
            jax.config.update("jax_enable_x64", was_enabled)
