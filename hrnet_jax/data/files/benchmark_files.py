"""Numbers and colours of classes in the files of benchmarks, for those who write some."""

from hrnet_jax.data import class_tables

# In the order of the labels.
CITYSCAPES_IDS = class_tables.CITYSCAPES_IDS
COCO_STUFF_IDS = tuple(class_tables.COCO_STUFF_IDS)
# Of all 256 numbers that a file of VOC can hold.
VOC_PALETTE = class_tables.bit_palette(256)
