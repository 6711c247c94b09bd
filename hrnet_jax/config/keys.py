"""The keys that option classes make, with types and meanings.

Meanings are what the docstrings of the classes say under "Attributes:", and are
written nowhere else.
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a configuration.

    Attributes:
        dotted: as users write it, `schedule.learning_rate`.
        kind: its type in words, `float`, `text or None`.
        meaning: what the docstring of its class says, allowed values included.
    """

    dotted: str
    kind: str
    meaning: str


def keys_of(cls: type, sections: Mapping[str, type], path: str = "") -> Iterator[Key]:
    """The keys of an options dataclass and of all sections in it, in their order.

    Args:
        cls: the dataclass.
        sections: dotted key -> dataclass, for sections whose class the field does
            not tell.
        path: of the section that `cls` is, with a dot at its end.
    """
    said, hints = meanings(cls), typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        dotted, hint = path + field.name, hints[field.name]
        is_section = isinstance(hint, type) and dataclasses.is_dataclass(hint)
        section = hint if is_section else sections.get(dotted)
        if section is None:
            yield Key(dotted, kind_of(hint, field.default), said.get(field.name, ""))
        else:
            yield from keys_of(section, sections, f"{dotted}.")


def meanings(cls: type) -> dict[str, str]:
    """What the docstrings of a dataclass and of its bases say of its fields."""
    found = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]
        pairs = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
        found.update({name: " ".join(said.split()) for name, said in pairs})
    return found


def kind_of(hint: Any, default: Any = None) -> str:
    """A type in words.

    Args:
        hint: of a field.
        default: tells the type where the hint is `Any`.
    """
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if hint is Any:
        return kind_of(type(default))
    if origin in (typing.Union, types.UnionType):
        kinds = [kind_of(kind) for kind in arguments if kind is not type(None)]
        return " or ".join([*kinds, "None"])
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {kind_of(arguments[0])}"
    if origin is tuple:
        return f"({', '.join(map(kind_of, arguments))})"
    names = {str: "text", dict: "keys and values"}
    return names.get(hint, hint.__name__)
