"""Where labelling tools put COCO's JSON files below the folder they export."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from hrnet_jax.data.files.listing import listed
from hrnet_jax.data.files.splitting import SPLITS
from hrnet_jax.errors import DataError

# Where Roboflow puts the files of the splits, beside their images.
ROBOFLOW = {
    split: f"{folder}/_annotations.coco.json"
    for split, folder in zip(SPLITS, ("train", "valid", "test"), strict=True)
}
_SHOWN_FILES = 4


@dataclasses.dataclass(frozen=True)
class AnnotationFiles:
    """Options of every source that reads COCO's files of one's own.

    Attributes:
        train: annotation file of the training split in the source folder.
        val: that of the validation split, left out if absent.
        test: that of the test split, left out if absent.
        annotations: one file for all, cut by ratios, instead of those three.
        ratios: shares of train, val and test for `annotations`.
        seed: seed of that random split.
        images: folder of the images, with `{split}` for the split.
    """

    train: str = "annotations/train.json"
    val: str = "annotations/val.json"
    test: str = "annotations/test.json"
    annotations: str = ""
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    images: str = ""


def annotation_files(
    source: Path,
    options: AnnotationFiles,
    layouts: Sequence[Mapping[str, str]] = (ROBOFLOW,),
) -> dict[str, Path]:
    """The annotation file of each split, or the one to be cut, under an empty name.

    Args:
        source: folder of the export.
        options: with the names of the files.
        layouts: split -> name, of other tools, the first that is there is taken; an
            empty split for a file to be cut.

    Raises:
        DataError: for one file beside those of splits, or if there is none.
    """
    defaults = AnnotationFiles()
    if options.annotations:
        for split in SPLITS:
            if getattr(options, split) != getattr(defaults, split):
                raise DataError(
                    f"options annotations={options.annotations} and "
                    f"{split}={getattr(options, split)}: give one file to be "
                    "cut or those of the splits"
                )
        return {"": source / options.annotations}
    names = {split: getattr(options, split) for split in SPLITS}
    chosen = {
        split: name
        for split, name in names.items()
        if (source / name).is_file() or name != getattr(defaults, split)
    }
    for layout in layouts:
        chosen = chosen or {
            split: name for split, name in layout.items() if (source / name).is_file()
        }
    if not chosen:
        raise DataError(
            f"{source} has none of {defaults.train}, {defaults.val}, "
            f"{defaults.test}; name your files with the options train, val and "
            f"test, or annotations{_json_files(source)}"
        )
    return {split: source / name for split, name in chosen.items()}


def _json_files(source: Path) -> str:
    """The JSON files that are there, for the message."""
    found = [
        path.relative_to(source).as_posix() for path in listed(source, "**/*.json")
    ]
    if not found:
        return ""
    more = f", and {len(found) - _SHOWN_FILES} more"
    names = ", ".join(found[:_SHOWN_FILES])
    return f" (there is {names}{more if len(found) > _SHOWN_FILES else ''})"
