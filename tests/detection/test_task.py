"""A detector as a task: trained, evaluated, resumed, drawn, on generated shapes."""

import json
import re
import types

import cv2
import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.data.records import open_records
from hrnet_jax.detection.image_masks import ImageMasks
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.imaging import run_lengths
from hrnet_jax.inference.folder import predict_files
from hrnet_jax.inference.predictor import Predictor
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.build import build_run
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import train
from tests import tiny, tiny_detection
from tests.compilations import compilations
from tests.tiers import fast_are, with_detectors

TRAINED = ["mask_rcnn", "fcos", with_detectors("faster_rcnn")]
TRAINED += [with_detectors("cascade_rcnn"), with_detectors("cascade_mask_rcnn")]


@pytest.fixture(scope="module", autouse=True)
def tiny_variant():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Work directories of undisturbed runs, made when asked for."""
    made = {}

    def get(kind, **changes):
        key = (kind, *changes.items())
        if key not in made:
            made[key] = tmp_path_factory.mktemp(kind)
            train(tiny_detection.config(kind, **changes), made[key])
        return made[key]

    return get


@pytest.fixture(scope="module")
def finished(trained):
    """An undisturbed run of the kind that most tests look at."""
    return trained("mask_rcnn")


@pytest.mark.parametrize("kind", fast_are(["mask_rcnn"], TRAINED))
def test_trains_evaluates_and_predicts(kind, finished, trained):
    workdir = finished if kind == "mask_rcnn" else trained(kind)
    lines = read_metrics(workdir)
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert len(losses) == 4 and np.isfinite(losses).all()
    metrics = tiny.result(workdir)["metrics"]
    assert {"AP", "AP50", "AR100", "APs", "AP/disc"} <= metrics.keys()
    assert ("mask_AP" in metrics) is ("mask" in kind)
    run = hrnet_jax.load_run(workdir)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    found = run.predict(image)
    assert found["boxes"].shape == (10, 4) and found["boxes"].dtype == np.float32
    assert (found["boxes"] >= 0).all() and (found["boxes"] <= [120, 90] * 2).all()
    assert (np.diff(found["scores"]) <= 0).all()
    assert set(found["classes"]) <= set(range(len(run.info.box_class_names)))
    if "mask" in kind:
        assert np.asarray(found["masks"]).shape == (10, 90, 120)
    assert (workdir / "predictions").is_dir()


def test_a_folder_gets_pictures_and_a_list(finished, tmp_path):
    run = hrnet_jax.load_run(finished)
    image = np.full((50, 80, 3), 90, np.uint8)
    image[10:30, 20:60] = 220
    cv2.imwrite(str(tmp_path / "wide.png"), image)
    predict_files(run, [tmp_path / "wide.png"], tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    (entry,) = summary["images"]
    assert len(entry["found"]) == 10
    first = entry["found"][0]
    assert first.keys() == {"name", "score", "box", "segmentation"}
    assert first["name"] in run.info.box_class_names
    mask = run_lengths.decode(first["segmentation"]["counts"], (50, 80))
    np.testing.assert_array_equal(mask, run.predict(image)["masks"][0])
    assert cv2.imread(str(tmp_path / "out" / "wide_objects.png")).shape == (50, 80, 3)


@pytest.mark.slow
def test_a_folder_of_twenty_sizes_compiles_at_most_four_programs(tmp_path):
    config = tiny_detection.config(
        "faster_rcnn", dataset__augmentation__test_scale=(96, 64)
    )
    task = build_run(read_config(config)).task
    predictor = Predictor(task, hrnet_jax.initial_variables(task.model, 0))
    run = types.SimpleNamespace(
        task=task,
        about={"model": config.model.name},
        predict=predictor.predict,
        save_large=predictor.save_large,
    )
    sides = np.random.default_rng(0).integers(30, 160, (20, 2))
    assert len({tuple(size) for size in sides.tolist()}) == 20
    assert 0 < (sides[:, 0] > sides[:, 1]).sum() < 20  # both orientations
    for number, size in enumerate(sides):
        image = np.full((*size, 3), 90, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    with compilations() as compiled:
        report = predict_files(run, sorted(tmp_path.glob("*.png")), tmp_path / "out")
    assert len(report["images"]) == 20 and not report["failed"]
    assert 2 <= len(compiled) <= 4


def test_boxes_of_images_are_refused(finished):
    run = hrnet_jax.load_run(finished)
    with pytest.raises(DataError, match="this task looks at whole images"):
        run.predict(np.zeros((64, 64, 3), np.uint8), [[0, 0, 5, 5]])


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 4])
def test_any_batch_size_gives_the_same_metrics(size, finished):
    workdir = finished
    expected = tiny.result(workdir)["metrics"]
    found = evaluate(tiny_detection.config(eval__batch_size=size), workdir)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_each_orientation_has_a_program_of_its_own(tmp_path, caplog):
    config = tiny_detection.config("faster_rcnn,both_orientations")
    with caplog.at_level("INFO"):
        train(config, tmp_path)
    sizes = re.findall(r"step of 2 images (\d+x\d+) ", caplog.text)
    assert sorted(sizes) == ["64x96", "96x64"]
    expected = tiny.result(tmp_path)["metrics"]
    config.eval.batch_size = 1
    assert evaluate(config, tmp_path) == pytest.approx(expected, abs=1e-6)


def loss_of(run, batch):
    """The losses of a fresh network for a batch."""
    variables = jax.tree.map(
        np.asarray,
        hrnet_jax.initial_variables(run.task.model, 0),
    )
    keys = {"dropout": jax.random.key(0)}
    _, (_, scalars) = jax.jit(run.task.loss)(variables, batch, keys)
    return {name: float(value) for name, value in scalars.items()}


@pytest.mark.slow
def test_samples_do_not_depend_on_who_shares_the_batch():
    run = build_run(read_config(tiny_detection.config("faster_rcnn")))
    records = open_records("shapes_objects", str(tiny_detection.data_dir()), "train")
    rng = np.random.default_rng(0)
    samples = [run.task.train_transform(records[k], rng) for k in range(2)]
    arrays = [
        {k: v for k, v in sample.items() if isinstance(v, np.ndarray)}
        for sample in samples
    ]
    both = {key: np.stack([one[key] for one in arrays]) for key in arrays[0]}
    padded = dict(both)
    padded["image"] = np.pad(both["image"], ((0, 0), (0, 64), (0, 64), (0, 0)))
    small, large = loss_of(run, both), loss_of(run, padded)
    # Only what the network itself sees at the border differs.
    assert large.keys() == small.keys()
    assert large["rpn_class"] == pytest.approx(small["rpn_class"], rel=0.05)


def test_masks_are_made_when_asked_for():
    probabilities = np.zeros((2, 28, 28), np.float32)
    probabilities[0] = 1.0
    masks = ImageMasks(
        probabilities, np.array([[2, 3, 6, 8], [0, 0, 9, 9]], np.float32), (10, 12)
    )
    assert len(masks) == 2 and masks.shape == (2, 10, 12)
    expected = np.zeros((10, 12), bool)
    expected[3:8, 2:6] = True
    np.testing.assert_array_equal(masks[0], expected)
    np.testing.assert_array_equal(np.asarray(masks), [expected, expected & False])
    assert run_lengths.area(masks.run_lengths(0)) == 20
    assert np.asarray(masks.chosen(np.array([], int))).shape == (0, 10, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss__regions": -1}, "config key 'loss.regions' must be positive, or 0 for"),
        (
            {"eval__inference__score": 1.5},
            "config key 'eval.inference.score' must be between 0 and 1, got 1.5",
        ),
        ({"eval__inference__count": 0}, "'eval.inference.count' must be at least 1, g"),
        (
            {"model__options": {"conventions": "v2"}},
            "model option 'conventions' must be modern or v1, got 'v2'",
        ),
        (
            {
                "model__name": f"detection/fcos_{tiny.VARIANT_NAME}",
                "model__options": {"features": 40},
            },
            "model option 'features' is 40; group norm of FCOS needs a multiple of 32",
        ),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ConfigError) as caught:
        build_run(read_config(tiny_detection.config("faster_rcnn", **changes)))
    assert message in str(caught.value)
