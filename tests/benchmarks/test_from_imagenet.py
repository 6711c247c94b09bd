"""Steps of an experiment from ImageNet-shaped weights."""

import pytest

from benchmarks import from_imagenet
from hrnet_jax.models.variants import VARIANTS
from tests import tiny

CONFIG = "--config=experiments/segmentation/cityscapes.py:variant=w18_small_v1,ocr"


@pytest.mark.slow
def test_a_table_tells_seconds_and_memory(capsys, monkeypatch):
    monkeypatch.setitem(VARIANTS, "w18_small_v1", tiny.VARIANT)
    from_imagenet.main([CONFIG, "--steps=2", "--crop=32x64"])
    header, _, row = capsys.readouterr().out.strip().splitlines()
    assert "seconds a step" in header and "most GB" in header
    steps, seconds, memory, losses = (
        cell.strip() for cell in row.strip("|").split("|")
    )
    assert steps == "2" and float(seconds) > 0 and 0.1 < float(memory) < 50
    assert all(float(loss) > 0 for loss in losses.split(","))


@pytest.mark.parametrize("wrong", ["--config=nothing.py", "--crop=wide"])
def test_wrong_input_is_one_line(wrong, capsys, monkeypatch):
    monkeypatch.setattr(from_imagenet, "prepare", lambda *args, **options: None)
    monkeypatch.setitem(VARIANTS, "w18_small_v1", tiny.VARIANT)
    with pytest.raises(SystemExit) as caught:
        from_imagenet.main([CONFIG, wrong])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
