"""Image, mask, list and class files of a folder, whatever is wrong with them."""

import functools
import io
import pathlib
import warnings

import numpy as np
import pytest
from hypothesis import strategies
from PIL import Image

from hrnet_jax.config import assignments
from hrnet_jax.data.files.image_files import read_image
from hrnet_jax.data.files.label_files import (
    is_coloured,
    label_table,
    labelled_example,
    read_label,
)
from hrnet_jax.data.registry import option_kinds
from hrnet_jax.data.sources.class_list import read_classes
from hrnet_jax.data.sources.mask_values import mask_values
from hrnet_jax.data.sources.segmentation_folder import FolderOptions, SegmentationFolder
from hrnet_jax.errors import DataError
from tests.damaging import damaged_bytes
from tests.foreign import COUNTS, FEWER, only_our_errors

MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"]
MODES += ["HSV", "I", "F", "I;16", "I;16B"]
FORMATS = ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "TGA", "ICO"]
SIZES = [(7, 5), (1, 1), (64, 3)]


def encoded(mode: str, file_format: str, size: tuple[int, int], **options) -> bytes:
    """An image file; empty where the format does not have the mode."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (size[1], size[0], 3)).astype(np.uint8)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if mode.startswith("I;16"):
                grey = values[..., 0].astype(">u2" if mode.endswith("B") else "<u2")
                image = Image.frombytes(mode, size, grey.tobytes())
            else:
                image = Image.fromarray(values).convert(mode)
            image.save(file, file_format, **options)
        except (OSError, ValueError, KeyError):
            return b""
    return file.getvalue()


@functools.cache
def image_files() -> list[bytes]:
    """Every mode in every format, animated, turned, with profiles and palettes."""
    files = [encoded(m, f, size) for m in MODES for f in FORMATS for size in SIZES]
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime", "blue")]
    for file_format in ("PNG", "GIF", "WEBP", "TIFF"):
        file = io.BytesIO()
        frames[0].save(file, file_format, save_all=True, append_images=frames[1:])
        files.append(file.getvalue())
    for turn in range(10):
        exif = Image.Exif()
        exif[0x0112] = turn
        files += [encoded("RGB", f, (7, 5), exif=exif) for f in ("JPEG", "PNG", "WEBP")]
    files += [encoded("L", "PNG", (9, 9), bits=bits) for bits in (1, 2, 4)]
    files += [encoded("P", "PNG", (9, 9), bits=bits) for bits in (1, 2, 4)]
    files += [encoded(m, "PNG", (5, 5), transparency=0) for m in ("L", "P", "RGB", "1")]
    files += [encoded("RGB", "PNG", (5, 5), icc_profile=b"x" * 40, dpi=(3, 3))]
    files += [encoded("RGB", "JPEG", (40, 30), progressive=True, comment=b"words")]
    files += [
        encoded("RGB", "TIFF", (9, 9), compression=c) for c in ("tiff_lzw", "jpeg")
    ]
    return [file for file in files if file]


def damaged_images() -> strategies.SearchStrategy:
    whole = strategies.sampled_from(image_files())
    ends = strategies.sampled_from([b"", b"\0", b"words " * 9, *image_files()[:3]])
    return strategies.one_of(
        whole,
        whole.flatmap(damaged_bytes),
        whole.flatmap(damaged_bytes),
        strategies.tuples(whole, ends).map(b"".join),
    )


def as_mask(path: pathlib.Path) -> None:
    """As the mask of an image, by values and by colours."""
    values = label_table(range(4), 255)
    labelled_example(path, path, "a", values, "0..3", {(0, 1, 2): 0})


@pytest.mark.parametrize("count", COUNTS, ids=str)
def test_an_image_of_any_kind_is_read_or_named(count, tmp_path):
    """The readers of photographs, of records and of masks."""
    path = tmp_path / "a.png"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        is_coloured(path)
        for reader in (read_image, read_label, as_mask):
            try:
                reader(path)
            except DataError as error:
                assert str(path) in str(error) and "\n" not in str(error)

    only_our_errors(read, damaged_images(), count)


CLASSES = "0 sky #87ceeb\n1: road #404040\n\n2 left arm #ff0000\n"
TEXTS = [
    "",
    "\ufeff",
    "\r\n",
    "#",
    "#12",
    "#12345g",
    "sky",
    "\u00e9",
    "\0",
    "\t",
    " ",
    ":",
]


@strategies.composite
def text_files(draw, text: str) -> bytes:
    if draw(strategies.booleans()):
        return draw(damaged_bytes(text.encode()))
    lines = text.splitlines(keepends=True)
    for _ in range(draw(strategies.integers(1, 3))):
        at = draw(strategies.integers(0, len(lines) - 1))
        kind = draw(strategies.integers(0, 3))
        if kind == 0:
            lines[at] = lines[at].strip() + draw(strategies.sampled_from(TEXTS)) + "\n"
        elif kind == 1:
            lines[at] = draw(strategies.sampled_from(TEXTS)) + lines[at]
        elif kind == 2:
            lines.insert(at, lines[draw(strategies.integers(0, len(lines) - 1))])
        elif len(lines) > 1:
            del lines[at]
    encoding = draw(strategies.sampled_from(["utf-8", "utf-8", "utf-16", "latin-1"]))
    return "".join(lines).encode(encoding, "replace")


@pytest.mark.parametrize("count", FEWER, ids=str)
def test_a_list_of_classes_is_read_or_named(count, tmp_path):
    path = tmp_path / "classes.txt"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_classes((), path).labels_of_colours(["#000000"])

    only_our_errors(read, text_files(CLASSES), count)


ENTRIES = ["0:0", "255:1", "7:ignore", "1:1", " 3 : 2 ", "70000:1", "0:9", "a:b", ""]
ENTRIES += ["1:", ":1", "-1:0", "1:2:3", "\u0663:1", "9" * 30 + ":0", "1:ignore ", "0"]


@pytest.mark.parametrize("count", COUNTS, ids=str)
def test_options_of_values_are_taken_or_named(count):
    """`--option label_map=... --option ignore_label=...` as they are typed."""
    entries = strategies.one_of(
        strategies.sampled_from(ENTRIES), strategies.text("0123:-,ie\u0663", max_size=6)
    )
    maps = strategies.lists(entries, max_size=4).map(",".join)
    numbers = strategies.sampled_from(
        ["", "0,1,2", "0-2", "2-0", "0-99999999999999", "-1", "1,1", "a", "0--1", "7"]
    )

    def read(one: tuple[str, str, str]) -> None:
        typed = zip(("label_map", "label_values", "ignore_label"), one, strict=True)
        given = [f"{key}={value}" for key, value in typed if value]
        options = assignments.parse(given, "--option", KINDS)
        mask_values(
            ("sky", "road", "tree"),
            options.get("label_values", ()),
            options.get("label_map", ()),
            options.get("ignore_label"),
        ).table()

    only_our_errors(read, strategies.tuples(maps, numbers, numbers), count)


KINDS = option_kinds("segmentation_folder")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Four images with their masks, and lists of them."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for name in "abcd":
        (folder / "images" / f"{name}.png").write_bytes(encoded("RGB", "PNG", (7, 5)))
        (folder / "masks" / f"{name}.png").write_bytes(encoded("L", "PNG", (7, 5)))
    (folder / "val.txt").write_text("d\n")
    return folder


@pytest.mark.parametrize("count", FEWER, ids=str)
def test_a_list_of_images_is_read_or_named(count, folder):
    options = FolderOptions(classes=("sky", "road", "tree"), ignore_label=255)

    def read(content: bytes) -> None:
        (folder / "train.txt").write_bytes(content)
        SegmentationFolder(folder, options).splits()

    only_our_errors(read, text_files("a\nb.png\nimages/c.png\n"), count)


def test_one_line_is_said_of_a_damaged_image(tmp_path, capfd):
    """OpenCV and Pillow have more to say, on standard error."""
    path = tmp_path / "a.gif"
    path.write_bytes(encoded("P", "GIF", (7, 5))[:10] + b"\xff" * 40)
    with pytest.raises(DataError, match=r"a\.gif"):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_a_large_photograph_is_no_attack(tmp_path, monkeypatch):
    """Pillow warns of what a camera of 100 megapixels takes."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    path = tmp_path / "a.png"
    path.write_bytes(encoded("RGB", "PNG", (7, 5)))
    assert read_image(path).width == 7


def test_odd_metadata_are_no_concern(tmp_path):
    """Pillow warns of a TIFF tag that ends behind the file."""
    path = tmp_path / "a.tif"
    data = encoded("RGB", "TIFF", (7, 5), dpi=(3, 3))
    tag = data.index(b"\x1a\x01\x05\x00") + 8  # of the resolution
    path.write_bytes(data[:tag] + b"\xff\xff\xff\x00" + data[tag + 4 :])
    assert read_image(path).width == 7
