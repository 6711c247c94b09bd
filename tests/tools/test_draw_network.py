"""Pictures are well-formed SVG and show the shapes that the model really has."""

import pathlib
import re
from xml.etree import ElementTree

import pytest

from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model, model_names
from tests.inspection.inspected import QUICK, default, inspected
from tests.tiers import fast_are
from tools.draw_network import draw

ROOT = pathlib.Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"

# Pictures are for the documentation: one is enough before every change.
# Of detectors the pyramid is drawn, whose sizes are those of `pyramid`.
DRAWN = [
    name
    for name in model_names()
    if not name.startswith("detection/") or name.endswith("_w18")
]
NAMES = fast_are({"segmentation/w48_ocr"}, DRAWN)


def drawn(inspection) -> ElementTree.Element:
    return ElementTree.fromstring(draw(inspection))


def texts(root) -> list[str]:
    return [element.text for element in root.iter(f"{SVG}text")]


def boxes(root) -> dict[str, list[str]]:
    """Lines inside each named frame."""
    frames = {}
    for frame in root.iter(f"{SVG}rect"):
        if frame.get("id"):
            x, y, width, height = edges(frame)
            frames[frame.get("id")] = [
                text.text
                for text in root.iter(f"{SVG}text")
                if x < float(text.get("x")) < x + width
                and y < float(text.get("y")) < y + height
            ]
    return frames


def edges(frame) -> tuple[float, ...]:
    return tuple(float(frame.get(key)) for key in ("x", "y", "width", "height"))


def halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    for _ in range(times):
        size = tuple(-(-side // 2) for side in size)
    return size


def shape(*sizes: int) -> str:
    return "×".join(map(str, sizes))


def variant_of(name: str):
    return VARIANTS[create_model(name).variant]


@pytest.mark.parametrize("name", NAMES)
def test_branches_have_the_shapes_of_the_variant_table(name):
    found = default(name)
    variant, frames = variant_of(name), boxes(drawn(found))
    size = found.size
    assert frames["image"] == [shape(*size, 3), "image"]
    assert frames["stem-conv1"][0] == shape(*halved(size, 1), 64)
    assert frames["stem-conv2"][0] == shape(*halved(size, 2), 64)
    noun = "bottleneck" if variant.stage1_blocks == 1 else "bottlenecks"
    assert frames["stage1"] == [
        shape(*halved(size, 2), 4 * variant.stage1_width),
        f"{variant.stage1_blocks} {noun}",
    ]
    for stage in (2, 3, 4):
        for branch in range(stage):
            assert frames[f"stage{stage}-branch{branch}"] == [
                shape(*halved(size, 2 + branch), variant.width * 2**branch),
                f"{variant.blocks} blocks",
            ]
        assert f"stage{stage}-branch{stage}" not in frames


@pytest.mark.parametrize("name", NAMES)
def test_modules_parameters_and_every_path_are_there(name):
    found = default(name)
    root, variant = drawn(found), variant_of(name)
    words = texts(root)
    assert words[0] == name and f"{found.parameters:,} parameters" in words[1]
    notes = [f"{n} module{'s' if n > 1 else ''}" for n in variant.modules]
    assert [word for word in words if re.fullmatch(r"\d+ modules?", word)] == notes
    kinds = [path.get("class") for path in root.iter(f"{SVG}path")]
    # The last exchange of V1 has one output; earlier ones are drawn dashed.
    last = 1 if found.representation == "v1" and variant.modules[-1] == 1 else 4
    outputs = (2, 3, last)
    counts = {"same": sum(outputs), "down": 0, "up": 0}
    for stage, some in zip((2, 3, 4), outputs, strict=True):
        counts["down"] += sum(range(some))
        counts["up"] += sum(stage - 1 - target for target in range(some))
    for kind, count in counts.items():
        assert kinds.count(f"exchange {kind}") == count
    # Stage 2 starts with two convolutions, stages 3 and 4 with one new branch each.
    assert kinds.count("transition convolved") == 2 + 1 + 1
    assert kinds.count("transition same") == 2 + 3
    dashed = [path for path in root.iter(f"{SVG}path") if path.get("stroke-dasharray")]
    assert len(dashed) == (12 if found.representation == "v1" and last == 4 else 0)


@pytest.mark.parametrize("name", NAMES)
def test_no_text_leaves_the_card_or_its_box(name):
    root = drawn(default(name))
    _, _, width, height = map(float, root.get("viewBox").split())
    for text in root.iter(f"{SVG}text"):
        # Average width of a character in the widest font, DejaVu Sans.
        long = 0.6 * float(text.get("font-size")) * len(text.text)
        x = float(text.get("x")) - (text.get("text-anchor") == "middle") * long / 2
        assert 0 < x and x + long < width, text.text
        assert 0 < float(text.get("y")) < height
    frames = [edges(frame) for frame in root.iter(f"{SVG}rect") if frame.get("id")]
    for index, (x, y, w, h) in enumerate(frames):
        assert x > 0 and y > 0 and x + w < width and y + h < height
        for other_x, other_y, other_w, other_h in frames[:index]:
            apart = x + w <= other_x or other_x + other_w <= x
            assert apart or y + h <= other_y or other_y + other_h <= y


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("segmentation/w48", {"representation": "256×512×720", "output": "256×512×19"}),
        (
            "segmentation/w48_ocr",
            {
                "aux": "256×512×19",
                "pixels": "256×512×512",
                "objects": "19×512",
                "attention": "256×512×512",
                "fuse": "256×512×512",
                "output": "256×512×19",
            },
        ),
        ("landmarks/w18", {"representation": "64×64×270", "output": "64×64×68"}),
        ("pose/w32", {"representation": "64×48×32", "output": "64×48×17"}),
        (
            "pyramid/w18",
            {"representation": "200×336×270", "reduce": "200×336×256"}
            | {"output0": "200×336×256", "output1": "100×168×256"}
            | {"output2": "50×84×256", "output3": "25×42×256", "output4": "12×21×256"},
        ),
        ("features/w18_small_v1", {"output0": "56×56×16", "output3": "7×7×128"}),
        (
            "classification/w18",
            {"increase0": "56×56×128", "increase3": "7×7×1024", "final": "7×7×2048"}
            | {"mean": "2048", "output": "1000"},
        ),
    ],
)
def test_heads_have_their_shapes(name, expected):
    frames = boxes(drawn(default(name)))
    assert {key: frames[key][0] for key in expected} == expected


def test_options_and_odd_sizes_show():
    found = inspected("landmarks/w18_small_v2", (65, 97), 98, "v1h")
    root = drawn(found)
    frames = boxes(root)
    assert "HRNetV1h" in texts(root)
    assert frames["representation"][0] == "17×25×270"
    assert frames["output"][0] == "17×25×98"
    assert frames["stage4-branch3"][0] == "3×4×144"


def test_the_card_is_light_so_that_dark_pages_show_it():
    root = drawn(default("pose/w32"))
    card = next(root.iter(f"{SVG}rect"))
    assert card.get("fill") == "#fbfbfd"
    _, _, width, height = map(float, root.get("viewBox").split())
    assert edges(card)[2:] == (width - 2, height - 2)
    assert root.find(f"{SVG}title").text == "The network pose/w32"


PICTURES = [
    "classification/w48",
    "landmarks/w18",
    "pose/w32",
    "pyramid/w32",
    "segmentation/w48",
    "segmentation/w48_ocr",
]


@pytest.mark.parametrize("name", fast_are(QUICK & {*PICTURES}, PICTURES))
def test_pictures_in_the_documentation_are_up_to_date(name):
    path = ROOT / "docs" / "networks" / f"{name.replace('/', '_')}.svg"
    assert path.read_text(encoding="utf-8") == draw(default(name)) + "\n"
