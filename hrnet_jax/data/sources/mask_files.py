"""The mask files of a folder, found by the names of their images."""

import logging
from collections.abc import Mapping
from pathlib import Path

from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.data.files.listing import listed
from hrnet_jax.errors import DataError

_log = logging.getLogger(__name__)

_JPEG = (".jpg", ".jpeg")


class MaskFiles:
    """The masks of a folder; `park/a` is the key of `park/a_mask.png`.

    Attributes:
        folder: where they are.
        suffix: what their names have behind those of the images, as `_mask`.
        paths: the PNG files by key; those without the suffix are left out.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        """Lists the folder.

        Raises:
            DataError: if it is missing, or two files would be the mask of one image.
        """
        if not folder.is_dir():
            raise DataError(
                f"{folder} is missing; expected the masks there, one PNG for each image"
            )
        self.folder = folder
        self.suffix = suffix
        self.paths: dict[str, Path] = {}
        self._stems: list[str] = []
        self._others: dict[str, Path] = {}
        for path in listed(folder, "**/*"):
            stem = path.relative_to(folder).with_suffix("").as_posix()
            if path.suffix.lower() == ".png":
                self._add(stem, path)
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                self._others[stem] = path
        left_out = len(self._stems) - len(self.paths)
        if left_out:
            _log.info("%s: left out %d PNG without %s", folder, left_out, suffix)

    def path(self, key: str) -> Path:
        """The mask of an image, whether it is there or not."""
        return self.paths.get(key, self.folder / f"{key}{self.suffix}.png")

    def check_have_images(self, images: Mapping[str, Path], folder: Path) -> None:
        """Checks that every mask has an image.

        Args:
            images: the images by key.
            folder: of the images, for the message.

        Raises:
            DataError: naming the first mask without one, and `mask_suffix` where that
                would find all of them.
        """
        for key, path in self.paths.items():
            if key not in images:
                raise DataError(
                    f"mask {path} has no image {folder}/{key} "
                    f"({', '.join(IMAGE_SUFFIXES)}){self._suffix_advice(images)}"
                )

    def advice(self, key: str, images: Mapping[str, Path]) -> str:
        """The end of a message that an image has no mask: what there is instead."""
        found = self._others.get(f"{key}{self.suffix}")
        if found is None and not self._stems:
            found = next(iter(self._others.values()), None)
        if found is None:
            return self._suffix_advice(images)
        if found.suffix.lower() in _JPEG:
            return (
                f"; found {found}, but JPEG does not keep values exactly, least of all "
                "where classes meet: save the masks as PNG with the tool that made them"
            )
        return f"; found {found}, but masks have to be PNG"

    def _add(self, stem: str, path: Path) -> None:
        self._stems.append(stem)
        if not stem.endswith(self.suffix):
            return
        key = stem.removesuffix(self.suffix)
        if key in self.paths:
            raise DataError(
                f"{self.paths[key]} and {path} are masks of one image {key}"
            )
        self.paths[key] = path

    def _suffix_advice(self, images: Mapping[str, Path]) -> str:
        """Names the `mask_suffix` that would give all masks their images, if any."""
        alone = [stem for stem in self._stems if stem not in images]
        first = alone[0] if alone else ""
        for end in range(len(first) - 1, 0, -1):
            suffix = first[end:]
            if suffix != self.suffix and all(
                stem.endswith(suffix) and stem.removesuffix(suffix) in images
                for stem in alone
            ):
                return (
                    f"; give --option mask_suffix={suffix} if the names of masks have "
                    f"{suffix} behind those of the images"
                )
        return ""
