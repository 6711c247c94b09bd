"""Ratios of the test protocol: what is computed, not what this machine makes of it."""

import numpy as np
import pytest

from benchmarks import segmentation_protocol
from hrnet_jax.imaging.canvases import few_shapes
from hrnet_jax.models.variants import VARIANTS
from tests import tiny


@pytest.mark.slow
def test_both_ratios_are_printed(capsys, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    small = ["--model=tiny", "--size=64x96", "--shrink=8", "--classes=3"]
    segmentation_protocol.main([*small, "--repeats=1"])
    header, scales, sizes = capsys.readouterr().out.splitlines()
    assert header.split() == ["ratio", "should", "be"]
    assert scales.startswith("6 scales and flip") and scales.endswith("<= 1.15")
    assert " 4 programs" in sizes and sizes.endswith(">= 0.9")


def test_twenty_sizes_are_padded_little():
    sizes = np.array(segmentation_protocol.SIZES)
    assert len(np.unique(sizes, axis=0)) == 20
    groups, shapes = few_shapes(sizes[:, None], 4)
    used = sizes.prod(-1).sum() / shapes[groups, 0].prod(-1).sum()
    assert used > segmentation_protocol.LEAST_RATE


@pytest.mark.parametrize("wrong", ["--size=big", "--repeats=0", "--model=w7"])
def test_wrong_input_is_one_line(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        segmentation_protocol.main([wrong])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
