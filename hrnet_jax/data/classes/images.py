"""Image files of classification sets: what is kept, what is converted."""

from PIL import ExifTags, Image

from hrnet_jax.data.classes.items import ImagePlace
from hrnet_jax.data.files.image_files import (
    EncodedImage,
    encode_png,
    is_stored_as_is,
    open_completely,
)
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pillow import pixels_of, quietly

_KEPT_MODES = ("RGB", "L")
_PNG_BEGIN, _PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24
_CMYK = "images in CMYK, converted to RGB"
_SIXTEEN = "images of 16 bits, of which the upper 8 are kept"


def read_class_image(place: ImagePlace) -> tuple[EncodedImage, str]:
    """Reads an image file, proves that it decodes completely, and converts it.

    JPEG files in RGB or grey are kept as they are; everything else becomes RGB in PNG.

    Returns:
        The image, and a note on a conversion that changes values; empty for none.

    Raises:
        DataError: naming the file, if it is missing, no image, truncated or damaged, or
            of pixels that nothing tells the range of.
    """
    data = place.read()
    opened = open_completely(data, str(place))
    if is_stored_as_is(opened) and opened.mode in _KEPT_MODES:
        height, width = _upright_size(opened)
        return EncodedImage(data, height, width), ""
    try:
        pixels = pixels_of(opened)
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    image = EncodedImage(encode_png(pixels), pixels.shape[0], pixels.shape[1])
    return image, _note(opened, data)


def _note(opened: Image.Image, data: bytes) -> str:
    if opened.mode == "CMYK":
        return _CMYK
    deep = data.startswith(_PNG_BEGIN) and data[_PNG_DEPTH] == 16
    return _SIXTEEN if deep or opened.mode.startswith("I;16") else ""


def _upright_size(opened: Image.Image) -> tuple[int, int]:
    with quietly():
        turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    width, height = opened.size
    return (width, height) if turned else (height, width)
