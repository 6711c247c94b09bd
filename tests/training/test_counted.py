"""When a run counts the weights of its classes, and by which rules."""

import dataclasses

import numpy as np
import pytest

from hrnet_jax.data.class_weights import RULES
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.segmentation.losses import LossOptions
from hrnet_jax.training.counted import counted, with_class_weights
from tests import tiny

INFO = DatasetInfo(
    "made",
    4,
    tuple("abcd"),
    ((0, 0, 0),) * 4,
    counts={"train": 3},
    label_histogram={"train": [60, 30, 10, 0]},
    pixels_where_present={"train": [100, 100, 40, 0]},
)


def test_weights_by_hand():
    shares = np.array([0.6, 0.3, 0.1])
    expected = {
        "inverse": [*(1 / (3 * shares)), 0],
        # Of the images that show the class: 0.6, 0.3 and 0.25.
        "median": [0.3 / 0.6, 1, 0.3 / 0.25, 0],
        "enet": [*(1 / np.log(1.02 + shares)), 1 / np.log(1.02)],
    }
    assert expected.keys() == RULES.keys()
    for rule, weights in expected.items():
        np.testing.assert_allclose(counted(INFO, rule, "train"), weights, 1e-5)
        assert LossOptions(class_weights_from=rule).class_weights == ()


def test_what_cannot_be_counted_is_named():
    with pytest.raises(DataError, match="no counts of the pixels of 'test'"):
        counted(INFO, "enet", "test")
    blank = dataclasses.replace(INFO, label_histogram={"train": [0] * 4})
    with pytest.raises(
        DataError, match="'train' of data set 'made' has no labelled pix"
    ):
        counted(blank, "enet", "train")
    with pytest.raises(
        ConfigError, match="'loss.class_weights_from' is 'mean'; expect"
    ):
        LossOptions(class_weights_from="mean")


def test_a_run_counts_once_and_keeps_its_weights():
    config = read_config(tiny.config(loss__class_weights_from="median"))
    begun = with_class_weights(config)
    weights = begun.loss.class_weights
    assert len(weights) == 7 and 0 <= min(weights) < max(weights)
    # The same on the same data; but a run that was begun keeps what it has.
    assert with_class_weights(begun) == begun
    kept = to_json(begun) | {
        "loss": to_json(begun)["loss"] | {"class_weights": [2.0] * 7}
    }
    assert with_class_weights(config, kept).loss.class_weights == (2.0,) * 7
    # By another rule it is another run, which is refused later.
    other = read_config(tiny.config(loss__class_weights_from="enet"))
    assert with_class_weights(other, kept).loss.class_weights == weights_of("enet")
    plain = read_config(tiny.config())
    assert with_class_weights(plain) is plain


def weights_of(rule):
    config = read_config(tiny.config(loss__class_weights_from=rule))
    return with_class_weights(config).loss.class_weights


def test_given_weights_that_differ_from_counted_ones_are_refused():
    values = {"loss__class_weights_from": "enet", "loss__class_weights": (1.0,) * 7}
    message = r"'enet', which counts .* in split 'train' of shapes, .*\(1.0, 1.0, 1.0\)"
    with pytest.raises(ConfigError, match=message):
        with_class_weights(read_config(tiny.config(**values)))
