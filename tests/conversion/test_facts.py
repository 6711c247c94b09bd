"""Facts about files of weights that their tensors do not tell."""

import numpy as np
import pytest

from hrnet_jax.conversion.importing import ImportOptions, import_weights
from hrnet_jax.errors import WeightsError
from hrnet_jax.inference.workdir import load_run
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
