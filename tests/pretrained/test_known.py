"""Records of released files fit the registry, the schemes and each other."""

import re

import pytest

from hrnet_jax.errors import WeightsError
from hrnet_jax.experiment.defaults import default_config, value_of
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.models.resize import EXCHANGE_METHODS
from hrnet_jax.pretrained.known import KnownFile, find_known, get_known, known_files
from hrnet_jax.pretrained.names import conventions
from hrnet_jax.registry import create_model

RECORDS = known_files()
LICENCES = {"MIT", "Apache-2.0", "BSD-3-Clause", "non-commercial (FCOS)", ""}


def test_every_repository_is_there():
    sources = {record.source for record in RECORDS}
    for repository in (
        "HRNet-Image-Classification",
        "HRNet-Semantic-Segmentation, branch master",
        "HRNet-Semantic-Segmentation, branch pytorch-v1.1",
        "HRNet-Semantic-Segmentation, branch HRNet-OCR",
        "HRNet-Facial-Landmark-Detection",
        "HRNet-Object-Detection",
        "deep-high-resolution-net.pytorch",
        "HRNet-FCOS",
        "HRNet-MaskRCNN-Benchmark",
        "CSAILVision/semantic-segmentation-pytorch",
        "timm",
        "mmsegmentation",
        "mmdetection",
        "mmpose, branch 0.x",
        "mmpose, branch main",
    ):
        assert any(repository in source for source in sources), repository
    assert len(RECORDS) == 271


@pytest.mark.parametrize(
    "record", RECORDS, ids=lambda record: f"{record.convention}-{record.file}"
)
def test_a_record_describes_a_model_that_exists(record):
    outputs = {}
    if record.outputs is not None:
        is_points = record.family in ("landmarks", "pose")
        outputs["num_points" if is_points else "num_classes"] = record.outputs
    assert (record.outputs is None) <= (record.family in ("pyramid", "classification"))
    model = create_model(
        record.model, upsample=record.upsample, **outputs, **record.options
    )
    assert record.convention in conventions(model.output_kind)
    assert record.upsample in EXCHANGE_METHODS
    assert record.licence in LICENCES
    assert record.momentum is None or record.momentum in (0.01, 0.1)
    NormOptions(epsilon=record.epsilon)
    Normalization(record.mean, record.std, record.channel_order)
    assert record.source and record.reference and record.data
    if record.value is None:
        assert record.published == "no figure published"
    else:
        assert record.metric and record.protocol
        is_share = record.metric in ("keypoint AP", "NME")
        assert 0 < record.value < (1 if is_share else 100)
    assert KnownFile.from_json(record.to_json()) == record


def test_only_names_that_were_released_twice_are_there_twice():
    names = [record.file for record in RECORDS if record.file]
    twice = {name for name in names if names.count(name) > 1}
    assert twice == {
        "hrnet_w48_cityscapes_cls19_1024x2048_trainset.pth",
        "hrnet_w48_lip_cls20_473x473.pth",
    }
    for name in twice:
        old, new = find_known(name)
        assert (old.inplace_abn, new.inplace_abn) == (True, False)
        with pytest.raises(WeightsError, match=f"{name}: 2 released files have this"):
            get_known(name)


# Figures of the published tables, one per repository.
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("hrnetv2_w48_imagenet_pretrained.pth", ("top-1 error (%)", 20.7, 1000)),
        ("hrnet_cs_8090_torch11.pth", ("mIoU (%)", 80.9, 19)),
        ("hrnet_ocr_cs_8162_torch11.pth", ("mIoU (%)", 81.6, 19)),
        ("HR18-300W.pth", ("NME (%)", 3.34, 68)),
        ("pose_hrnet_w48_384x288.pth", ("keypoint AP", 0.763, 17)),
        ("hrnet_w48.ms_in1k", ("top-1 (%)", 79.328, 1000)),
    ],
)
def test_published_figures(file, expected):
    record = get_known(f"downloads/{file}")
    assert (record.metric, record.value, record.outputs) == expected


def test_facts_that_no_tensor_tells():
    ocr = get_known("hrnet_ocr_lip_5648_torch04.pth")
    assert ocr.upsample == "align_corners" and ocr.inplace_abn
    plain = get_known("hrnet_lip_5583_torch04.pth")
    assert plain.upsample == "bilinear" and plain.inplace_abn
    assert get_known("HR18-WFLW.pth").momentum == 0.01
    fcos = [r for r in RECORDS if r.convention == "fcos"]
    assert {r.channel_order for r in fcos} == {"bgr"}
    assert {(r.options.get("levels", 5), r.options.get("stride", 1)) for r in fcos} == {
        (5, 2),
        (6, 1),
    }
    assert get_known("pose_hrnet_w32_256x192.pth").input_size == (256, 192)


def test_a_safetensors_file_has_the_record_of_its_name():
    for record in RECORDS:
        if record.file:
            stem = record.file.removesuffix(".tar").removesuffix(".pth")
            expected = find_known(record.file)
            assert find_known(f"weights/{stem}.safetensors") == expected, record.file
            assert find_known(f"{record.file}.safetensors") == expected, record.file
    assert find_known(".safetensors") == ()


@pytest.mark.parametrize(
    ("file", "page"),
    [
        ("HR18-WFLW.pth", "HRNet/HRNet-Facial-Landmark-Detection/blob/HEAD/README.md"),
        (
            "hrnet_cs_8090_torch11.pth",
            "HRNet/HRNet-Semantic-Segmentation/blob/HRNet-OCR/README.md",
        ),
        (
            "fcn_hr18s_512x1024_40k_cityscapes_20200601_014216-93db27d0.pth",
            "open-mmlab/mmsegmentation",
        ),
    ],
)
def test_a_record_tells_the_page_of_its_file(file, page):
    assert get_known(file).page == f"https://github.com/{page}"


def test_every_record_has_a_page():
    assert get_known("hrnet_w48.ms_in1k").page == (
        "https://huggingface.co/timm/hrnet_w48.ms_in1k"
    )
    for record in RECORDS:
        assert re.fullmatch(
            r"https://(github\.com/[\w.-]+|huggingface\.co/timm)/[\w./-]+", record.page
        )


def test_an_unknown_name_is_an_error():
    with pytest.raises(WeightsError, match=r"mine\.pth: no released file of this name"):
        get_known("mine.pth")
    assert find_known("") != () and find_known("mine.pth") == ()


def test_settings_are_keys_of_the_task():
    """What official weights of pose need to predict as they were trained."""
    some = {str(r.settings): r for r in RECORDS if r.settings}
    assert len(some) == 3 and {r.family for r in some.values()} == {"pose"}
    for record in some.values():
        config = default_config("pose")
        for key, value in record.settings.items():
            assert type(value_of(config, key)) is type(value)
    known = get_known("pose_hrnet_w48_384x288.pth").settings
    assert known["dataset.augmentation.compat"] == "official"
    assert known["eval.inference.decoding"] == "quarter"
    assert known["eval.inference.flip_shift"] is True
    udp = "hrnet_w32_coco_256x192_udp-aba0be42_20210220.pth"
    assert get_known(udp).settings == {}
