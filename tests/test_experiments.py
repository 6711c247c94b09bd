"""Every experiment file: documented, readable, and run from end to end."""

import importlib.util
import json
import pathlib

import cv2
import jax
import numpy as np
import pytest

from hrnet_jax.data.class_tables import COCO_THINGS
from hrnet_jax.data.registry import prepare
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model, get_spec, get_task
from hrnet_jax.segmentation.model import SegmentationOCR
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import train
from tests import tiny, tiny_pose
from tests.tiers import fast_are
from tests.walks.desk import CHEAP

FOLDER = tiny.ROOT / "experiments"
RUN_FAST = ["quickstart.py", "landmarks/w300.py"]
FILES = sorted(
    path.relative_to(FOLDER).as_posix()
    for path in FOLDER.rglob("*.py")
    # Which say what differs between runs: tests/sweeps/test_shipped.py.
    if path.parent.name != "sweeps"
)
# Their debug forms are typed, trained and evaluated by tests/walks.
TYPED = ["detection/own.py", "detection/shapes.py", "pose/own.py"]


def load(name):
    spec = importlib.util.spec_from_file_location("experiment", FOLDER / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blobs(rng, height, width, labels):
    """An image of smooth colours with a label map of large areas."""
    areas = rng.integers(0, len(labels), (3, 4)).astype(np.uint8)
    areas = cv2.resize(areas, (width, height), interpolation=cv2.INTER_NEAREST)
    image = cv2.GaussianBlur(
        rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3
    )
    return image, np.asarray(labels, np.uint8)[areas]


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def make_camvid(folder, rng):
    for split in ("train", "val", "test"):
        lines = []
        for name in ("a", "b", "c"):
            image, label = blobs(rng, 72, 96, range(12))
            paths = f"{split}/{name}.png", f"{split}annot/{name}.png"
            write(folder / paths[0], image)
            write(folder / paths[1], label)
            lines.append(" ".join(paths))
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")


def make_cityscapes(folder, rng):
    for split, city in (("train", "ulm"), ("val", "bonn")):
        for number in range(3):
            name = f"{city}_{number:06}_000019"
            image, label = blobs(rng, 64, 128, range(34))
            place = f"{split}/{city}/{name}"
            write(folder / f"leftImg8bit/{place}_leftImg8bit.png", image)
            write(folder / f"gtFine/{place}_gtFine_labelIds.png", label)


def make_folder(folder, rng):
    for number in range(10):
        image, label = blobs(rng, 70 + number, 90, (0, 1, 2, 255))
        write(folder / f"images/{number}.jpg", image)
        write(folder / f"masks/{number}.png", label)
    (folder / "classes.txt").write_text("ground\ntree\nhouse\n")


def make_landmarks_csv(folder, rng):
    names = ("left_eye", "right_eye", "nose")
    header = ",".join(f"{name}_{axis}" for name in names for axis in "xy")
    for split, count in (("train", 6), ("val", 3)):
        lines = [f"image_name,{header}"]
        for number in range(count):
            image, _ = blobs(rng, 70, 90, (0, 1))
            write(folder / f"images/{split}{number}.jpg", image)
            points = ((25, 20), (60, 22), (40, 50)) + rng.normal(0, 3, (3, 2))
            values = ",".join(f"{value:.2f}" for value in points.ravel())
            lines.append(f"{split}{number}.jpg,{values}")
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")


def make_coco(folder, rng, names, images):
    """COCO's files: rectangles with polygons; `images` may hold {split}."""
    categories = [{"id": number, "name": name} for number, name in names.items()]
    for split, count in (("train", 6), ("val", 3), ("test", 3)):
        document = {"images": [], "annotations": [], "categories": categories}
        for number in range(1, count + 1):
            # Both orientations.
            height, width = (60, 90) if number % 2 else (90, 60)
            image, _ = blobs(rng, height, width, (0, 1))
            name = f"{split}{number}.jpg"
            write(folder / images.format(split=split) / name, image)
            size = {"height": height, "width": width}
            document["images"].append({"id": number, "file_name": name, **size})
            for label, (x, y) in enumerate(((5, 8), (25, 30))):
                corners = (x, y, x + 20, y, x + 20, y + 25, x, y + 25)
                document["annotations"].append(
                    {
                        "id": len(document["annotations"]) + 1,
                        "image_id": number,
                        "category_id": [*names][label],
                        "bbox": [x, y, 20, 25],
                        "area": 500,
                        "iscrowd": 0,
                        "segmentation": [list(corners)],
                    }
                )
        path = folder / "annotations" / f"instances_{split}2017.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))


def make_own_objects(folder, rng):
    make_coco(folder, rng, {3: "leaf", 7: "stone"}, "images")


def make_class_folders(folder, rng):
    for split, count in (("train", 6), ("val", 3)):
        for name in ("cat", "dog"):
            for number in range(count):
                image, _ = blobs(rng, 70, 90, (0, 1))
                write(folder / f"{split}/{name}/{name}{split}{number}.jpg", image)


def make_coco_2017(folder, rng):
    make_coco(folder, rng, COCO_THINGS, "{split}2017")


DOG = ["nose", "left_paw", "right_paw", "tail"]


def make_own_joints(folder, rng):
    """COCO's files of key points: two dogs in each image."""
    category = {
        "id": 1,
        "name": "dog",
        "keypoints": DOG,
        "skeleton": [[1, 2], [1, 3]],
    }
    for split, count in (("train", 6), ("val", 3)):
        document = {"images": [], "annotations": [], "categories": [category]}
        for number in range(1, count + 1):
            image, _ = blobs(rng, 60, 90, (0, 1))
            name = f"{split}{number}.jpg"
            write(folder / "images" / name, image)
            size = {"height": 60, "width": 90}
            document["images"].append({"id": number, "file_name": name, **size})
            for x in (5, 50):
                points = rng.uniform((x, 10), (x + 30, 50), (4, 2))
                triples = np.concatenate([points, np.full((4, 1), 2)], 1)
                document["annotations"].append(
                    {
                        "id": len(document["annotations"]) + 1,
                        "image_id": number,
                        "category_id": 1,
                        "bbox": [x, 10, 30, 40],
                        "area": 700,
                        "iscrowd": 0,
                        "keypoints": triples.round(1).ravel().tolist(),
                        "num_keypoints": 4,
                    }
                )
        path = folder / "annotations" / f"{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))


# Tiny copies in the layout of the originals; a new data set needs one here.
LAYOUTS = {
    "camvid": make_camvid,
    "cityscapes": make_cityscapes,
    "segmentation_folder": make_folder,
    "landmarks_csv": make_landmarks_csv,
    "coco_detection": make_coco_2017,
    "detection_coco": make_own_objects,
    "bccd": make_own_objects,
    "keypoints_coco": make_own_joints,
    "classification_folder": make_class_folders,
    "imagenette": make_class_folders,
}
OPTIONS = {
    "shapes": {"image_size": 64, "train": 8, "val": 4},
    "shapes_objects": {"image_size": 96, "train": 8, "val": 4},
    "shapes_classes": {"image_size": 64, "train": 8, "val": 4},
    "landmarks_csv": {"flip_pairs": ("left_eye:right_eye",)},
    **{
        f"faces_{count}": {"num_points": count, "train": 8, "val": 4}
        for count in (68, 98, 29, 19)
    },
    **{
        f"figures_{joints}": {"joints": joints, "image_size": 64, "train": 4, "val": 3}
        for joints in ("coco", "mpii", "lsp")
    },
}


def prepare_tiny(name, folder):
    source = None
    if name in LAYOUTS:
        source = folder / "source"
        LAYOUTS[name](source, np.random.default_rng(0))
    options = OPTIONS.get(name, {})
    # `faces_68` is the set `faces` with that many points.
    first = name.partition("_")[0]
    dataset = first if first in ("faces", "figures") else name
    # Sets of somebody's own.
    own = {"bccd": "detection_coco", "imagenette": "classification_folder"}
    dataset = own.get(name, dataset)
    prepare(dataset, folder / "data", source, save_as=name, **options)
    return str(folder / "data")


def test_there_are_experiments():
    assert {"quickstart.py", "segmentation/camvid.py"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_tells_the_command_the_expected_metric_and_the_options(name):
    module = load(name)
    text = module.__doc__
    assert "scripts/train.py" in text and f"--config=experiments/{name}" in text
    assert "--workdir=" in text
    task = get_task(module.get_config().task)
    expected = text[text.index("Expected") :]
    assert task.best_metric[0] in expected
    assert "Options:" in expected and "debug" in expected


@pytest.mark.parametrize("name", FILES)
def test_the_whole_configuration_is_read(name):
    config = load(name).get_config()
    assert config.is_locked
    options = read_config(config)
    assert read_config(to_json(config)).model == options.model
    task = get_task(options.task)
    assert isinstance(options.loss, task.Loss)
    assert isinstance(options.eval.inference, task.Inference)
    assert isinstance(options.dataset.augmentation, task.Augmentation)
    outputs = get_spec(options.task).num_outputs
    create_model(options.model.name, **{outputs: 2})
    assert options.num_steps > 0 or options.num_epochs > 0


OCR_FILES = [
    f"segmentation/{name}.py"
    for name in (
        *("cityscapes", "folder", "lip", "pascal_context", "ade20k", "coco_stuff"),
        "voc",
    )
]


@pytest.mark.parametrize("name", OCR_FILES)
def test_object_contextual_representations_are_an_option(name):
    plain, ocr = (
        load(name).get_config(f"variant=w48{option}") for option in ("", ",ocr")
    )
    assert plain.model.name == "segmentation/w48"
    assert ocr.model.name == "segmentation/w48_ocr"
    assert ocr.loss.aux_weight == 0.4
    assert isinstance(create_model(ocr.model.name), SegmentationOCR)
    debug = load(name).get_config("ocr,debug")
    assert debug.model.name == "segmentation/w18_small_v1_ocr"


def test_norms_of_cityscapes_follow_the_branch_of_the_model():
    config = load("segmentation/cityscapes.py").get_config
    # BN_MOMENTUM in `seg_hrnet.py` of pytorch-v1.1 and `seg_hrnet_ocr.py`.
    assert config("").model.norm_momentum == 0.01
    assert config("ocr").model.norm_momentum == 0.1


def test_fcos_learns_as_in_mmdetection():
    """`fcos_hrnetv2p-*-gn-head_*.py`: constant warm-up of 1x alone, rates of biases."""
    config = load("detection/fcos.py").get_config
    for options, warmup, factor in (
        ("", "constant", 1 / 3),
        ("schedule=2x,scales=ms", "linear", 0.001),
    ):
        found = config(options)
        assert (found.schedule.warmup, found.schedule.warmup_factor) == (warmup, factor)
        assert found.schedule.warmup_steps == 500
        optimizer = found.optimizer
        assert (optimizer.bias_rate, optimizer.decay_biases) == (2.0, False)
        assert (optimizer.clip_norm, found.schedule.learning_rate) == (35.0, 0.01)
    other = load("detection/faster_rcnn.py").get_config()
    assert (other.optimizer.bias_rate, other.optimizer.decay_biases) == (1.0, True)


@pytest.mark.parametrize(
    "name",
    fast_are(
        RUN_FAST[:1],
        [
            *(name for name in FILES if name not in TYPED),
            "segmentation/cityscapes.py:ocr",
        ],
    ),
)
def test_debug_runs_from_end_to_end(name, tmp_path, monkeypatch, unoptimized):
    # What experiments bind differs, and not the network.
    small = tiny_pose.VARIANT if name.startswith("pose/") else tiny.VARIANT
    monkeypatch.setitem(VARIANTS, "w18_small_v1", small)
    check_debug_run(name, tmp_path)


def test_what_walks_type_is_not_run_twice():
    assert {*TYPED} < {*FILES}
    for name in TYPED:
        assert CHEAP[f"experiments/{name}"] == f"experiments/{name}:debug"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RUN_FAST, "segmentation/cityscapes.py:ocr"])
def test_debug_runs_train_the_network_that_users_get(name, tmp_path):
    check_debug_run(name, tmp_path)


def check_debug_run(name, folder):
    name, _, option = name.partition(":")
    config = load(name).get_config(f"{option},debug")
    # For laptops, as for this test.
    expected = "w18_small_v1_ocr" if option else "w18_small_v1"
    assert config.model.name.endswith(expected)
    assert config.num_steps <= 10
    config.dataset.data_dir = prepare_tiny(config.dataset.name, folder)
    config.mesh.data = 1
    config.logging.progress = False
    config.logging.tensorboard = False
    workdir = folder / "run"
    metrics = train(config, workdir)
    best = get_task(config.task).best_metric[0]
    assert np.isfinite(metrics[best])
    result = json.loads((workdir / "result.json").read_text())
    assert result[best] == metrics[best]
    assert result["split"] == (config.dataset.test_split or config.dataset.eval_split)
    losses = [
        line["train/loss"] for line in read_metrics(workdir) if "train/loss" in line
    ]
    assert len(losses) >= 2 and np.isfinite(losses).all()
    pictures = list((workdir / "predictions").glob("*.png"))
    assert len(pictures) == min(config.eval.pictures, _count(config, result["split"]))
    jax.clear_caches()


def _count(config, split):
    folder = pathlib.Path(config.dataset.data_dir) / config.dataset.name
    (metadata,) = folder.glob("*/metadata.json")
    return json.loads(metadata.read_text())["counts"][split]
