"""Reads sections of an experiment configuration into typed options.

Each package declares its options as a frozen dataclass with defaults. Reading is
strict: a key that no field takes and a value of another type are errors that
name the dotted key, so nothing in an experiment file is silently ignored.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from hrnet_jax.errors import ConfigError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """A section in which there is nothing to choose."""


def read_options(cls: type[T], section: Mapping[str, Any], path: str = "") -> T:
    """Builds the dataclass `cls` from a configuration section.

    A field whose type is a dataclass is read from the sub-section of its name.
    Fields that the section lacks keep their defaults. Integers are accepted
    for float fields and lists for tuple fields.

    Args:
        cls: a frozen dataclass; every field needs a default.
        section: a ConfigDict or a dict.
        path: dotted path of the section, for messages (`"dataset"`).

    Raises:
        ConfigError: for an unknown key, or a value of the wrong type.
    """
    if not _is_section(section):
        raise ConfigError(_type_message(path, "a section of keys", section))
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    values = {}
    for key in section:
        dotted = f"{path}.{key}" if path else key
        if key not in fields:
            raise ConfigError(unknown_key_message(dotted, key, fields))
        values[key] = _convert(section[key], hints[key], dotted)
    return cls(**values)


def unknown_key_message(dotted: str, key: str, known: Iterable[str]) -> str:
    """One line that names the key, the nearest known one, and all known ones."""
    known = sorted(known)
    return (
        f"config key {dotted!r} is not read by anything{nearest(key, known)} "
        f"(known keys here: {', '.join(known) or 'none'})"
    )


def nearest(key: str, known: Iterable[str]) -> str:
    """The end of a message that names the known key most like a wrong one."""
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _convert(value: Any, hint: Any, dotted: str) -> Any:
    """Checks `value` against a type hint and converts lists and integers."""
    if dataclasses.is_dataclass(hint):
        return read_options(hint, value, dotted)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        (inner,) = [option for option in options if option is not type(None)]
        return _convert(value, inner, dotted)
    if origin is tuple:
        return _convert_tuple(value, typing.get_args(hint), dotted)
    if origin is dict or hint is dict:
        if not _is_section(value):
            raise ConfigError(_type_message(dotted, "a section of keys", value))
        return dict(value.items())
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(value, hint) and (hint is bool) >= _is_bool(value)):
        return value
    raise ConfigError(_type_message(dotted, f"a value of type {hint.__name__}", value))


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "to_dict")


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _convert_tuple(value: Any, args: tuple, dotted: str) -> tuple:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(_type_message(dotted, "a tuple or list", value))
    items = tuple(value)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_convert(item, args[0], dotted) for item in items)
    if len(items) != len(args):
        raise ConfigError(_type_message(dotted, f"{len(args)} values", value))
    return tuple(
        _convert(item, arg, dotted) for item, arg in zip(items, args, strict=True)
    )


def _type_message(dotted: str, expected: str, value: Any) -> str:
    return f"config key {dotted!r} must be {expected}, got {value!r}"
