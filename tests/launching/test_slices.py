"""Names of slices in Google Cloud."""

import pytest

from hrnet_jax.costs.chips import CHIPS
from hrnet_jax.costs.slices import parse_slice
from hrnet_jax.errors import ConfigError
from hrnet_jax.launching.slices import find_slice, rented_slices

# Slice, accelerator type, machine type, hosts, chips of each: the tables of
# cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e} and of GKE's "Plan TPUs".
PUBLISHED = [
    ("v4:2x2x1", "v4-8", "ct4p-hightpu-4t", 1, 4),
    ("v4:2x2x4", "v4-32", "ct4p-hightpu-4t", 4, 4),
    ("v4:4x4x4", "v4-128", "ct4p-hightpu-4t", 16, 4),
    ("v5e:1x1", "v5litepod-1", "ct5lp-hightpu-1t", 1, 1),
    ("v5e:2x2", "v5litepod-4", "ct5lp-hightpu-4t", 1, 4),
    ("v5e:2x4", "v5litepod-8", "ct5lp-hightpu-8t", 1, 8),
    ("v5e:4x4", "v5litepod-16", "ct5lp-hightpu-4t", 4, 4),
    ("v5e:16x16", "v5litepod-256", "ct5lp-hightpu-4t", 64, 4),
    ("v5p:2x2x1", "v5p-8", "ct5p-hightpu-4t", 1, 4),
    ("v5p:2x4x4", "v5p-64", "ct5p-hightpu-4t", 8, 4),
    ("v6e:1x1", "v6e-1", "ct6e-standard-1t", 1, 1),
    ("v6e:2x4", "v6e-8", "ct6e-standard-8t", 1, 8),
    ("v6e:4x4", "v6e-16", "ct6e-standard-4t", 4, 4),
]


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row[0])
def test_a_slice_has_the_names_of_the_tables(row):
    name, accelerator, machine, hosts, chips = row
    for text in (name, accelerator):
        found = find_slice(text)
        assert found.name == name
        assert found.accelerator_type == accelerator
        assert found.machine_type == machine
        assert (found.hosts, found.chips_per_host) == (hosts, chips)


def test_all_slices_have_names_of_their_own():
    rented = rented_slices()
    assert len({entry.accelerator_type for entry in rented}) == len(rented) == 36
    for entry in rented:
        assert entry.hosts * entry.chips_per_host == entry.slice.chips
        assert entry.slice == parse_slice(entry.name)


def test_a_slice_is_described_with_its_price():
    assert find_slice("v5e:4x4").describe() == (
        "v5e:4x4 (v5litepod-16, ct5lp-hightpu-4t): 16 chips on 4 hosts, $19.20 an hour "
        "at the list price"
    )
    assert "4 chips on 1 host, $16.80" in find_slice("v5p:2x2x1").describe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v5e:3x4", "Google Cloud rents no such slice; nearest to it are v5e:4x4, "),
        ("v5e:4x2", "rents no such slice; nearest to it are v5e:2x4, "),
        ("v4:2x2x3", "rents no such slice; nearest to it are v4:2x2x4, v4:2x2x2, "),
        ("v3:2x2", "no launcher for v3; expected one of v4, v5e, v5p, v6e"),
        ("v7:2x2", f"unknown TPU 'v7'; expected one of {', '.join(CHIPS)}"),
        ("v5e-16", "wrong topology 'v5e-16'; expected CHIP:SHAPE such as v5e:2x4"),
        ("v5e:2x2x1", "a slice of v5e has 2 axes"),
    ],
)
def test_other_slices_are_refused_with_the_nearest(text, message):
    with pytest.raises(ConfigError) as caught:
        find_slice(text)
    assert message in str(caught.value)
