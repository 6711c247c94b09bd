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

from hrnet_jax.errors import ConfigError, HRNetError

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

# Characters of a wrong value that messages show.
_SHOWN = 200


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """A section in which there is nothing to choose."""


def read_options(
    cls: type[T],
    section: Mapping[str, Any],
    path: str = "",
    everywhere: Iterable[str] = (),
) -> T:
    """Builds the dataclass `cls` from a configuration section.

    A field whose type is a dataclass is read from the sub-section of its name.
    Fields that the section lacks keep their defaults. Integers are accepted
    for float fields and lists for tuple fields.

    Args:
        cls: a frozen dataclass; fields without a default must be in the section.
        section: a ConfigDict or a dict.
        path: dotted path of the section, for messages (`"dataset"`).
        everywhere: dotted keys of the configuration that the section belongs to,
            for messages.

    Raises:
        ConfigError: for an unknown or missing key, or a value of the wrong type.
    """
    if not _is_section(section):
        raise ConfigError(_type_message(path, "a section of keys", section))
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    values = {}
    for key in section:
        dotted = _join(path, key)
        if key not in fields:
            raise ConfigError(unknown_key_message(dotted, fields, everywhere))
        values[key] = _convert(section[key], hints[key], dotted, everywhere)
    for name in fields.keys() - values.keys():
        if not _has_default(fields[name]):
            raise ConfigError(f"config key {_join(path, name)!r} is missing")
    return cls(**values)


def read_fields(
    cls: type[T], values: Mapping[str, Any], error_class: type[HRNetError]
) -> T:
    """Like `read_options`, for files that are no configurations.

    Raises:
        HRNetError: of that class, naming the key.
    """
    try:
        return read_options(cls, values)
    except ConfigError as error:
        raise error_class(str(error).removeprefix("config ")) from error


def unknown_key_message(
    dotted: str, known: Iterable[str], everywhere: Iterable[str] = ()
) -> str:
    """One line that names a wrong key, the nearest ones, and those of its place.

    Args:
        dotted: the whole key as it was given.
        known: last parts of the keys that there are where the first wrong part is.
        everywhere: dotted keys of the whole configuration, sections included, where
            there is more than this place.
    """
    known, everywhere = list(known), list(everywhere)
    if everywhere:
        question = _question(nearest_keys(dotted, everywhere))
    else:
        question = nearest(_split(dotted)[1], known)
    return (
        f"config key {dotted!r} is not read by anything{question} "
        f"(known keys here: {', '.join(sorted(known)) or 'none'})"
    )


def nearest_keys(dotted: str, everywhere: Iterable[str]) -> list[str]:
    """Keys that may be meant by a wrong one, the likeliest first.

    Those of the same name at other places; else the one most like it at its own
    place; else those of the most similar name anywhere.
    """
    section, name = _split(dotted)
    places: dict[str, list[str]] = {}
    for key in everywhere:
        places.setdefault(_split(key)[1], []).append(key)
    siblings = [other for other in places if section + other in places[other]]
    if name not in places:
        close = difflib.get_close_matches(name, siblings, n=1)
        if close:
            return [section + close[0]]
    close = difflib.get_close_matches(name, places, n=1)
    found = [key for other in close for key in places[other]]
    return sorted(found, key=lambda key: _likeness(key, dotted), reverse=True)[:3]


def nearest(key: str, known: Iterable[str]) -> str:
    """The end of a message that names the known key most like a wrong one."""
    return _question(difflib.get_close_matches(key, list(known), n=1))


def shortened(value: Any, most: int = _SHOWN) -> str:
    """A value as it is written, or the beginning of it, for messages."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integers of more than some thousand digits
        text = f"a number of {value.bit_length()} bits"
    return text if len(text) <= most else f"{text[:most]}..."


def dotted_keys(section: Mapping[str, Any], path: str = "") -> list[str]:
    """Keys of a configuration as users write them, those of its sections too."""
    keys = []
    for key, value in section.items():
        keys.append(path + key)
        if _is_section(value):
            keys += dotted_keys(value, f"{path}{key}.")
    return keys


def _join(path: str, key: str) -> str:
    """Dotted key of a section's key."""
    return f"{path}.{key}" if path else key


def _has_default(field: dataclasses.Field) -> bool:
    values = (field.default, field.default_factory)
    return any(value is not dataclasses.MISSING for value in values)


def _question(suggestions: list[str]) -> str:
    if not suggestions:
        return ""
    return f"; did you mean {' or '.join(map(repr, suggestions))}?"


def _split(dotted: str) -> tuple[str, str]:
    """A key as its section, with the dot, and its name."""
    section, dot, name = dotted.rpartition(".")
    return section + dot, name


def _likeness(a: str, b: str) -> float:
    return difflib.SequenceMatcher(a=a, b=b).ratio()


def _convert(value: Any, hint: Any, dotted: str, everywhere: Iterable[str] = ()) -> Any:
    """Checks `value` against a type hint and converts lists and integers."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return read_options(hint, value, dotted, everywhere)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        (inner,) = [option for option in options if option is not type(None)]
        return _convert(value, inner, dotted)
    if origin is tuple:
        return _convert_tuple(value, typing.get_args(hint), dotted)
    if origin is list:
        (inner,) = typing.get_args(hint)
        return list(_convert_tuple(value, (inner, Ellipsis), dotted))
    if hint is dict or origin in (dict, Mapping):
        return _convert_section(value, typing.get_args(hint), dotted)
    if hint is float and isinstance(value, int) and not _is_bool(value):
        return _as_float(value, dotted)
    if hint is Any or (isinstance(value, hint) and (hint is bool) >= _is_bool(value)):
        return value
    raise ConfigError(_type_message(dotted, f"a value of type {hint.__name__}", value))


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "to_dict")


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _convert_section(value: Any, args: tuple, dotted: str) -> dict[str, Any]:
    """The keys and values of a section in which any key may be."""
    if not _is_section(value):
        raise ConfigError(_type_message(dotted, "a section of keys", value))
    inner = args[1] if args else Any
    return {
        key: _convert(item, inner, f"{dotted}.{key}") for key, item in value.items()
    }


def _as_float(value: int, dotted: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ConfigError(_type_message(dotted, "a float", value)) from None


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
    return f"config key {dotted!r} must be {expected}, got {shortened(value)}"
