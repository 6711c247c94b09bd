"""Parts of files: bodies without a head, and what fits of another model."""

import dataclasses
import re

import numpy as np
import pytest

from hrnet_jax.conversion.facts import gather_facts
from hrnet_jax.conversion.importing import (
    ImportOptions,
    import_weights,
)
from hrnet_jax.errors import ConfigError, WeightsError
from hrnet_jax.experiment.sections import ModelOptions
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.pretrained import (
    HEAD_PATTERNS,
    read_weights_file,
)
from hrnet_jax.registry import create_model
from hrnet_jax.training.weights import first_variables, flat_variables
from hrnet_jax.workdir.variables import saved_variables
from tests import tiny
from tests.conversion.published import NAME, published, write
from tests.tiers import fast_are

# A classifier without its last layer, timm's feature extractor, the backbone alone.
HEADLESS = [("classifier.",), ("classifier.", "final_", "downsamp_")]
HEADLESS += [(*HEADLESS[1], "incre_")]


@pytest.mark.parametrize("left_out", fast_are(HEADLESS[:1], HEADLESS), ids=len)
def test_a_body_without_a_whole_head_becomes_features(left_out, tmp_path):
    _, variables, tensors = published("classification/w18_small_v1")
    body = {k: v for k, v in tensors.items() if not k.startswith(left_out)}
    path = write(tmp_path / "body.pth", body)
    imported = import_weights(path, tmp_path / "run")
    assert imported.model == "features/w18_small_v1" and not imported.moved.new
    assert set(imported.moved.dropped) == {
        name for name in read_weights_file(path) if name.startswith(HEADLESS[2])
    }
    assert "assumed: upsample=nearest, as classifiers (--upsample)" in str(imported)
    saved = flat_variables(saved_variables(tmp_path / "run", "best"))
    whole = flat_variables(variables)
    tiny.assert_equal_bits(saved, {name: whole[name] for name in saved})
    with pytest.raises(ConfigError, match="'features' models have no task of their ow"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize(
    "task",
    [
        "segmentation",
        "pose",
        *(
            pytest.param(task, marks=pytest.mark.slow)
            for task in ("landmarks", "classification", "pyramid")
        ),
    ],
)
def test_a_body_starts_every_task(task, tmp_path):
    _, variables, tensors = published("classification/w18_small_v1")
    body = {k: v for k, v in tensors.items() if not k.startswith(HEADLESS[2])}
    write(tmp_path / "body.pth", body)
    import_weights(tmp_path / "body.pth", tmp_path / "run")
    whole, name = flat_variables(variables), f"{task}/w18_small_v1"
    for source in ("body.pth", "run"):
        options = ModelOptions(
            name=name,
            init_from=str(tmp_path / source),
            init_skip=HEAD_PATTERNS,
            # Pose models lack the paths to low resolutions.
            init_partial=task == "pose",
        )
        started, moved = first_variables(create_model(name), options, 1)
        flat = flat_variables(started)
        tiny.assert_equal_bits(
            {name: flat[name] for name in moved.kept},
            {name: whole[name] for name in moved.kept},
        )
        heads = re.compile("|".join(HEAD_PATTERNS).replace("^", "/"))
        assert all(heads.search(name) for name in moved.new) and len(moved.kept) > 200


def test_the_body_of_a_whole_model_is_taken_on_request(tmp_path):
    path = write(tmp_path / "seg.pth", published()[2])
    options = ImportOptions(model="features/w18_small_v1")
    imported = import_weights(path, tmp_path / "run", options)
    assert imported.facts.options["upsample"] == "bilinear"
    assert all(name.startswith("last_layer") for name in imported.moved.dropped)


def test_a_foreign_head_on_a_body_is_refused(tmp_path):
    body = {k: v for k, v in published()[2].items() if not k.startswith("last_layer")}
    body["decoder.weight"] = np.zeros((3, 3), np.float32)
    with pytest.raises(WeightsError, match="no head of classification, .* is complete"):
        import_weights(write(tmp_path / "other.pth", body), tmp_path / "run")


def test_detectors_are_taken_in_part_and_reported(tmp_path):
    _, variables, tensors = published("pyramid/w18_small_v1", "mmdet")
    heads = {
        "bbox_head.conv_centerness.weight": np.ones((1, 256, 3, 3), np.float32),
        "bbox_head.scales.0.scale": np.ones((), np.float32),
    }
    path = write(tmp_path / "fcos.pth", tensors | heads, meta={})
    with pytest.raises(
        WeightsError, match="2 extra: bbox_head.*--partial takes what f"
    ):
        import_weights(path, tmp_path / "run")
    imported = import_weights(path, tmp_path / "run", ImportOptions(partial=True))
    assert imported.moved.dropped.keys() == heads.keys()
    run = load_run(tmp_path / "run")
    tiny.assert_equal_bits(flat_variables(run.variables), flat_variables(variables))
    # What only the detector tells: strides 8 to 128, and OpenCV's channel order.
    assert run.task.model.stride == 2
    assert run.config.model.normalization.channel_order == "bgr"


def test_a_whole_detector_gives_its_pyramid_in_part(tmp_path):
    options = (("num_classes", 3), ("features", 32), ("head_width", 6))
    _, variables, tensors = published(
        "detection/mask_rcnn_w18_small_v1", "official", **dict(options)
    )
    path = write(tmp_path / "mask.pth", tensors)
    assert gather_facts(tensors, None, ImportOptions()).model == (
        "detection/mask_rcnn_w18_small_v1"
    )
    asked = ImportOptions(model="pyramid/w18_small_v1", options={"features": 32})
    with pytest.raises(WeightsError, match="look like detection/mask_rcnn_w18_small"):
        import_weights(path, tmp_path / "run", asked)
    asked = dataclasses.replace(asked, partial=True)
    moved = import_weights(path, tmp_path / "run", asked).moved
    assert not moved.new
    parts = {name.split("/")[1] for name in moved.dropped}
    assert parts == {"rpn", "box_head", "mask_head"}
    run = load_run(tmp_path / "run")
    np.testing.assert_array_equal(
        run.variables["params"]["pyramid"]["reduce"]["kernel"],
        variables["params"]["pyramid"]["reduce"]["kernel"],
    )


def test_a_classifier_starts_a_segmentation_model_in_part(tmp_path):
    _, variables, tensors = published("classification/w18_small_v1")
    path = write(tmp_path / "imagenet.pth", tensors)
    options = ImportOptions(model=NAME, options={"num_classes": 4})
    with pytest.raises(
        WeightsError, match="they look like classification/w18_small_v1"
    ):
        import_weights(path, tmp_path / "run", options)
    options = dataclasses.replace(options, partial=True)
    moved = import_weights(path, tmp_path / "run", options).moved
    assert {name.split("/")[1] for name in moved.new} == {"head"}
    run = load_run(tmp_path / "run")
    assert run.task.model.num_classes == 4 and run.task.model.upsample == "bilinear"
    np.testing.assert_array_equal(
        run.variables["params"]["stem"]["conv1"]["kernel"],
        variables["params"]["stem"]["conv1"]["kernel"],
    )


def test_a_pose_model_starts_all_four_resolutions_in_part(tmp_path):
    _, _, tensors = published("pose/w18_small_v1")
    path = write(tmp_path / "pose.pth", tensors)
    options = ImportOptions(
        model="landmarks/w18_small_v1", options={"num_points": 19}, partial=True
    )
    moved = import_weights(path, tmp_path / "run", options).moved
    assert moved.dropped.keys() == {
        "params/classifier/kernel",
        "params/classifier/bias",
    }
    # The paths to lower resolutions of the last exchange, and the head.
    parts = {name.split("/", 1)[1].rsplit("/", 2)[0] for name in moved.new}
    assert all(part.startswith(("head", "stage4/module0/exchange")) for part in parts)
    assert any("from0_to3" in part for part in parts)
