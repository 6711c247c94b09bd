"""The table of what norms keep for the backward pass."""

import pytest

from benchmarks import norm_memory

ARGUMENTS = ["--model=segmentation/w18_small_v1", "--size=1x64x96"]


@pytest.mark.slow
def test_frozen_norms_keep_what_batch_norms_keep_and_bfloat16_is_half(capsys):
    norm_memory.main(ARGUMENTS)
    header, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in capsys.readouterr().out.splitlines()
        if "GB" in line or "norm" in line
    )
    assert header == ["model.norm", "float32", "bfloat16"]
    assert [row[0] for row in rows] == ["batch", "frozen"]
    case = norm_memory.parse_case("segmentation/w18_small_v1:train:1x64x96")
    kept = {
        (mode, dtype): norm_memory.kept_bytes(case, mode, dtype)
        for mode in ("batch", "frozen")
        for dtype in ("float32", "bfloat16")
    }
    for dtype in ("float32", "bfloat16"):
        # Batch norms keep two more vectors, of statistics.
        assert kept["frozen", dtype] == pytest.approx(kept["batch", dtype], rel=0.02)
    # Apart from vectors, all is of the compute type.
    assert kept["frozen", "bfloat16"] < 0.55 * kept["frozen", "float32"]


@pytest.mark.slow
def test_detectors_count_with_what_their_losses_keep():
    pyramid, detector = (
        norm_memory.kept_bytes(
            norm_memory.parse_case(f"{model}w18_small_v1:train:1x64x96"),
            "frozen",
            "float32",
        )
        for model in ("pyramid/", "detection/faster_rcnn_")
    )
    # 512 regions of 7x7x256 numbers, for the gradient of the first hidden layer.
    assert detector > pyramid + 4 * 512 * 7 * 7 * 256


@pytest.mark.parametrize("wrong", ["--size=big", "--model=segmentation/w7"])
def test_wrong_input_is_one_line(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        norm_memory.main([*ARGUMENTS, wrong])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
