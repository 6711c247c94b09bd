"""Readers of foreign files: whatever the file holds, only errors of our own."""

from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import strategies

from hrnet_jax import errors


def _counts(many: int) -> list:
    """How many inputs a reader is given: a few in `make test`, then in the slow tier."""
    tenth = pytest.param(many // 10, marks=pytest.mark.slow)
    return [40, tenth, pytest.param(many, marks=pytest.mark.foreign)]


COUNTS = _counts(10_000)
# Of readers that share what they are made of with one that is given all of these.
FEWER = _counts(5_000)

MESSAGE_LINES = 60


def only_our_errors(
    read: Callable[[object], object],
    inputs: strategies.SearchStrategy,
    count: int,
    shrinks: bool = True,
) -> None:
    """Has `read` take `count` inputs; nothing but an `HRNetError` may come out.

    The inputs are the same in every run. An error without a message, or with more
    lines than a terminal shows, is none of ours either. Looking for a smaller input that
    fails too, unless `shrinks` is false, takes hundreds of calls.
    """
    phases = [hypothesis.Phase.generate, hypothesis.Phase.shrink]

    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=phases if shrinks else phases[:1],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(inputs)
    def every_input(one: object) -> None:
        try:
            read(one)
        except errors.HRNetError as error:
            message = str(error)
            assert message.strip(), "an error without a message"
            assert message.count("\n") < MESSAGE_LINES, message

    every_input()
