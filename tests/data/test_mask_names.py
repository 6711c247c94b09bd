"""Names of own masks: suffixes, other formats, and what the refusals say of them."""

import logging

import pytest
from PIL import Image

from hrnet_jax.data.sources.segmentation_folder import FolderOptions, SegmentationFolder
from hrnet_jax.errors import DataError
from tests.data.mask_files import make_set

OPTION = "; give --option mask_suffix=_mask if the names of masks have _mask behind"


@pytest.fixture
def source(tmp_path):
    return make_set(tmp_path)


def rename_masks(source, suffix):
    for path in list((source / "masks").iterdir()):
        path.rename(path.with_name(path.stem + suffix))


def found(source, **options):
    """Mask names of all images."""
    splits = SegmentationFolder(source, FolderOptions(**options)).splits()
    return {p.image_id: p.label.name for pairs in splits.values() for p in pairs}


def test_a_suffix_is_taken_off(source, caplog):
    rename_masks(source, "_mask.png")
    (source / "masks" / "img0_color.png").write_bytes(b"another picture")
    with caplog.at_level(logging.INFO):
        names = found(source, mask_suffix="_mask")
    assert names == {f"img{n}": f"img{n}_mask.png" for n in range(10)}
    assert f"{source}/masks: left out 1 PNG without _mask" in caplog.text


@pytest.mark.parametrize("lists", [False, True])
def test_the_suffix_that_would_match_is_named(lists, source):
    rename_masks(source, "_mask.png")
    message = r"masks/img0_mask\.png has no image .*images/img0_mask \(.*\)"
    if lists:
        (source / "train.txt").write_text("img3")
        message = r"img3\.jpg has no mask: .*img3\.png not found \(1 of 1 in 'train'\)"
    with pytest.raises(DataError, match=f"{message}{OPTION}"):
        found(source)
    message = r"has no mask: .*img\d_msk\.png not found"
    with pytest.raises(DataError, match=f"{message}.*{OPTION}"):
        found(source, mask_suffix="_msk")


def test_a_suffix_that_would_not_match_everywhere_is_not_named(source):
    rename_masks(source, "_mask.png")
    path = source / "masks" / "img4_mask.png"
    path.rename(path.with_name("other_mask.png"))
    with pytest.raises(DataError) as caught:
        found(source)
    assert "mask_suffix" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".jpg", "_mask.JPEG"])
def test_jpeg_masks_are_pointed_out(suffix, source):
    rename_masks(source, suffix)
    with pytest.raises(DataError) as caught:
        found(source, ratios=(1.0,))
    assert str(caught.value) == (
        f"image {source}/images/img0.png has no mask: {source}/masks/img0.png not "
        f"found (10 of 10 in 'train'); found {source}/masks/img0{suffix}, but JPEG "
        "does not keep values exactly, least of all where classes meet: save the masks "
        "as PNG with the tool that made them"
    )


def test_masks_of_other_formats_are_pointed_out(source):
    path = source / "masks" / "img3.png"
    Image.open(path).save(path.with_suffix(".tif"))
    path.unlink()
    message = r"img3\.png not found .*; found .*img3\.tif, but masks have to be PNG$"
    with pytest.raises(DataError, match=message):
        found(source)


def test_a_suffix_in_capitals_is_a_png(source):
    rename_masks(source, ".PNG")
    assert found(source)["img0"] == "img0.PNG"
    Image.open(source / "masks" / "img0.PNG").save(source / "masks" / "img0.png")
    message = r"img0\.PNG and .*img0\.png are masks of one image img0$"
    with pytest.raises(DataError, match=message):
        found(source)
