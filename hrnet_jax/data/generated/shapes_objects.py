"""The generated scenes of `shapes` as objects: boxes and masks."""

from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.files.image_files import Example, encode_png
from hrnet_jax.data.generated.shapes import Shapes, ShapesOptions, draw_scene
from hrnet_jax.data.generated.shapes_drawing import OBJECTS
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.objects.source import object_example, object_features
from hrnet_jax.imaging import run_lengths


class ShapesObjects(Shapes):
    """Generated scenes of textured objects with their boxes and masks."""

    Options: ClassVar[type] = ShapesOptions

    def __init__(self, source: Path | None, options: ShapesOptions) -> None:
        super().__init__(source, options)

    def info(self, name: str) -> DatasetInfo:
        """Names of the classes."""
        return DatasetInfo(
            name=name,
            num_classes=0,
            class_names=(),
            palette=(),
            box_class_names=OBJECTS,
            category_ids=tuple(range(1, len(OBJECTS) + 1)),
            max_objects=self.options.max_objects,
            object_masks=True,
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, names, boxes, classes and masks."""
        return object_features(masks=True)

    def example(self, split: str, item: int) -> Example:
        """Draws and encodes one scene."""
        options = self.options
        scene = draw_scene(
            options.seed, split, item, options.image_size, options.max_objects
        )
        size = scene.owner.shape
        shown = [scene.owner == k for k in range(len(scene.boxes))]
        stored = object_example(
            scene.boxes,
            scene.box_class,
            crowd=[False] * len(shown),
            area=[float(mask.sum()) for mask in shown],
            masks=[run_lengths.encode(mask, size) for mask in shown],
        )
        stored |= {
            "image": encode_png(scene.image),
            "image_id": f"{split}_{item:05d}",
            "image_number": str(item + 1),
        }
        return Example(stored, size)
