"""Images as callers have them: files, Pillow images, arrays, and several of these."""

import os
import pathlib
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from PIL import Image

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.checks import checked_image
from hrnet_jax.imaging.pillow import pixels_of
from hrnet_jax.tasks.boxes import find_scored

ImageLike = str | os.PathLike | Image.Image | np.ndarray

# What is one image whatever it holds; an array may be a stack of them.
OneImage = str | os.PathLike | Image.Image
Prediction = dict[str, np.ndarray]


class SeveralImages(Protocol):
    """A list or tuple of images; a string is none, as only strings can be in one."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ImageLike]: ...

    def __contains__(self, value: object, /) -> bool: ...

    def index(self, value: Any, /) -> int: ...


_EXPECTED = (
    "expected the path of an image file, a Pillow image, an array uint8 [height, "
    "width, 3] in RGB order, a list of these, or a stack uint8 [N, height, width, 3]"
)


def as_pixels(image: ImageLike) -> np.ndarray:
    """One image as uint8 RGB [H, W, 3]; files and Pillow images upright.

    Raises:
        DataError: for a file that cannot be read, an array of another type or shape,
            and what is no image at all.
    """
    if isinstance(image, str | os.PathLike):
        # Late: arrays need nothing of the data package.
        from hrnet_jax.data.files.image_files import read_pixels

        return read_pixels(local_path(image))
    if isinstance(image, Image.Image):
        return checked_image(pixels_of(image))
    if hasattr(image, "__array__"):
        return checked_image(image)
    raise DataError(f"{type(image).__name__} is no image; {_EXPECTED}")


def local_path(source: str | os.PathLike) -> pathlib.Path:
    """The path that a name or a URL of this machine (`file:///a/b.jpg`) means.

    Raises:
        DataError: for an empty name, and for URLs of other kinds or machines.
    """
    text = os.fspath(source)
    if not text:
        raise DataError("name of the images is empty; expected a file, folder or glob")
    if "://" not in text:
        return pathlib.Path(text)
    url = urllib.parse.urlsplit(text)
    if url.scheme != "file" or url.netloc not in ("", "localhost"):
        raise DataError(
            f"{text}: images are read from this machine alone; download them, and give "
            "a path or file:///path"
        )
    return pathlib.Path(urllib.request.url2pathname(url.path))


def for_each(
    images: Any,
    boxes: Any,
    predict: Callable[[np.ndarray, Any], Any],
) -> Any:
    """Predictions for one image, or a list of them for several.

    Args:
        images: one image, a list or tuple of images, or a stack [N, H, W, 3].
        boxes: of the one image, or a list with those of each; None for none; or a
            `BoxFinder`, which is asked for those of each image.
        predict: maps uint8 RGB [H, W, 3] and its boxes to what is asked for.

    Raises:
        DataError: naming the image that is none, by its place among several; for
            boxes that are not as many as the images.
    """
    if callable(boxes):
        find = boxes

        def predict_found(image: np.ndarray, _: None) -> Any:
            found, scores = find_scored(find, image)
            result = predict(image, found)
            return result | scores if isinstance(result, dict) else result

        return for_each(images, None, predict_found)
    if not _are_several(images):
        return predict(as_pixels(images), boxes)
    count = len(images)
    if not count:
        raise DataError(f"no image was given; {_EXPECTED}")
    if boxes is None:
        boxes = [None] * count
    elif len(boxes) != count:
        raise DataError(
            f"boxes of {len(boxes)} images were given for {count} images; expected a "
            "list with the boxes of each image"
        )
    results = []
    for index, (image, own) in enumerate(zip(images, boxes, strict=True)):
        try:
            results.append(predict(as_pixels(image), own))
        except DataError as error:
            raise DataError(f"image {index} of {count}: {error}") from None
    return results


def _are_several(images: Any) -> bool:
    if isinstance(images, list | tuple):
        return True
    return getattr(images, "ndim", None) == 4
