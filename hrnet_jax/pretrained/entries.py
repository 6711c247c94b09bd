"""Finds the networks in a checkpoint: one, or weights beside their average."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained.names import SCHEMES

# Every HRNet has this tensor, whatever stands before its name.
SIGN = "stage2.0.branches.0.0.conv1.weight"
# What code bases themselves put before the names of the body, the longest first.
_OWN_PREFIXES = tuple(
    sorted({scheme.prefix for scheme in SCHEMES}, key=len, reverse=True)
)
# What PyTorch puts inside names: torch.compile, FSDP, activation checkpointing.
INNER_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_DEPTH = 3


@dataclasses.dataclass(frozen=True)
class WeightSet:
    """The weights of one network in a checkpoint.

    Attributes:
        name: keys that lead to it and the prefix of its names, joined by dots.
        keys: those keys.
        content: dictionary that holds its tensors.
        prefix: before the names of the code base; ends in a dot, or is empty.
        others: prefixes of further networks in the same dictionary.
    """

    name: str
    keys: tuple[str, ...]
    content: Mapping
    prefix: str
    others: tuple[str, ...] = ()

    def short(self, name: str) -> str | None:
        """A name without the prefix; None for one of another network.

        In a dictionary of one network, names without its prefix stay as they are.
        """
        longer = tuple(other for other in self.others if other.startswith(self.prefix))
        if name.startswith(self.prefix) and not name.startswith(longer):
            return name.removeprefix(self.prefix)
        return None if self.others else name


def find_sets(content: Mapping) -> list[WeightSet]:
    """All networks in what a file holds."""
    found = []
    for keys, mapping in _mappings(content, (), set()):
        prefixes = _prefixes(mapping)
        for prefix in prefixes:
            others = tuple(other for other in prefixes if other != prefix)
            name = ".".join([*keys, prefix]).strip(".")
            found.append(WeightSet(name, keys, mapping, prefix, others))
    return found


def choose(sets: Sequence[WeightSet], entry: str | None) -> WeightSet | None:
    """The network that a user names, or the only one; None where none was found.

    Args:
        sets: of a file.
        entry: its name, or the first parts of it.

    Raises:
        WeightsError: listing the names, if they leave a choice or `entry` is none.
    """
    names = ", ".join(repr(one.name) for one in sets)
    if entry is None:
        if len(sets) > 1:
            raise WeightsError(
                f"{len(sets)} networks are in it, {names}; choose one with --entry=NAME "
                "of scripts/convert.py, or entry=NAME in Python"
            )
        return next(iter(sets), None)
    fitting = [one for one in sets if one.name == entry]
    fitting = fitting or [one for one in sets if one.name.startswith(f"{entry}.")]
    if len(fitting) != 1:
        raise WeightsError(
            f"no entry {entry!r} of one network; expected one of {names or '(none)'}"
        )
    return fitting[0]


def plain(name: str) -> str:
    """A name without what PyTorch puts inside."""
    for wrapper in INNER_WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _mappings(
    content: Mapping, keys: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Mapping]]:
    """A dictionary and those in it, each once, with the keys that lead there."""
    seen.add(id(content))
    yield keys, content
    if len(keys) < _DEPTH:
        for key, value in content.items():
            is_new = isinstance(value, Mapping) and id(value) not in seen
            if is_new and isinstance(key, str):
                yield from _mappings(value, (*keys, key), seen)


def _prefixes(mapping: Mapping) -> list[str]:
    """What stands before the names of each network in a dictionary."""
    prefixes = []
    for key, value in mapping.items():
        name = plain(key) if isinstance(key, str) else ""
        prefix = name.removesuffix(SIGN)
        if name == prefix or not hasattr(value, "shape"):
            continue
        if prefix in ("", *_OWN_PREFIXES):
            prefixes.append("")
        elif prefix.endswith("."):
            own = next(own for own in _OWN_PREFIXES if f".{prefix}".endswith(f".{own}"))
            prefixes.append(prefix.removesuffix(own))
    return list(dict.fromkeys(prefixes))
