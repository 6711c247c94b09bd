"""Data sets by name, one file each; those that are generated are in `generated/`."""

import importlib
from typing import TYPE_CHECKING

from hrnet_jax.errors import DataError

if TYPE_CHECKING:  # it brings the libraries that write records
    from hrnet_jax.data.writing import Source

# Modules are imported when their data set is asked for.
SOURCES = {
    "shapes": "hrnet_jax.data.generated.shapes:Shapes",
    "faces": "hrnet_jax.data.generated.faces:Faces",
    "camvid": "hrnet_jax.data.sources.camvid:CamVid",
    "cityscapes": "hrnet_jax.data.sources.cityscapes:Cityscapes",
    "lip": "hrnet_jax.data.sources.lip:LIP",
    "pascal_context_59": "hrnet_jax.data.sources.pascal_context:PascalContext59",
    "pascal_context_60": "hrnet_jax.data.sources.pascal_context:PascalContext60",
    "ade20k": "hrnet_jax.data.sources.ade20k:ADE20K",
    "coco_stuff_10k": "hrnet_jax.data.sources.coco_stuff:COCOStuff10k",
    "coco_stuff_164k": "hrnet_jax.data.sources.coco_stuff:COCOStuff164k",
    "voc2012": "hrnet_jax.data.sources.voc2012:VOC2012",
    "segmentation_folder": "hrnet_jax.data.sources.segmentation_folder:SegmentationFolder",
    "segmentation_coco": "hrnet_jax.data.sources.segmentation_coco:SegmentationCOCO",
    "segmentation_panoptic": "hrnet_jax.data.sources.segmentation_panoptic:SegmentationPanoptic",
    "segmentation_cvat": "hrnet_jax.data.sources.segmentation_cvat:SegmentationCVAT",
    "segmentation_labelme": "hrnet_jax.data.sources.segmentation_labelme:SegmentationLabelme",
    "w300": "hrnet_jax.data.sources.w300:W300",
    "wflw": "hrnet_jax.data.sources.wflw:WFLW",
    "cofw": "hrnet_jax.data.sources.cofw:COFW",
    "aflw": "hrnet_jax.data.sources.aflw:AFLW",
    "landmarks_csv": "hrnet_jax.data.sources.landmarks_csv:LandmarksCSV",
    "landmarks_coco": "hrnet_jax.data.sources.landmarks_coco:LandmarksCOCO",
    "coco_keypoints": "hrnet_jax.data.sources.coco_keypoints:COCOKeypoints",
    "keypoints_coco": "hrnet_jax.data.sources.keypoints_coco:KeypointsCOCO",
    "mpii": "hrnet_jax.data.sources.mpii:MPII",
    "lsp": "hrnet_jax.data.sources.lsp:LSP",
    "coco_detection": "hrnet_jax.data.sources.coco_detection:COCODetection",
    "detection_coco": "hrnet_jax.data.sources.detection_coco:DetectionCOCO",
    "voc": "hrnet_jax.data.sources.voc:VOC",
    "yolo": "hrnet_jax.data.sources.yolo:YOLO",
    "figures": "hrnet_jax.data.generated.figures:Figures",
    "shapes_objects": "hrnet_jax.data.generated.shapes_objects:ShapesObjects",
    "imagenet": "hrnet_jax.data.sources.imagenet:ImageNet",
    "classification_folder": "hrnet_jax.data.sources.classification_folder:ClassificationFolder",
    "classification_csv": "hrnet_jax.data.sources.classification_csv:ClassificationCSV",
    "shapes_classes": "hrnet_jax.data.generated.shapes_classes:ShapesClasses",
}


def source_class(name: str) -> "type[Source]":
    """The class that knows how to prepare the data set `name`.

    Raises:
        DataError: for an unknown name; lists the known ones.
    """
    if name not in SOURCES:
        raise DataError(
            f"unknown data set {name!r}; known: {', '.join(sorted(SOURCES))}"
        )
    module, attribute = SOURCES[name].split(":")
    return getattr(importlib.import_module(module), attribute)
