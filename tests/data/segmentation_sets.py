"""Published segmentation sets in the layouts of their archives, made by tests."""

import json

import cv2
import numpy as np
import scipy.io
from faster_coco_eval.core import mask as library
from PIL import Image

from hrnet_jax.data.class_tables import bit_palette
from hrnet_jax.data.sources import source_class


def opened(name, folder, **options):
    """The source of a data set."""
    cls = source_class(name)
    return cls(folder, cls.Options(**options))


def labels_of(source):
    """Split -> image -> labels."""
    return {
        split: {item.image_id: source.example(split, item).labels for item in items}
        for split, items in source.splits().items()
    }


def save_image(path, shape=(2, 3), grey=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*shape, 3), 90, np.uint8)
    assert cv2.imwrite(str(path), pixels[..., 0] if grey else pixels)


def save_values(path, values):
    """A grey PNG, or the MATLAB file of COCO-Stuff or PASCAL-Context."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mat":
        name = "S" if values.dtype == np.uint8 else "LabelMap"
        cells = np.array([["sky"]], object)
        scipy.io.savemat(path, {name: values, "names": cells}, do_compression=True)
    else:
        assert cv2.imwrite(str(path), values)


def save_palette(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values)
    picture.putpalette([value for colour in bit_palette(256) for value in colour])
    picture.save(path)


def write_list(path, *names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def make_lip(folder, values, split="train", name="7_1"):
    save_image(folder / f"TrainVal_images/{split}_images/{name}.jpg", grey=True)
    labels = folder / f"TrainVal_parsing_annotations/{split}_segmentations"
    save_values(labels / f"{name}.png", values)


def make_ade20k(folder, values, split="train", name="ADE_1"):
    kind = {"train": "training", "val": "validation"}[split]
    save_image(folder / f"images/{kind}/{name}.jpg")
    save_values(folder / f"annotations/{kind}/{name}.png", values)


def make_stuff(folder, values, split="train", name="000000000001"):
    save_image(folder / f"{split}2017/{name}.jpg")
    save_values(folder / f"stuffthingmaps/{split}2017/{name}.png", values)


def make_stuff_10k(folder, values, split="train", name="COCO_train2014_1"):
    """The layout of the archive."""
    save_image(folder / f"images/{name}.jpg")
    save_values(folder / f"annotations/{name}.mat", values)
    listed = {"train": "train", "val": "test"}[split]
    write_list(folder / f"imageLists/{listed}.txt", name)


def make_voc(folder, values, split="train", name="2007_000032"):
    save_image(folder / f"JPEGImages/{name}.jpg")
    save_palette(folder / f"SegmentationClass/{name}.png", values)
    write_list(folder / f"ImageSets/Segmentation/{split}.txt", name)


def make_context(folder, values, split="train", name="2008_000002", suffix=".png"):
    save_image(folder / f"JPEGImages/{name}.jpg")
    kind = "SegmentationClassContext" if suffix == ".png" else "trainval"
    save_values(folder / kind / f"{name}{suffix}", values)
    lists = "SegmentationContext" if suffix == ".png" else "Main"
    write_list(folder / f"ImageSets/{lists}/{split}.txt", name)


def merged_document(values, name="2008_000002", phase="train"):
    """The merged annotation file: a mask of each number in `values`, in rising order."""
    masks = []
    for number in np.unique(values[values > 0]):
        runs = library.encode(np.asfortranarray(values == number).astype(np.uint8))
        text = runs["counts"]
        text = text.decode() if isinstance(text, bytes) else text
        masks.append(
            {
                "id": len(masks),
                "image_id": 2008000002,
                "category_id": int(number),
                "segmentation": {"size": list(values.shape), "counts": text},
            }
        )
    image = {"file_name": f"{name}.jpg", "image_id": 2008000002, "phase": phase}
    image |= {"height": values.shape[0], "width": values.shape[1]}
    return {"images": [image], "annos_segmentation": masks, "categories": []}


def make_merged(folder, values, split="train", name="2008_000002"):
    save_image(folder / f"JPEGImages/{name}.jpg")
    text = json.dumps(merged_document(values, name, split))
    (folder / "trainval_merged.json").write_text(text)


MAKERS = {
    "lip": make_lip,
    "ade20k": make_ade20k,
    "coco_stuff_164k": make_stuff,
    "coco_stuff_10k": make_stuff_10k,
    "voc2012": make_voc,
    "pascal_context_60": make_context,
    "pascal_context_59": make_context,
}
