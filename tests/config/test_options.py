"""Configuration sections are read strictly."""

import dataclasses
from typing import Any

import pytest
from ml_collections import ConfigDict

from hrnet_jax.config.options import read_options
from hrnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Inner:
    size: tuple[int, int] = (2, 3)
    rate: float = 0.1


@dataclasses.dataclass(frozen=True)
class Outer:
    name: str = "plain"
    count: int = 1
    rate: float = 0.5
    on: bool = False
    factors: tuple[float, ...] = ()
    pairs: tuple[tuple[str, float], ...] = ()
    limit: int | None = 7
    extra: dict[str, int] = dataclasses.field(default_factory=dict)
    anything: Any = None
    inner: Inner = Inner()


def read(**section):
    return read_options(Outer, section, "task")


def test_an_empty_section_keeps_the_defaults():
    assert read() == Outer()


@pytest.mark.parametrize("wrap", [dict, ConfigDict])
def test_sections_are_read_into_nested_dataclasses(wrap):
    section = wrap({"name": "x", "count": 3, "inner": {"size": (4, 5), "rate": 0.25}})
    expected = Outer(name="x", count=3, inner=Inner((4, 5), 0.25))
    assert read_options(Outer, section) == expected


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"rate": 2}, Outer(rate=2.0)),
        ({"factors": [1, 2.5]}, Outer(factors=(1.0, 2.5))),
        ({"factors": ()}, Outer()),
        ({"pairs": [["^head/", 10]]}, Outer(pairs=(("^head/", 10.0),))),
        ({"limit": None}, Outer(limit=None)),
        ({"limit": 3}, Outer(limit=3)),
        ({"extra": {"a": 1}}, Outer(extra={"a": 1})),
        ({"on": True}, Outer(on=True)),
        ({"anything": [1, "x"]}, Outer(anything=[1, "x"])),
        ({"inner": {"size": [4, 5]}}, Outer(inner=Inner((4, 5)))),
    ],
)
def test_values_are_converted(section, expected):
    got = read(**section)
    assert got == expected
    assert type(got.rate) is float
    assert all(type(factor) is float for factor in got.factors)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": 3}, "'task.name' must be a value of type str, got 3"),
        ({"count": 2.0}, "'task.count' must be a value of type int, got 2.0"),
        ({"count": "2"}, "'task.count' must be a value of type int, got '2'"),
        ({"count": True}, "'task.count' must be a value of type int, got True"),
        ({"rate": True}, "'task.rate' must be a value of type float, got True"),
        ({"rate": "1e-3"}, "'task.rate' must be a value of type float, got '1e-3'"),
        ({"rate": None}, "'task.rate' must be a value of type float, got None"),
        ({"on": 1}, "'task.on' must be a value of type bool, got 1"),
        ({"on": "true"}, "'task.on' must be a value of type bool, got 'true'"),
        ({"limit": "3"}, "'task.limit' must be a value of type int, got '3'"),
        ({"limit": False}, "'task.limit' must be a value of type int, got False"),
        ({"factors": 3}, "'task.factors' must be a tuple or list, got 3"),
        ({"factors": "12"}, "'task.factors' must be a tuple or list, got '12'"),
        ({"factors": [1, "x"]}, "'task.factors' must be a value of type float"),
        ({"pairs": [["^head/"]]}, "'task.pairs' must be 2 values, got"),
        ({"extra": 3}, "'task.extra' must be .*, got 3"),
        ({"inner": 3}, "'task.inner' must be a section of keys, got 3"),
        ({"inner": {"size": 3}}, "'task.inner.size' must be a tuple or list, got 3"),
        ({"inner": {"size": (1, 2, 3)}}, "'task.inner.size' must be 2 values"),
        ({"inner": {"size": (1, 2.5)}}, "'task.inner.size' must be a value of type"),
        ({"inner": {"rate": "x"}}, "'task.inner.rate' must be"),
    ],
)
def test_a_value_of_another_type_is_an_error_that_names_key_and_value(section, message):
    with pytest.raises(ConfigError, match=message):
        read(**section)


def test_an_unknown_key_is_an_error_with_the_nearest_known_one():
    with pytest.raises(ConfigError) as caught:
        read(cuont=3)
    message = str(caught.value)
    assert "config key 'task.cuont' is not read by anything" in message
    assert "did you mean 'count'?" in message
    assert "known keys here: anything, count, extra, factors, inner" in message


def test_an_unknown_key_far_from_all_has_no_hint():
    with pytest.raises(ConfigError) as caught:
        read(zzzz=3)
    assert "did you mean" not in str(caught.value)


def test_unknown_keys_of_sections_inside_are_named_with_their_path():
    with pytest.raises(ConfigError, match="'task.inner.sise'.*did you mean 'size'"):
        read(inner={"sise": (1, 2)})
    with pytest.raises(ConfigError, match="config key 'cuont'"):
        read_options(Outer, {"cuont": 1})


@pytest.mark.parametrize("section", ["sgd", 3, None, [1]])
def test_a_section_that_is_no_section_is_an_error(section):
    with pytest.raises(ConfigError, match="'optimizer' must be a section of keys"):
        read_options(Outer, section, "optimizer")


def test_checks_of_the_dataclass_itself_run():
    @dataclasses.dataclass(frozen=True)
    class Checked:
        size: int = 1

        def __post_init__(self):
            if self.size < 1:
                raise ConfigError("config key 'size' must be positive")

    with pytest.raises(ConfigError, match="must be positive"):
        read_options(Checked, {"size": 0})
