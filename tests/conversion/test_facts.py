"""Facts about files of weights that their tensors do not tell."""

import dataclasses

import numpy as np
import pytest

from hrnet_jax.conversion.facts import gather_facts
from hrnet_jax.conversion.importing import ImportOptions, import_weights
from hrnet_jax.errors import WeightsError
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.pretrained.known import get_known
from hrnet_jax.registry import create_model
from tests.conversion.published import NAME, published, write


@pytest.mark.slow
def test_a_record_that_the_counters_contradict_is_an_error(tmp_path):
    _, _, tensors = published("segmentation/w48", num_classes=150)
    path = write(tmp_path / "hrnet_ade20k_4312_torch04.pth", tensors)
    message = (
        "trained with InPlaceABN, which counts no batches, but this file has batch"
    )
    with pytest.raises(WeightsError, match=message):
        import_weights(path, tmp_path / "run")
    options = ImportOptions(inplace_abn=False)
    assert not import_weights(path, tmp_path / "run", options).facts.inplace_abn


def test_fcos_takes_the_means_of_caffe(tmp_path):
    _, _, tensors = published("pyramid/w18_small_v1", "fcos")
    path = write(tmp_path / "fcos.pth", tensors)
    facts = import_weights(path, tmp_path / "run").facts
    assert facts.options["stride"] == 2 and facts.options["levels"] == 5
    kept = load_run(tmp_path / "run").config.model.normalization
    assert kept == facts.normalization and kept.channel_order == "bgr"
    np.testing.assert_allclose(
        np.multiply(kept.mean, 255), [102.9801, 115.9465, 122.7717]
    )
    np.testing.assert_allclose(np.multiply(kept.std, 255), 1)


def test_an_assumption_is_told(tmp_path):
    _, _, tensors = published()
    path = write(tmp_path / "mine.pth", tensors)
    imported = import_weights(path, tmp_path / "run")
    assert "assumed: upsample=bilinear, as most segmentation files" in str(imported)
    options = ImportOptions(upsample="align_corners")
    imported = import_weights(path, tmp_path / "other", options)
    assert not imported.facts.assumed
    assert load_run(tmp_path / "other").task.model.upsample == "align_corners"


def test_weights_of_mmsegmentation_upsample_by_factors(tmp_path):
    _, _, tensors = published(NAME, "mmseg", head_bias=False)
    path = write(tmp_path / "fcn.pth", tensors)
    import_weights(path, tmp_path / "run")
    assert load_run(tmp_path / "run").task.model.upsample == "bilinear_by_factor"


@pytest.mark.slow
def test_how_a_classifier_upsampled_is_not_how_its_successor_does(tmp_path):
    _, _, tensors = published("classification/w18")
    path = write(tmp_path / "hrnetv2_w18_imagenet_pretrained.pth", tensors)
    options = ImportOptions(
        model="segmentation/w18", options={"num_classes": 3}, partial=True
    )
    imported = import_weights(path, tmp_path / "run", options)
    assert imported.facts.record.upsample == "nearest"
    assert load_run(tmp_path / "run").task.model.upsample == "bilinear"


def test_channels_of_fcos_are_those_of_its_generation():
    options = (("num_classes", 3), ("features", 32))
    name = "detection/fcos_w18_small_v1"
    _, _, new = published(name, "mmdet", **dict(options))
    found = gather_facts(new, None, ImportOptions())
    assert (found.model, found.options["stride"]) == (name, 2)
    assert found.normalization.channel_order == "bgr"
    assert found.normalization.std == (0.225, 0.224, 0.229)
    _, _, old = published(name, "mmdet1x", **dict(options))
    found = gather_facts(old, None, ImportOptions())
    # Bytes less the mean of Caffe's networks, undivided.
    assert found.normalization.channel_order == "bgr"
    assert found.normalization.std == pytest.approx((1 / 255,) * 3)


@pytest.mark.parametrize(
    ("convention", "expected"),
    [("official", "v1"), ("mmdet1", "v1"), ("mmdet1x", "v1"), ("mmdet", None)],
)
def test_boxes_count_their_last_pixel_before_mmdetection_2(convention, expected):
    options = (("num_classes", 3), ("features", 32), ("head_width", 6))
    name = "detection/faster_rcnn_w18_small_v1"
    _, _, tensors = published(name, convention, **dict(options))
    found = gather_facts(tensors, None, ImportOptions())
    assert found.options.get("conventions") == expected
    model = create_model(found.model, **found.options)
    assert model.numbers.conventions.plus_one == (expected == "v1")
    assert model.numbers.rpn.proposals == (2000 if expected else 1000)
    # Who takes nothing but the pyramid of them has nothing to measure.
    pyramid = ImportOptions(model="pyramid/w18_small_v1")
    assert "conventions" not in gather_facts(tensors, None, pyramid).options


def test_records_of_detectors_name_whole_ones():
    record = get_known("mask_rcnn_hrnetv2p_w48_1x_20190820-0923d1ad.pth")
    assert (record.model, record.outputs) == ("detection/mask_rcnn_w48", 80)
    assert record.convention == "mmdet1x"
    # Of a cascade with a semantic branch there is no model here but its pyramid.
    record = get_known("htc_hrnetv2p_w18_20e_20190810-d70072af.pth")
    assert record.model == "pyramid/w18"
    options = (("num_classes", 3), ("features", 32), ("head_width", 6))
    _, _, cascade = published(
        "detection/cascade_mask_rcnn_w18_small_v1", "mmdet", **dict(options)
    )
    record = dataclasses.replace(record, model="pyramid/w18_small_v1")
    found = gather_facts(cascade, record, ImportOptions())
    assert found.model == "pyramid/w18_small_v1"
    other = dataclasses.replace(record, model="pyramid/w18")
    with pytest.raises(WeightsError, match="^mislabelled: "):
        gather_facts(cascade, other, ImportOptions())
