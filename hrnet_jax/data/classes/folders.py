"""Images in folders, one for each class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hrnet_jax.data.classes.items import ClassItem, ImagePlace, unique_ids
from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.data.files.listing import contents_of, listed
from hrnet_jax.data.files.splitting import split_by_ratio
from hrnet_jax.data.objects.folders import images_below
from hrnet_jax.errors import DataError

_KINDS = ", ".join(IMAGE_SUFFIXES)


def class_folders(folder: Path) -> dict[str, list[Path]]:
    """Image files in each folder of a class, by its name, sorted.

    Folders in that of a class belong to it.

    Raises:
        DataError: naming a folder without images, or images outside of all classes.
    """
    loose = [
        path
        for path in listed(folder)
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if loose:
        raise DataError(
            f"{loose[0]} is in the folder of no class ({len(loose)} such images); "
            f"expected {folder}/CLASS/{loose[0].name}"
        )
    found = {path.name: images_below(path) for path in listed(folder) if path.is_dir()}
    for name, images in found.items():
        if not images:
            raise DataError(
                f"{folder / name} has no images ({_KINDS}); it holds "
                f"{contents_of(folder / name)}; put some there, or remove the folder"
            )
    return found


def folder_items(
    images: Mapping[str, Sequence[Path]], folder: Path, labels: Mapping[str, int]
) -> list[ClassItem]:
    """Items of the images of classes, class after class.

    Args:
        images: class -> its image files.
        folder: of the classes; names of images are those below it.
        labels: class -> its index; others are left out.
    """
    chosen = [(path, labels[c]) for c in labels for path in images.get(c, ())]
    names = unique_ids([path.relative_to(folder).as_posix() for path, _ in chosen])
    return [
        ClassItem(ImagePlace(path), name, (label,))
        for (path, label), name in zip(chosen, names, strict=True)
    ]


def cut_classes(
    items: Sequence[ClassItem], names: Sequence[str], ratios: tuple, seed: int
) -> dict[str, list[ClassItem]]:
    """Cuts images at random, of each class the same shares; see `split_by_ratio`.

    Args:
        items: all images, with one class each.
        names: of the classes, for the message.
        ratios: shares of the splits.
        seed: of the cut.

    Raises:
        DataError: naming a class with too few images; for wrong ratios.
    """
    by_label: dict[int, list[str]] = {}
    for item in items:
        by_label.setdefault(item.labels[0], []).append(item.image_id)
    split_of: dict[str, str] = {}
    splits: dict[str, list[ClassItem]] = {}
    for label, ids in by_label.items():
        if len(ids) < len(ratios):
            raise DataError(
                f"class {names[label]!r} has {len(ids)} of the {len(ratios)} images that "
                "its splits need; add some, or say ratios=1"
            )
        for split, chosen in split_by_ratio(ids, ratios, seed).items():
            splits.setdefault(split, [])
            split_of |= dict.fromkeys(chosen, split)
    for item in items:
        splits[split_of[item.image_id]].append(item)
    return splits
