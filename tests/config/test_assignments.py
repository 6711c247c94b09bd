"""`KEY=VALUE`: every value has the type it is asked for, every mistake is named."""

import argparse
import sys

import pytest

from hrnet_jax.config import command_line
from hrnet_jax.config.assignments import parse, parse_options, with_overrides
from hrnet_jax.errors import ConfigError

KINDS = {
    "size": int,
    "ratio": float,
    "name": str,
    "fast": bool,
    "labels": tuple[int, ...],
    "ratios": tuple[float, ...],
    "names": tuple[str, ...],
    "level": int | None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("size=-3", -3),
        ("ratio=1e-3", 0.001),
        ("name=a=b", "a=b"),
        ("name=5", "5"),
        ("name=", ""),
        ("fast", True),
        ("level=4", 4),
        ("fast=False", False),
        ("labels=0-3, 7,-1", (0, 1, 2, 3, 7, -1)),
        ("ratios=.5,.25", (0.5, 0.25)),
        ("names=sky, tall tree", ("sky", "tall tree")),
    ],
)
def test_values_of_known_options_have_their_types(text, value):
    key = text.partition("=")[0]
    found = parse([text], "--option", KINDS)
    assert found == {key: value} and type(found[key]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=2", 2),
        ("x=true", True),
        ("x=True", True),
        ("x=null", None),
        ("x=None", None),
        ("x=[1, 2]", [1, 2]),
        ("x=(1, 2)", [1, 2]),
        ('x={"a": 1}', {"a": 1}),
        ("x=nearest", "nearest"),
        ("x=a b(", "a b("),
        ("x={1, 2}", "{1, 2}"),
    ],
)
def test_values_without_a_type_are_literals_or_text(text, value):
    assert parse([text], "--set") == {"x": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size", "--option size: expected KEY=VALUE"),
        ("sise=3", "unknown --option 'sise'; did you mean 'size'. .expected one of si"),
        ("size=big", "--option size='big': expected a value of type int"),
        ("size=1.5", "--option size='1.5': expected a value of type int"),
        ("fast=maybe", "--option fast='maybe': expected a value of type bool"),
        ("labels=3-x", "--option labels='3-x': expected a value of type tuple.int"),
        ("labels=0-99999999999999", r"0-99999999999999 is no range of 1 to 65536"),
        ("labels=7-3", "7-3 is no range of 1 to 65536 numbers"),
    ],
)
def test_mistakes_name_option_and_value(text, message):
    with pytest.raises(ConfigError, match=message):
        parse([text], "--option", KINDS)


def test_an_assignment_needs_a_key():
    with pytest.raises(ConfigError, match="model option =3: expected KEY=VALUE"):
        parse(["=3"], "model option")


def test_options_after_the_colon():
    defaults = {"variant": "w18", "debug": False, "steps": 4}
    choice = parse_options("variant=w48,debug,steps=9", **defaults)
    assert vars(choice) == {"variant": "w48", "debug": True, "steps": 9}
    assert vars(parse_options("debug=false", **defaults)) == defaults
    assert vars(parse_options("", **defaults)) == defaults
    assert vars(parse_options(None, **defaults)) == defaults


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "unknown experiment option 'fast' .expected one of variant, debug"),
        ("debgu", "option 'debgu'; did you mean 'debug'. .expected one of variant"),
        ("debug=maybe", "option debug='maybe': expected a value of type bool"),
        ("steps=few", "option steps='few': expected a value of type int"),
        ("steps", "option steps: expected KEY=VALUE"),
    ],
)
def test_wrong_options_after_the_colon(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_options(text, variant="w18", debug=False, steps=4)


CONFIG = {
    "batch_size": 8,
    "model": {"name": "segmentation/w48", "upsample": None, "lanes": None},
    "eval": {"batch_size": 4, "inference": {"flip": False, "scales": [1.0]}},
}


def test_overrides_set_values_of_any_type():
    changed = with_overrides(
        CONFIG,
        ["eval.batch_size=1", "model.name=5", "model.upsample=nearest"]
        + ["model.lanes=64", "eval.inference.scales=(0.5, 1)"]
        + ["eval.inference.flip=True", "batch_size=-1"],
    )
    assert changed == {
        "batch_size": -1,
        "model": {"name": "5", "upsample": "nearest", "lanes": 64},
        "eval": {"batch_size": 1, "inference": {"flip": True, "scales": [0.5, 1]}},
    }
    assert CONFIG["model"]["lanes"] is None and CONFIG["eval"]["batch_size"] == 4


def test_the_last_override_wins_and_null_takes_a_value_back():
    changes = ["model.upsample=nearest", "model.lanes=64"]
    changes += ["model.upsample=null", "model.lanes=32"]
    model = with_overrides(CONFIG, changes)["model"]
    assert model["upsample"] is None and model["lanes"] == 32


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("batch_size", "expected KEY=VALUE"),
        ("=1", "config key '' is not read"),
        ("batchsize=1", "config key 'batchsize' .*; did you mean 'batch_size'"),
        ("eval.flip=1", "'eval.flip' .*; did you mean 'eval.inference.flip'. .known"),
        ("lanes=1", "key 'lanes' .*; did you mean 'model.lanes'. .known keys here: ba"),
        (
            "evel.batch_size=1",
            "key 'evel.batch_size' .* mean 'eval.batch_size' or 'batch_size'. .kn",
        ),
        (
            "eval.inference.flop=1",
            "key 'eval.inference.flop' .*; did you mean 'eval.inference.flip'",
        ),
        ("batch_size.x=1", "config key 'batch_size.x' .* .known keys here: none"),
    ],
)
def test_overrides_refuse_what_is_not_there(assignment, message):
    with pytest.raises(ConfigError, match=f"cannot set '{assignment}': .*{message}"):
        with_overrides(CONFIG, [assignment])


def test_both_spellings_of_changes_are_one_list(monkeypatch):
    line = ["evaluate.py", "--set", "a=1", "--config.b.c=x=y", "--set=d=2", "--step=3"]
    monkeypatch.setattr(sys, "argv", line)
    parser = argparse.ArgumentParser()
    parser.add_argument("--step")
    arguments = command_line.parse_with_changes(parser)
    assert arguments.changes == ["a=1", "b.c=x=y", "d=2"] and arguments.step == "3"
    assert "--config.KEY=VALUE" in parser.format_help()
