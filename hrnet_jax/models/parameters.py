"""Parameters of layers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.errors import ScopeParamShapeError


def parameter(
    module: nn.Module, name: str, initializer: Callable, shape: tuple[int, ...]
) -> jax.Array:
    """A float32 parameter, made where the module is initialised.

    What Flax's own `param` does, except that it traces the initializer of every
    parameter whenever a model is applied, only to learn the shape: a third of the time
    that tracing a model takes.

    Args:
        module: whose parameter it is, while it is called.
        name: of the parameter.
        initializer: `(key, shape, dtype) -> array`.
        shape: of the parameter.

    Raises:
        ScopeParamShapeError: if the given parameter has another shape.
    """
    if not module.has_variable("params", name):
        return module.param(name, initializer, shape, jnp.float32)
    value: jax.Array = module.get_variable("params", name)
    if jnp.shape(value) != shape:
        path = module.scope.path_text if module.scope else ""
        raise ScopeParamShapeError(name, path, jnp.shape(value), shape)
    return value
