"""Numbers of classes in the files of benchmarks, in the order of their labels."""

# Of the evaluated classes in the labelIds files (cityscapesScripts, helpers/labels.py).
CITYSCAPES_IDS = (
    *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22),
    *(23, 24, 25, 26, 27, 28, 31, 32, 33),
)

# Of 182 that were planned for COCO-Stuff, 171 came (cocostuff, labels.txt).
_COCO_STUFF_MISSING = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
COCO_STUFF_IDS = tuple(n for n in range(1, 183) if n not in _COCO_STUFF_MISSING)
