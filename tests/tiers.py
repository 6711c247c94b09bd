"""Which cases `make test` runs of those that only `make test-all` runs whole."""

from collections.abc import Iterable

import pytest


def fast_are(fast: Iterable, cases: Iterable) -> list:
    """Values of one parameter, marked `slow` except the fast ones.

    Raises:
        ValueError: if a fast one is not among them: renamed, it would guard nothing.
    """
    fast, cases = list(fast), list(cases)
    absent = [case for case in fast if case not in cases]
    if absent:
        raise ValueError(f"no such cases: {absent}")
    return [
        case if case in fast else pytest.param(case, marks=pytest.mark.slow)
        for case in cases
    ]
