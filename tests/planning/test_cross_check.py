"""The model measured on this machine."""

import jax
import pytest

from hrnet_jax.costs import machine
from hrnet_jax.costs.roofline import Roofline
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.planning.cross_check import CrossCheck, cross_check
from hrnet_jax.planning.datasets import facts_of
from tests import tiny

MADE_UP = CrossCheck(
    device="cpu",
    precision="float32",
    roofline=Roofline(flops=100e9, bandwidth=10e9),
    operations=200e9,
    bytes_accessed=5e9,
    measured=2.5,
)


def test_the_longer_of_compute_and_memory_is_predicted():
    assert (MADE_UP.compute, MADE_UP.memory, MADE_UP.predicted) == (2.0, 0.5, 2.0)


def test_the_error_is_stated():
    lines = MADE_UP.text().splitlines()
    assert lines[-1] == "predicted / measured  0.800, error -20 %"
    assert "predicted   2000 ms (compute; compute 2000, memory 500)" in lines


@pytest.mark.slow
def test_a_real_step_is_measured(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    monkeypatch.setattr(machine, "_SIDE", {"cpu": 64})
    monkeypatch.setattr(machine, "_ELEMENTS", 1024)
    config = read_config(tiny.config())
    found = cross_check(config, facts_of(config))
    assert found.device == jax.devices()[0].device_kind
    assert min(found.roofline.flops, found.roofline.bandwidth, found.measured) > 0
    # Forward and backward of eight crops: 43 million operations of convolutions.
    assert found.operations > 8 * 0.0536e6 and found.bytes_accessed > 1e6
    assert found.predicted == pytest.approx(max(found.compute, found.memory))
