"""Images with a text file each, as detectors of the YOLO kind read them."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from hrnet_jax.data.files.coco_json import shown
from hrnet_jax.data.files.text_files import read_text
from hrnet_jax.data.objects.checks import upright_size
from hrnet_jax.data.objects.folders import by_split, images_below
from hrnet_jax.data.objects.items import ImageObject, ObjectItem, ObjectSplits
from hrnet_jax.data.objects.source import ObjectOptions, ObjectSource, cut_images
from hrnet_jax.errors import DataError

_NAME_LISTS = ("classes.txt", "obj.names", "classes.names")
_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
_BOX_NUMBERS = 4
# What rounding leaves outside of 0 and 1.
_SLACK = 0.01


@dataclasses.dataclass(frozen=True)
class YOLOOptions(ObjectOptions):
    """Options of the preparation.

    Attributes:
        names: of the classes, in the order of their numbers; those of `data.yaml`,
            `classes.txt` or `obj.names` if empty.
        ratios: shares of train, val and test where folders do not divide the images.
        seed: seed of that random split.
    """

    names: tuple[str, ...] = ()
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0


class YOLO(ObjectSource):
    """Images with a text file each: `class x y width height` in shares of the image.

    ```
    SOURCE/data.yaml
    SOURCE/images/train/a.jpg   SOURCE/labels/train/a.txt
    ```

    or `train/images`, `train/labels`, `valid/...` (Roboflow), `images` and `labels`
    (Label Studio), or text files beside the images (CVAT). A line of more numbers is the
    polygon of a mask.
    """

    Options: ClassVar[type] = YOLOOptions

    def read(self) -> ObjectSplits:
        """The images of all folders.

        Raises:
            DataError: naming the file and the line at fault.
        """
        names = self.options.names or _names_in(self.source)
        images = images_below(self.source)
        if not images:
            raise DataError(f"{self.source} has no images")
        pairs = [(image, self._item(image, names)) for image in images]
        if not any(item.objects for _, item in pairs):
            raise DataError(
                f"{self.source} has no text file with boxes: looked for "
                f"{_label_files(images[0], self.source)[0]}"
            )
        splits = by_split(pairs, self.source) or cut_images(
            [item for _, item in pairs], self.options.ratios, self.options.seed
        )
        numbered = {
            split: [
                dataclasses.replace(item, number=str(k))
                for k, item in enumerate(all_, 1)
            ]
            for split, all_ in splits.items()
        }
        return ObjectSplits(numbered, names, tuple(range(len(names))))

    def _item(self, image: Path, names: Sequence[str]) -> ObjectItem:
        name = image.relative_to(self.source).with_suffix("").as_posix()
        files = [path for path in _label_files(image, self.source) if path.is_file()]
        if not files:
            where = f"{image} has no text file"
            return ObjectItem(image, name, "0", (), where)
        size = upright_size(image)
        objects = []
        for number, line in enumerate(read_text(files[0]).splitlines(), 1):
            if line.strip():
                where = f"{files[0]}:{number}"
                objects.append(_object(line.split(), names, size, where))
        return ObjectItem(image, name, "0", tuple(objects), str(files[0]), size)


def _label_files(image: Path, source: Path) -> list[Path]:
    """Where the text file of an image may be: `labels` for `images`, or beside it."""
    parts = list(image.relative_to(source).with_suffix(".txt").parts)
    found = []
    for place in reversed([k for k, part in enumerate(parts) if part == "images"]):
        found.append(source.joinpath(*parts[:place], "labels", *parts[place + 1 :]))
    return [*found, source.joinpath(*parts)]


def _object(
    words: Sequence[str], names: Sequence[str], size: tuple[int, int], where: str
) -> ImageObject:
    try:
        label = float(words[0])
        values = [float(word) for word in words[1:]]
    except ValueError:
        raise DataError(f"{where}: {shown(' '.join(words))} is not numbers") from None
    if label != label // 1 or not 0 <= label < len(names):
        raise DataError(
            f"{where}: class {words[0]} is none of 0..{len(names) - 1} "
            f"({len(names)} names)"
        )
    if not all(math.isfinite(one) and -_SLACK <= one <= 1 + _SLACK for one in values):
        raise DataError(
            f"{where}: {shown(' '.join(words[1:]))} is not within 0 and 1; expected "
            "shares of the image's width and height"
        )
    height, width = size
    name = names[int(label)]
    if len(values) == _BOX_NUMBERS:
        mid_x, mid_y, w, h = values
        box = (
            (mid_x - w / 2) * width,
            (mid_y - h / 2) * height,
            (mid_x + w / 2) * width,
            (mid_y + h / 2) * height,
        )
        return ImageObject(box, name, where)
    if len(values) < 6 or len(values) % 2:
        raise DataError(
            f"{where}: {len(values)} numbers behind the class, expected 4 (x, y, width, "
            "height) or x and y of 3 or more points"
        )
    polygon = [value * (height if k % 2 else width) for k, value in enumerate(values)]
    x, y = polygon[0::2], polygon[1::2]
    return ImageObject((min(x), min(y), max(x), max(y)), name, where, mask=[polygon])


def _names_in(source: Path) -> tuple[str, ...]:
    for name in _DESCRIPTIONS:
        if (source / name).is_file():
            return _names_of_yaml(source / name)
    for name in _NAME_LISTS:
        if (source / name).is_file():
            lines = [line.strip() for line in read_text(source / name).splitlines()]
            return _checked([line for line in lines if line], source / name)
    raise DataError(
        f"{source} has none of {', '.join((*_DESCRIPTIONS[:1], *_NAME_LISTS[:2]))} with "
        "the names of the classes; bring one, or name them with names=a,b"
    )


def _names_of_yaml(path: Path) -> tuple[str, ...]:
    try:
        content: Any = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is not valid YAML: {reason}") from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(
                f"{path}: the numbers of 'names' are {shown(list(names))}, expected "
                f"0..{len(names) - 1}"
            )
        names = [names[k] for k in range(len(names))]
    if not isinstance(names, list):
        raise DataError(f"{path} has no list 'names' of its classes")
    return _checked([str(name).strip() for name in names], path)


def _checked(names: list[str], path: Path) -> tuple[str, ...]:
    bad = [name for name in names if not name or not name.isprintable()]
    if not names or bad:
        raise DataError(f"{path}: expected names of classes, got {shown(bad or names)}")
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise DataError(f"{path} names the class {twice[0]!r} twice")
    return tuple(names)
