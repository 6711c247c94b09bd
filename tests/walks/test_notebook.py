"""A user with official weights, a folder of pictures and a notebook.

The commands, and every Python block of README and docs in its page's order.
"""

import json
import os
import shlex
import shutil
import sys

import cv2
import numpy as np
import pytest
import torch

from hrnet_jax.data.generated.faces import draw_face
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.train import train
from tests import tiny, tiny_detection, tiny_pose
from tests.conversion.published import published, write
from tests.walks import notebook, pages
from tests.walks.desk import Desk

TABLE = {
    "convert": ("README.md", "python scripts/convert.py hrnet_cs_8090_torch11.pth"),
    "predict": ("README.md", "python scripts/predict.py --workdir=runs/w48"),
    "at once": (
        "weights.md",
        "python scripts/predict.py --workdir=hrnet_cs_8090_torch11",
    ),
    "back": ("weights.md", "python scripts/convert.py runs/w48 back.pth"),
    "mmseg": ("weights.md", "python scripts/convert.py runs/w48 back.safetensors"),
    "list": ("weights.md", "python scripts/convert.py --list cityscapes"),
    "entry": ("weights.md", "python scripts/convert.py timm_checkpoint.pth.tar"),
    "part": ("weights.md", "python scripts/convert.py imagenet_w18.pth"),
    "stablehlo": (
        "export.md",
        "python scripts/export.py --workdir=runs/w48 --out=w48.st",
    ),
    "onnx": ("export.md", "python scripts/export.py --workdir=runs/w48 --out=w48.onnx"),
    "faces": ("landmarks.md", "python scripts/convert.py HR18-WFLW.pth"),
    "party": ("landmarks.md", "python scripts/predict.py --workdir=runs/wflw"),
    "names": ("networks.md", "python scripts/models.py NAME --names"),
    "draw": ("networks.md", "python scripts/models.py NAME --svg=FILE"),
    "modules": (
        "performance.md",
        'python -c "import sys, hrnet_jax; hrnet_jax.load_run',
    ),
    "keys": ("configuration.md", "python -m tools.config_keys docs/configuration.md"),
    "prepare": ("scaling.md", "python scripts/prepare_data.py --dataset=shapes"),
}

PAGES = [page for page in pages.names() if pages.python_blocks(page)]


def write_pictures(folder):
    """street.jpg, two photos, and a face."""
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for name in ("street", "photos/a", "photos/b"):
        pixels = cv2.GaussianBlur(
            rng.integers(0, 256, (*notebook.SIZE, 3), np.uint8), (0, 0), 3
        )
        assert cv2.imwrite(f"{folder}/{name}.jpg", pixels)
    face = draw_face(0, "frontal", 0, 256, 68, 0.0).image
    assert cv2.imwrite(f"{folder}/party.jpg", face[..., ::-1])


def drawn(name, **options):
    """Tensors by official names; not kept, as they are hundreds of megabytes."""
    return published.__wrapped__(name, **options)[2]


def write_weights(folder):
    """Files with the names and shapes of the released ones, and random weights."""
    w48 = drawn("segmentation/w48", num_classes=19)
    write(folder / "hrnet_cs_8090_torch11.pth", w48)
    for name in ("hrnet_w48_cityscapes.pth", "hrnet_w48.pth"):
        os.link(folder / "hrnet_cs_8090_torch11.pth", folder / name)
    faces = drawn("landmarks/w18", num_points=98)
    write(folder / "HR18-WFLW.pth", faces)
    for width in (18, 32):
        tensors = drawn(f"classification/w{width}")
        write(folder / f"imagenet_w{width}.pth", tensors)
    os.link(folder / "imagenet_w32.pth", folder / "hrnetv2_w32_imagenet_pretrained.pth")
    small = drawn("classification/w18_small_v1")
    average = {name: torch.tensor(value) for name, value in small.items()}
    write(folder / "timm_checkpoint.pth.tar", small, state_dict_ema=average)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("notebook"), TABLE)
    write_pictures(desk.folder)
    write_weights(desk.folder)
    yield desk
    # pytest would keep a gigabyte of it.
    shutil.rmtree(desk.folder)


@pytest.fixture(scope="module")
def converted(desk):
    printed = desk.type("convert")
    assert "segmentation/w48" in printed.out
    desk.has("runs/w48/weights.json", "runs/w48/config.json")
    return desk


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Files of a small network in the place of W48, which takes minutes to export."""
    desk = Desk(tmp_path_factory.mktemp("exports"), TABLE)
    small = drawn("segmentation/w18_small_v1", num_classes=19)
    write(desk.folder / "small.pth", small)
    desk.finish(desk.shell("python scripts/convert.py small.pth runs/w48"))
    for name, file in (("stablehlo", "w48.stablehlo"), ("onnx", "w48.onnx")):
        # Images of the check as small as those of the walk.
        assert "largest error" in desk.type(name, "--check_size=64x96").out
        desk.has(file, f"{file}.json")
    return desk


@pytest.fixture(scope="module")
def faces(desk):
    assert "landmarks/w18" in desk.type("faces").out
    return desk


def _pose_config():
    config = tiny_pose.get_config()
    config.dataset.data_dir = str(tiny_pose.data_dir())
    config.mesh.data = 1
    return config


@pytest.fixture(scope="module")
def problems(converted, exported, faces):
    """Page -> the traceback of its Python blocks."""
    desk = converted
    for path in exported.folder.glob("w48.*"):
        shutil.copy(path, desk.folder)
    desk.type("prepare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        shutil.copytree(tiny.finished_run(), desk.folder / "runs/mine")
        train(tiny_detection.config(num_steps=2), desk.folder / "runs/pets")
        train(_pose_config(), desk.folder / "runs/pose")
    command = [sys.executable, "-W", "error", "-m", "tests.walks.notebook", *PAGES]
    printed = desk.finish(desk.shell(shlex.join(command)))
    return json.loads(printed.out)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_python_blocks_of_a_page_run_in_order(page, problems):
    assert problems[page] == "", problems[page]


@pytest.mark.slow
def test_a_folder_of_pictures_is_labelled(converted):
    assert "2 images labelled, see out/summary.json" in converted.type("predict").out
    converted.has("out/a_label.png", "out/b_overlay.png")
    labels = (converted.folder / "out/a_label.png").read_bytes()
    # Without a work directory the same.
    shutil.copy(converted.folder / "photos/a.jpg", converted.folder / "street.jpg")
    converted.type("at once")
    assert (converted.folder / "out/street_label.png").read_bytes() == labels


@pytest.mark.slow
def test_weights_go_back_as_they_came(converted):
    assert "tensors written to back.pth" in converted.type("back").out
    back, given = [
        torch.load(converted.folder / name, weights_only=True)
        for name in ("back.pth", "hrnet_cs_8090_torch11.pth")
    ]
    for name, tensor in given["state_dict"].items():
        assert torch.equal(back[name], tensor), name
    assert "tensors written to back.safetensors" in converted.type("mmseg").out


@pytest.mark.slow
def test_parts_of_files_are_taken(desk):
    printed = desk.type("list")
    assert "hrnet_cs_8090_torch11.pth" in printed.out
    desk.type("entry")
    desk.has("runs/average/weights.json")
    assert "classifier" in desk.type("part").out
    desk.has("runs/start/weights.json")


@pytest.mark.slow
def test_faces_of_a_photograph_are_searched(faces):
    assert "1 image labelled" in faces.type("party").out
    faces.has("out/party_points.png")


@pytest.mark.slow
def test_a_network_is_printed_and_drawn(desk):
    assert "stage4" in desk.type("names").out
    desk.type("draw")
    assert (desk.folder / "network.svg").read_text().startswith("<svg")


@pytest.mark.slow
def test_opening_a_run_imports_as_little_as_the_page_says(desk):
    assert int(desk.type("modules").out) < 1450


@pytest.mark.slow
def test_the_page_of_keys_is_what_its_command_writes(desk):
    path = desk.folder / "docs/configuration.md"
    path.parent.mkdir()
    path.write_text(pages.read("configuration.md"))
    desk.type("keys")
    assert path.read_text() == pages.read("configuration.md")
