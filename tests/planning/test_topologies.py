"""Names of slices and meshes, and the devices behind them."""

import importlib.util

import jax
import numpy as np
import pytest

from hrnet_jax.costs.slices import parse_slices
from hrnet_jax.errors import ConfigError
from hrnet_jax.planning import topologies
from hrnet_jax.planning.topologies import make_mesh, parse_mesh


def test_slices_are_read_in_order():
    slices = parse_slices("v5e:2x4, v4:2x2x2,v3:2x2")
    assert [entry.name for entry in slices] == ["v5e:2x4", "v4:2x2x2", "v3:2x2"]
    assert [entry.chips for entry in slices] == [8, 8, 4]
    assert [entry.devices for entry in slices] == [8, 8, 8]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "wrong topology ''; expected CHIP:SHAPE such as v5e:2x4"),
        ("v5e", "wrong topology 'v5e'; expected CHIP:SHAPE"),
        ("v5e:2x4,", "wrong topology ''"),
        ("v5litepod-8", "wrong topology 'v5litepod-8'"),
        ("h100:2x4", "unknown TPU 'h100'; expected one of v3, v4, v5e, v5p, v6e"),
        (
            "v5e:2x4x2",
            "a slice of v5e has 2 axes of at least one chip, such as v5e:2x2",
        ),
        ("v4:2x2", "a slice of v4 has 3 axes"),
        ("v5e:0x4", "wrong topology 'v5e:0x4'"),
        ("v5e:2x4,v5e:2x4", "--topology names v5e:2x4 twice"),
    ],
)
def test_wrong_slices_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_slices(text)


def test_a_mesh_names_one_or_both_axes():
    assert parse_mesh("data:8,space:2") == {"data": 8, "space": 2}
    assert parse_mesh("space:2") == {"space": 2}


@pytest.mark.parametrize(
    "text", ["8", "data", "rows:2", "data:2,data:4", "data:-1", "x"]
)
def test_wrong_meshes_are_refused(text):
    with pytest.raises(
        ConfigError, match="expected lengths of the axes data and space"
    ):
        parse_mesh(text)


def test_a_mesh_of_length_zero_is_refused():
    with pytest.raises(ConfigError, match="space must be positive"):
        parse_mesh("space:0")


def test_a_mesh_takes_all_devices_or_none():
    (chosen,) = parse_slices("v5e:2x4")
    devices = jax.devices()
    assert dict(make_mesh(chosen, devices).shape) == {"data": 8, "space": 1}
    assert dict(make_mesh(chosen, devices, space=2).shape) == {"data": 4, "space": 2}
    with pytest.raises(
        ConfigError, match="data:3,space:2 has 6 devices, v5e:2x4 has 8; give"
    ):
        make_mesh(chosen, devices, 3, 2)
    with pytest.raises(ConfigError, match="has 6 devices"):
        make_mesh(chosen, devices, -1, 3)


def test_without_libtpu_one_line_tells_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[tpu\]'$"):
        topologies.require_libtpu()


def test_what_libtpu_does_not_know_is_refused(monkeypatch):
    def refuse(name, platform, **options):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: not divisible\nmore")

    monkeypatch.setattr(topologies.topologies, "get_topology_desc", refuse)
    (chosen,) = parse_slices("v5e:3x5")
    with pytest.raises(
        ConfigError, match=r"'v5e:3x5': .* \(INVALID_ARGUMENT: not divisible\)$"
    ):
        topologies.describe(chosen)


def test_v4_is_described_with_both_cores_as_one_device(monkeypatch):
    asked = {}

    def describe(name, platform, **options):
        asked[name] = options
        return type("Found", (), {"devices": [name]})()

    monkeypatch.setattr(topologies.topologies, "get_topology_desc", describe)
    for chosen in parse_slices("v4:2x2x1,v5e:1x1,v5e:2x4"):
        assert topologies.describe(chosen) == [chosen.name]
    assert asked == {
        "v4:2x2x1": {"chip_config_name": "megacore"},
        "v5e:1x1": {"chips_per_host_bounds": [1, 1, 1]},
        "v5e:2x4": {},
    }


def test_the_grid_keeps_the_order_of_devices():
    (chosen,) = parse_slices("v5e:2x4")
    grid = make_mesh(chosen, jax.devices(), 4, 2).devices
    np.testing.assert_array_equal(grid.ravel(), np.asarray(jax.devices()))
