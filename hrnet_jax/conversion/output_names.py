"""Names of the classes and points of data sets that released weights were trained on.

In the order of the outputs. Data sets that can be prepared here keep their names in
files of their own.
"""

from hrnet_jax.errors import DataError


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.replace("\n", " ").split(","))


# PASCAL-Context has 60 classes with the background and 59 without.
_PASCAL_CONTEXT = _split("""
background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book,
bottle, building, bus, cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup,
curtain, dog, door, fence, floor, flower, food, grass, ground, horse, keyboard,
light, motorbike, mountain, mouse, person, plate, platform, pottedplant, road, rock,
sheep, shelves, sidewalk, sign, sky, snow, sofa, table, track, train, tree, truck,
tvmonitor, wall, water, window, wood
""")

LABEL_NAMES: dict[str, tuple[str, ...]] = {
    "ade20k": _split("""
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
    "coco": _split("""
nose, left eye, right eye, left ear, right ear, left shoulder, right shoulder, left
elbow, right elbow, left wrist, right wrist, left hip, right hip, left knee, right
knee, left ankle, right ankle
"""),
    "coco-stuff-10k": _split("""
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow,
elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee,
skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana,
apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair,
couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase,
scissors, teddy bear, hair drier, toothbrush, banner, blanket, branch, bridge,
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
"""),
    "lip": _split("""
background, hat, hair, glove, sunglasses, upper-clothes, dress, coat, socks, pants,
jumpsuits, scarf, skirt, face, left-arm, right-arm, left-leg, right-leg, left-shoe,
right-shoe
"""),
    "mpii": _split("""
right ankle, right knee, right hip, left hip, left knee, left ankle, pelvis, thorax,
upper neck, head top, right wrist, right elbow, right shoulder, left shoulder, left
elbow, left wrist
"""),
    "pascal-context": _PASCAL_CONTEXT,
    "pascal-context-59": _PASCAL_CONTEXT[1:],
    "pascal-context-60": _PASCAL_CONTEXT,
    "voc12aug": _split("""
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow,
dining table, dog, horse, motorbike, person, potted plant, sheep, sofa, train, tv
monitor
"""),
}

# Lines through points, to draw; a person's limbs.
POINT_LINES: dict[str, tuple[tuple[int, ...], ...]] = {
    "coco": (
        (3, 1, 0, 2, 4),
        (9, 7, 5, 6, 8, 10),
        (5, 11, 12, 6),
        (11, 13, 15),
        (12, 14, 16),
    ),
    "mpii": (
        (0, 1, 2, 6, 3, 4, 5),
        (6, 7, 8, 9),
        (10, 11, 12, 7, 13, 14, 15),
    ),
}


def flip_pairs(data: str) -> tuple[tuple[int, int], ...]:
    """Pairs of outputs that swap when an image is mirrored.

    Left and right of the same part, by the names.

    Raises:
        DataError: for a data set without names here.
    """
    if data not in LABEL_NAMES:
        raise DataError(
            f"no names of {data!r}; expected one of {', '.join(LABEL_NAMES)}"
        )
    names = LABEL_NAMES[data]
    return tuple(
        (index, names.index(name.replace("left", "right", 1)))
        for index, name in enumerate(names)
        if name.startswith("left") and name.replace("left", "right", 1) in names
    )
