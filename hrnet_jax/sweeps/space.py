"""What a sweep varies: `get_sweep` or `SWEEP` of a Python file."""

import dataclasses
import inspect
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
import optuna

from hrnet_jax.config.options import nearest, shortened
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import update
from hrnet_jax.experiment.loading import execute, saying_where

# Points of a space that are tried before anything is trained: enough to meet the
# keys of all branches of a space that asks for some of them only now and then.
_PROBES = 16


@dataclasses.dataclass(frozen=True)
class Space:
    """Values for keys of a configuration, for each trial.

    Attributes:
        path: file that it is from.
        suggest: `get_sweep(trial)` of the file, or None.
        entries: the list in the file, where it writes all trials out.
    """

    path: pathlib.Path
    suggest: Callable[[optuna.Trial], Any] | None = None
    entries: tuple[dict[str, Any], ...] = ()

    def values(self, trial: optuna.Trial) -> dict[str, Any]:
        """Dotted key -> value for a trial, which notes what was suggested.

        Raises:
            ConfigError: if the file fails, or gives something else.
        """
        if self.suggest is None:
            entry = self.entries[trial.number]
            for key in entry:
                trial.suggest_categorical(key, self._choices(key))
            return entry
        with saying_where(self.path):
            values = self.suggest(trial)
        _check_entry(values, f"{self.path}: get_sweep(trial)")
        return dict(values)

    def fixed(self, number: int) -> dict[str, Any]:
        """What Optuna is to note for a trial of a space that is a list."""
        return {key: _choice(value) for key, value in self.entries[number].items()}

    def _choices(self, key: str) -> list[Any]:
        """The values that a key has anywhere in the list, each once, in order."""
        choices: list[Any] = []
        for entry in self.entries:
            if key in entry and _choice(entry[key]) not in choices:
                choices.append(_choice(entry[key]))
        return choices


def read_space(path: str | pathlib.Path) -> Space:
    """The space of an experiment file, or of a file of its own.

    Raises:
        ConfigError: if it cannot be read, or defines no space, or one of another form.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        others = [other.name for other in path.parent.glob(f"*{path.suffix}")]
        meant = nearest(path.name, others)
        expected = "; expected a Python file with get_sweep(trial) or SWEEP"
        raise ConfigError(f"{path}: no such file{meant or expected}")
    if path.suffix == ".json":
        raise ConfigError(
            f"{path} says nothing of a sweep; name a file that does with --space=FILE.py"
        )
    module = execute(path)
    function, entries = (getattr(module, name, None) for name in ("get_sweep", "SWEEP"))
    if (function is None) == (entries is None):
        found = "neither get_sweep(trial) nor" if function is None else "get_sweep and"
        raise ConfigError(
            f"{path} has {found} SWEEP; expected one of them, there or in a file that "
            "is named with --space=FILE.py"
        )
    name = "SWEEP"
    if function is not None:
        name = "get_sweep()"
        if _takes_trial(function, path):
            return Space(path, suggest=function)
        with saying_where(path):
            entries = function()
    return Space(path, entries=_checked_entries(entries, f"{path}: {name}"))


def with_values(
    config: ml_collections.ConfigDict, values: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """A copy of a configuration with other values for dotted keys.

    Raises:
        ConfigError: for a key that is not there, or a value of another type.
    """
    changed = config.copy_and_resolve_references()
    for dotted, value in values.items():
        nested: Any = value
        for name in reversed(dotted.split(".")):
            nested = {name: nested}
        update(changed, nested)
    return changed


@dataclasses.dataclass(frozen=True)
class Probed:
    """What a space was found to hold.

    Attributes:
        keys: dotted keys that it sets, sorted.
        distributions: name of what it asks Optuna for -> distribution; empty for a list.
        varies: whether it asks for other names depending on what it was given.
    """

    keys: tuple[str, ...]
    distributions: dict[str, optuna.distributions.BaseDistribution]
    varies: bool = False


def probe(space: Space, config: ml_collections.ConfigDict) -> Probed:
    """Tries points of a space, with which nothing is trained.

    Raises:
        ConfigError: for a key that nobody reads, and for a value of a wrong type.
    """
    if space.suggest is None:
        tried = list(space.entries)
        named: list[dict[str, Any]] = []
    else:
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(sampler=sampler)
        trials = [study.ask() for _ in range(_PROBES)]
        tried = [space.values(trial) for trial in trials]
        named = [trial.distributions for trial in trials]
    for values in tried:
        try:
            with_values(config, values)
        except ConfigError as error:
            raise ConfigError(f"{space.path}: {error}") from None
    distributions = {name: found[name] for found in named for name in found}
    return Probed(
        tuple(sorted({key for values in tried for key in values})),
        distributions,
        varies=any(found.keys() != distributions.keys() for found in named),
    )


def grid_of(space: Space, probed: Probed) -> dict[str, list[Any]]:
    """Every value of every name that a space asks for.

    Raises:
        ConfigError: for a range without steps, and a space that asks for some names
            only now and then.
    """
    if probed.varies:
        raise ConfigError(
            f"{space.path}: get_sweep asks for other names from trial to trial, of which "
            "there is no grid; expected --sampler=random or tpe, or a list SWEEP"
        )
    return {
        name: _points(distribution, name, space.path)
        for name, distribution in probed.distributions.items()
    }


def _points(
    distribution: optuna.distributions.BaseDistribution, name: str, path: pathlib.Path
) -> list[Any]:
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, optuna.distributions.IntDistribution):
        return [*range(distribution.low, distribution.high + 1, distribution.step)]
    if isinstance(distribution, optuna.distributions.FloatDistribution):
        step = distribution.step
        if step is not None:
            count = round((distribution.high - distribution.low) / step) + 1
            return [distribution.low + step * number for number in range(count)]
    raise ConfigError(
        f"{path}: {name!r} is a range without steps, of which there is no grid; "
        "expected suggest_categorical, suggest_int or step=, or --sampler=random or tpe"
    )


def _takes_trial(function: Any, path: pathlib.Path) -> bool:
    count = len(inspect.signature(function).parameters) if callable(function) else -1
    if count not in (0, 1):
        raise ConfigError(
            f"{path}: get_sweep must be a function of a trial, or of nothing that "
            "returns a list"
        )
    return count == 1


def _checked_entries(entries: Any, what: str) -> tuple[dict[str, Any], ...]:
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise ConfigError(
            f"{what} must be a list of {{dotted key: value}}, got {shortened(entries)}"
        )
    for number, entry in enumerate(entries):
        _check_entry(entry, f"{what}, entry {number}")
    return tuple(dict(entry) for entry in entries)


def _check_entry(values: Any, what: str) -> None:
    """Checks for text as keys, and for values that a study can keep."""
    if not isinstance(values, Mapping) or not all(
        isinstance(key, str) for key in values
    ):
        raise ConfigError(
            f"{what} must be {{dotted key: value}}, got {shortened(values)}"
        )
    for key, value in values.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ConfigError(
                f"{what}: {key!r} is {shortened(value)}; expected a number, text, a "
                "boolean, None, or a list of these"
            ) from None


def _choice(value: Any) -> Any:
    """A value as Optuna can keep it: lists and sections as their JSON."""
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return value if is_plain else json.dumps(value)
