"""`KEY=VALUE` as users type it, with one reader.

Options of experiment files, of data sets and of models, and changes of a run's
configuration are all written like this.
"""

import ast
import copy
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from hrnet_jax.config.options import (
    dotted_keys,
    nearest,
    shortened,
    unknown_key_message,
)
from hrnet_jax.errors import ConfigError

# As many numbers as a mask has values.
_LONGEST_RANGE = 2**16

_BOOLEANS = {"true": True, "false": False}


def parse(
    assignments: Iterable[str], what: str, kinds: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Reads `KEY=VALUE` strings.

    Args:
        assignments: for example `["image_size=64", "classes=0-3"]`.
        what: the user's word for one of them, for messages (`--option`).
        kinds: key -> `bool`, `int`, `float`, `str`, or `tuple[<one of these>, ...]`,
            which is written as `1,2,3`; among integers `0-3` means `0,1,2,3`; or one of
            these `| None`. A bare key means true where the type is `bool`. None takes
            any key, and reads values as JSON or Python literals, or else as text.

    Raises:
        ConfigError: naming what is not KEY=VALUE, unknown, or of another type.
    """
    values = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if kinds is not None and key not in kinds:
            raise ConfigError(
                f"unknown {what} {key!r}{nearest(key, kinds)} "
                f"(expected one of {', '.join(kinds) or 'none'})"
            )
        kind = Any if kinds is None else _without_none(kinds[key])
        if kind is bool and not equals:
            text = "true"
        elif not equals or not key:
            raise ConfigError(f"{what} {assignment}: expected KEY=VALUE")
        try:
            values[key] = _typed(text, kind)
        except (KeyError, ValueError) as error:
            name = kind.__name__ if isinstance(kind, type) else kind
            why = f" ({error})" if isinstance(error, _NoRange) else ""
            raise ConfigError(
                f"{what} {key}={shortened(text)}: expected a value of type {name}{why}"
            ) from None
    return values


def parse_options(text: str | None, **defaults: Any) -> types.SimpleNamespace:
    """Reads the options after the colon of `--config=file.py:variant=w48,debug`.

    Args:
        text: comma-separated `key=value` or bare `key` (true).
        **defaults: the options there are; values give the types.

    Raises:
        ConfigError: for an unknown option or a value of the wrong type.
    """
    kinds = {key: type(value) for key, value in defaults.items()}
    parts = filter(None, (text or "").split(","))
    chosen = parse(parts, "experiment option", kinds)
    return types.SimpleNamespace(**(defaults | chosen))


def with_overrides(config: Mapping[str, Any], assignments: Iterable[str]) -> dict:
    """Sets dotted keys of a JSON configuration, `eval.batch_size=1`.

    Args:
        config: has every key that may be set; left as it is.
        assignments: values are JSON or Python literals, or else text. Text stays
            text: `model.name=5` is no number. Other types are checked where the
            configuration is read.

    Raises:
        ConfigError: for an assignment without `=` or a key that is not there.
    """
    changed = copy.deepcopy(dict(config))
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        shown = shortened(assignment)
        if not equals:
            raise ConfigError(f"cannot set {shown}: expected KEY=VALUE")
        check_key(dotted, config, f"cannot set {shown}: ")
        *parents, key = dotted.split(".")
        section = changed
        for name in parents:
            section = section[name]
        section[key] = _like(section[key], text)
    return changed


def check_key(dotted: str, config: Mapping[str, Any], doing: str = "") -> None:
    """Checks that a configuration has a key.

    Args:
        dotted: the key, `eval.batch_size`.
        config: nested dicts or a ConfigDict.
        doing: begins the message.

    Raises:
        ConfigError: naming the key, the nearest ones, and those of its place.
    """
    section: Any = config
    for name in dotted.split("."):
        known = section if hasattr(section, "keys") else {}
        if name not in known:
            everywhere = dotted_keys(config)
            raise ConfigError(doing + unknown_key_message(dotted, known, everywhere))
        section = section[name]


def _like(present: Any, text: str) -> Any:
    """The value of a text that replaces a present one."""
    value = _literal(text)
    if isinstance(present, str) and not isinstance(value, str | None):
        return text
    return value


def _literal(text: str) -> Any:
    """A JSON value, a Python number, boolean, tuple or None, or else the text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return json.loads(json.dumps(read(text)))  # tuples become lists
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return text


def _typed(text: str, kind: Any) -> Any:
    """Reads a value of a known type.

    Raises:
        KeyError, ValueError: if it is none.
    """
    if kind is Any:
        return _literal(text)
    if kind is bool:
        return _BOOLEANS[text.lower()]
    if kind in (int, float, str):
        return kind(text)
    (item_kind, _) = typing.get_args(kind)
    items = [item.strip() for item in text.split(",") if item.strip()]
    if item_kind is int:
        return tuple(number for item in items for number in _range(item))
    return tuple(_typed(item, item_kind) for item in items)


def _without_none(kind: Any) -> Any:
    """`int` of `int | None`: what is not said is None."""
    if isinstance(kind, types.UnionType):
        (kind,) = set(typing.get_args(kind)) - {types.NoneType}
    return kind


class _NoRange(ValueError):
    """A range from a larger to a smaller number, or of very many."""


def _range(text: str) -> range:
    ends = re.fullmatch(r"(\d+)-(\d+)", text)
    first, last = map(int, ends.groups() if ends else (text, text))
    if not first <= last < first + _LONGEST_RANGE:
        raise _NoRange(f"{text} is no range of 1 to {_LONGEST_RANGE} numbers")
    return range(first, last + 1)
