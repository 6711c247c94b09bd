"""Weights that fit exactly, or in part."""

import numpy as np
import pytest

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained.fit import Transfer, check_fit, listed, transfer

INITIAL = {
    "params/a/kernel": np.zeros((2, 3)),
    "params/a/bias": np.zeros(3),
    "params/b/kernel": np.zeros((3, 4)),
}


def test_what_fits_is_kept_and_everything_is_accounted_for():
    source = {
        "params/a/kernel": np.ones((2, 3)),
        "params/b/kernel": np.ones((3, 5)),
        "params/c/kernel": np.ones(1),
    }
    merged, moved = transfer(INITIAL, source, ["fc.weight"])
    assert moved.kept == ("params/a/kernel",)
    assert moved.new == ("params/a/bias", "params/b/kernel")
    assert moved.dropped == {
        "params/b/kernel": "expected (3, 4), got (3, 5)",
        "params/c/kernel": "the model has no such tensor",
        "fc.weight": "not a name of an HRNet",
    }
    assert merged["params/a/kernel"].all() and not merged["params/b/kernel"].any()
    assert str(moved) == (
        "1 of 3 tensors loaded, 2 left initial (a, b), 3 of the source dropped"
    )
    assert moved.report().splitlines() == [
        "kept     params/a/kernel",
        "new      params/a/bias",
        "new      params/b/kernel",
        "dropped  params/b/kernel: expected (3, 4), got (3, 5)",
        "dropped  params/c/kernel: the model has no such tensor",
        "dropped  fc.weight: not a name of an HRNet",
        str(moved),
    ]


def test_nothing_that_fits_is_an_error():
    with pytest.raises(WeightsError, match="no tensor fits.*the source has params/z"):
        transfer(INITIAL, {"params/z": np.ones(2)})


def test_a_whole_transfer_says_so():
    assert str(Transfer(("a", "b"))) == "2 of 2 tensors loaded"


def test_exactly_the_expected_arrays_fit():
    shapes = {name: value.shape for name, value in INITIAL.items()}
    check_fit(INITIAL, shapes)
    for name in INITIAL:
        left = {key: value for key, value in INITIAL.items() if key != name}
        with pytest.raises(WeightsError, match=f"1 missing: {name}$"):
            check_fit(left, shapes)
        wrong = INITIAL | {name: np.zeros(7)}
        with pytest.raises(WeightsError, match=rf"{name}: expected .*, got \(7,\)$"):
            check_fit(wrong, shapes)
    with pytest.raises(WeightsError, match="1 extra: params/c$"):
        check_fit(INITIAL | {"params/c": np.zeros(1)}, shapes)


def test_long_lists_are_cut():
    assert listed(f"n{index}" for index in range(10)) == (
        "n0, n1, n2, n3, n4, n5, n6, n7 and 2 more"
    )
