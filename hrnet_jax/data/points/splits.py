"""Division of the faces of custom images into splits."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hrnet_jax.data.files.splitting import split_by_ratio
from hrnet_jax.data.points.items import LandmarkItem
from hrnet_jax.errors import DataError


def cut_by_image(
    faces: Sequence[LandmarkItem], source: Path, ratios: tuple[float, ...], seed: int
) -> dict[str, list[LandmarkItem]]:
    """Cuts faces at random; all faces of an image come into the same split.

    Args:
        faces: all of them.
        source: the source folder; the cut depends on the names of the images below
            it, not on the place of the folder.
        ratios: shares of train, val and test, one to three.
        seed: seed of the cut.

    Returns:
        The faces of each split, in the order of `faces`.

    Raises:
        DataError: for wrong ratios or too few images.
    """
    # Their names, once for all faces of an image.
    names = {image: _name(image, source) for image in {face.image for face in faces}}
    cut = split_by_ratio(sorted(set(names.values())), ratios, seed)
    split_of = {name: split for split, chosen in cut.items() for name in chosen}
    splits: dict[str, list[LandmarkItem]] = {split: [] for split in cut}
    for face in faces:
        splits[split_of[names[face.image]]].append(face)
    return splits


def check_apart(faces: Mapping[str, Sequence[LandmarkItem]]) -> None:
    """Checks that no image is in two splits, which would make evaluation too good.

    Raises:
        DataError: naming the image and both places.
    """
    seen: dict[Path, LandmarkItem] = {}
    for split, items in faces.items():
        for item in items:
            other = seen.get(item.image)
            if other is not None:
                raise DataError(
                    f"{item.where}: image {item.image.name!r} of {split!r} is already "
                    f"in {other.where}"
                )
        seen |= {item.image: item for item in items}


def _name(image: Path, source: Path) -> str:
    return Path(os.path.relpath(image, source)).as_posix()
