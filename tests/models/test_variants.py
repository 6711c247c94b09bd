"""The table of variants, against the official experiment files."""

import pytest

from hrnet_jax.errors import ConfigError, HRNetError
from hrnet_jax.models.variants import VARIANTS, get_variant

# Channels of the four branches, from the yaml files of the official code.
BRANCH_WIDTHS = {
    "w18_small_v1": (16, 32, 64, 128),
    "w18_small_v2": (18, 36, 72, 144),
    "w18": (18, 36, 72, 144),
    "w30": (30, 60, 120, 240),
    "w32": (32, 64, 128, 256),
    "w40": (40, 80, 160, 320),
    "w44": (44, 88, 176, 352),
    "w48": (48, 96, 192, 384),
    "w64": (64, 128, 256, 512),
}
# Other than the default: bottlenecks, their width, modules per stage, blocks.
SMALL = {
    "w18_small_v1": (1, 32, (1, 1, 1), 2),
    "w18_small_v2": (2, 64, (1, 3, 2), 2),
}


def test_all_nine_published_variants_exist():
    assert set(VARIANTS) == set(BRANCH_WIDTHS)


@pytest.mark.parametrize("name", BRANCH_WIDTHS)
def test_sizes_are_those_of_the_official_experiment_files(name):
    variant = get_variant(name)
    assert variant.branch_widths() == BRANCH_WIDTHS[name]
    assert variant.branch_widths(2) == BRANCH_WIDTHS[name][:2]
    sizes = (
        variant.stage1_blocks,
        variant.stage1_width,
        variant.modules,
        variant.blocks,
    )
    assert sizes == SMALL.get(name, (4, 64, (1, 4, 3), 4))


def test_an_unknown_variant_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'w17'.*w18_small_v1, .*w64") as caught:
        get_variant("w17")
    assert isinstance(caught.value, HRNetError)
