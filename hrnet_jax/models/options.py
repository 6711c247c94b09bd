"""Checks of what a user asks of a model."""

import typing
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.model import Model
from hrnet_jax.models.resize import EXCHANGE_METHODS


def check_options(
    name: str,
    cls: type[Model],
    options: Mapping[str, Any],
    families_with: Callable[[str], list[str]],
) -> None:
    """Checks options for a model.

    Args:
        name: of the model.
        cls: its class.
        options: attribute -> value.
        families_with: families of models that have a representation.

    Raises:
        ConfigError: naming the option that the model does not have, or its value.
    """
    known = set(cls.option_names())
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigError(
            f"model {name!r} has no option {unknown[0]!r}; "
            f"expected one of {', '.join(sorted(known | {'align_corners'}))}"
        )
    hints = typing.get_type_hints(cls)
    for key, value in options.items():
        if not _is_of(value, hints.get(key)):
            raise ConfigError(
                f"option {key!r} of model {name!r} must be of type "
                f"{hints[key].__name__}, got {value!r:.200}"
            )
    wanted = options.get("representation")
    if wanted is not None and wanted not in cls.representations:
        having = families_with(wanted)
        raise ConfigError(
            f"model {name!r} has no representation {wanted!r}; expected one of "
            f"{', '.join(cls.representations)}"
            + (f" ({wanted} exists in {', '.join(having)})" if having else "")
        )
    upsample = options.get("upsample", "bilinear")
    if upsample not in EXCHANGE_METHODS:
        raise ConfigError(
            f"unknown upsample method {upsample!r}; expected one of "
            f"{', '.join(EXCHANGE_METHODS)}"
        )


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value has the type of its option, where that is a plain one."""
    if hint is int:
        return isinstance(value, int | np.integer) and not isinstance(value, bool)
    return not isinstance(hint, type) or hint not in (bool, str) or type(value) is hint


def compute_type(dtype: Any) -> jnp.dtype:
    """A floating type from its name or itself.

    Raises:
        ConfigError: for anything else.
    """
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise ConfigError(
            f"unknown dtype {dtype!r}; expected a floating type such as "
            "'float32' or 'bfloat16'"
        )
    return found
