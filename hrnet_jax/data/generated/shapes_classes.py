"""The generated scenes of `shapes` as images with classes."""

from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.classes.source import class_features
from hrnet_jax.data.files.image_files import Example, encode_png
from hrnet_jax.data.generated.shapes import Shapes, ShapesOptions, draw_scene
from hrnet_jax.data.generated.shapes_drawing import OBJECTS
from hrnet_jax.data.info import DatasetInfo


class ShapesClasses(Shapes):
    """Generated scenes of textured objects, each of the class of its largest one."""

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
            image_class_names=OBJECTS,
            image_class_ids=OBJECTS,
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, name and class."""
        return class_features(len(OBJECTS))

    def example(self, split: str, item: int) -> Example:
        """Draws and encodes one scene."""
        options = self.options
        scene = draw_scene(
            options.seed, split, item, options.image_size, options.max_objects
        )
        stored = {
            "image": encode_png(scene.image),
            "image_id": f"{split}_{item:05d}",
            "class": scene.image_class,
        }
        return Example(stored, scene.label.shape, classes=(scene.image_class,))
