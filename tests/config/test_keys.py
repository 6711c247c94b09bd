"""Keys with types and meanings, from the classes that declare them."""

import dataclasses
from typing import Any

import pytest

from hrnet_jax.config.keys import Key, keys_of, kind_of, meanings
from hrnet_jax.config.options import nearest_keys
from hrnet_jax.experiment.schema import TrainConfig


@dataclasses.dataclass
class Base:
    """Options.

    Attributes:
        first: one
            line more.
    """

    first: int = 0


@dataclasses.dataclass
class Options(Base):
    """Further options.

    Attributes:
        second: two.
    """

    second: Any = "x"
    third: Any = None


def test_meanings_are_read_over_several_lines_and_classes():
    said = meanings(TrainConfig)
    assert said["seed"] == "of initial weights, order, augmentation and dropout."
    assert meanings(Options) == {"first": "one line more.", "second": "two."}


def test_sections_are_those_of_their_classes():
    assert list(keys_of(Options, {"third": Base})) == [
        Key("first", "int", "one line more."),
        Key("second", "text", "two."),
        Key("third.first", "int", "one line more."),
    ]


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "bool"),
        (str | None, "text or None"),
        (tuple[float, ...], "list of float"),
        (tuple[int, int], "(int, int)"),
        (tuple[tuple[str, float], ...], "list of (text, float)"),
        (dict, "keys and values"),
    ],
)
def test_types_in_words(hint, words):
    assert kind_of(hint) == words


EVERYWHERE = [
    "eval",
    "eval.batch_size",
    "eval.name",
    "batch_size",
    "model",
    "model.name",
] + ["schedule.learning_rate", "schedule.name", "loss.name"]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("learning_rate", ["schedule.learning_rate"]),
        ("learningrate", ["schedule.learning_rate"]),
        ("batchsize", ["batch_size"]),
        ("eval.batchsize", ["eval.batch_size"]),
        ("evel.batch_size", ["eval.batch_size", "batch_size"]),
        ("evel", ["eval"]),
        ("modle.name", ["model.name", "schedule.name", "eval.name"]),
        ("zzz", []),
    ],
)
def test_the_nearest_keys_may_be_anywhere(wrong, meant):
    assert nearest_keys(wrong, EVERYWHERE) == meant
