"""Files of weights to work directories and back."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

from hrnet_jax import runtime
from hrnet_jax.conversion.converting import _config as network_config
from hrnet_jax.conversion.facts import gather_facts
from hrnet_jax.conversion.importing import (
    ImportOptions,
    export_weights,
    import_weights,
)
from hrnet_jax.data.class_tables import CITYSCAPES
from hrnet_jax.errors import CheckpointError, ConfigError, HRNetError, WeightsError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.experiment.sections import ModelOptions
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.resize import resize
from hrnet_jax.pretrained import (
    known,
    read_weights_file,
)
from hrnet_jax.pretrained.files import write_weights_file
from hrnet_jax.pretrained.known import RECORD_FILE, find_known, get_known
from hrnet_jax.registry import create_model
from hrnet_jax.training.weights import first_variables, flat_variables
from tests import tiny
from tests.conversion.published import NAME, published, write


@pytest.fixture
def pth(tmp_path):
    tensors = {f"model.{k}": v for k, v in published()[2].items()}
    return write(tmp_path / "official.pth", tensors)


@pytest.fixture
def workdir(pth, tmp_path):
    import_weights(pth, tmp_path / "run", ImportOptions(labels="cityscapes"))
    return tmp_path / "run"


def test_nothing_is_lost_there_and_back(workdir, tmp_path):
    _, variables, tensors = published()
    run = load_run(workdir)
    tiny.assert_equal_bits(flat_variables(run.variables), flat_variables(variables))
    assert run.info.class_names == tuple(CITYSCAPES)
    assert run.info.palette[0] == (128, 64, 128)
    count = export_weights(workdir, "best", tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert count == len(back) == len(tensors)
    tiny.assert_equal_bits({k: v.numpy() for k, v in back.items()}, tensors)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_weights_file_is_replaced_only_when_asked(suffix, workdir, tmp_path):
    path = tmp_path / f"official.{suffix}"
    path.write_bytes(b"of somebody")
    message = (
        rf"official\.{suffix} exists already; choose another name, or --overwrite$"
    )
    with pytest.raises(CheckpointError, match=message):
        export_weights(workdir, "best", path)
    assert path.read_bytes() == b"of somebody"
    export_weights(workdir, "best", path, overwrite=True)
    back = read_weights_file(path, keep_counters=True)
    tiny.assert_equal_bits(back, published()[2])


def test_a_folder_is_no_name_for_a_weights_file(workdir, tmp_path):
    with pytest.raises(CheckpointError, match=r"is a folder; expected the name of a"):
        export_weights(workdir, "best", tmp_path, overwrite=True)


FILES = [
    ("classification/w18_small_v1", "official", {"num_classes": 10}),
    ("classification/w18_small_v1", "mmpretrain", {"head_bias": False}),
    ("segmentation/w18_small_v1", "mmseg", {"num_classes": 3, "head_bias": False}),
    ("segmentation/w18_small_v1", "official", {"representation": "v1h"}),
    ("segmentation/w18_small_v1", "official", {"representation": "v1"}),
    ("segmentation/w18_small_v1_ocr", "official", {"num_classes": 5}),
    ("landmarks/w18_small_v1", "mmpose1", {"num_points": 29}),
    ("pose/w18_small_v1", "mmpose0", {"num_points": 16}),
    ("pyramid/w18_small_v1", "fcos", {"levels": 6}),
]


# All conventions are in `test_conventions`.
FAST_FILES = {"mmseg"}


@pytest.mark.parametrize(
    "name, convention, options",
    [
        pytest.param(*file, marks=() if file[1] in FAST_FILES else pytest.mark.slow)
        for file in FILES
    ],
)
def test_every_kind_becomes_a_run_and_goes_back(name, convention, options, tmp_path):
    given = tuple(options.items())
    model, variables, tensors = published(name, convention, **dict(given))
    path = write(tmp_path / "weights.pth", tensors)
    imported = import_weights(path, tmp_path / "run")
    assert imported.model == name and imported.facts.convention == convention
    assert not imported.moved.new and not imported.moved.dropped
    run = load_run(tmp_path / "run")
    for key, value in given:
        assert getattr(run.task.model, key) == value
    tiny.assert_equal_bits(flat_variables(run.variables), flat_variables(variables))
    back = tmp_path / "back.safetensors"
    assert export_weights(tmp_path / "run", "best", back, convention) == len(tensors)
    read = read_weights_file(back, keep_counters=True)
    tiny.assert_equal_bits(read, tensors)
    # Training may start from it.
    started, moved = first_variables(
        model, ModelOptions(name=name, init_from=str(tmp_path / "run")), 1
    )
    assert not moved.new
    tiny.assert_equal_bits(flat_variables(started), flat_variables(variables))


def test_the_average_of_weights_is_chosen_and_recorded(tmp_path):
    tensors = published()[2]
    state = {f"net.{k}": torch.zeros(v.shape) for k, v in tensors.items()}
    average = {f"_orig_mod.{k}": torch.tensor(v) for k, v in tensors.items()}
    torch.save({"model": state, "model_ema": average}, tmp_path / "two.pth")
    with pytest.raises(WeightsError, match=r"two\.pth: 2 networks.*'model_ema'"):
        import_weights(tmp_path / "two.pth", tmp_path / "run")
    options = ImportOptions(entry="model_ema")
    import_weights(tmp_path / "two.pth", tmp_path / "run", options)
    run = load_run(tmp_path / "run")
    tiny.assert_equal_bits(
        flat_variables(run.variables), flat_variables(published()[1])
    )
    decided = json.loads((tmp_path / "run" / RECORD_FILE).read_text())["decided"]
    assert "entry 'model_ema' was chosen" in decided
    assert any("'_orig_mod.', which PyTorch code put into" in line for line in decided)


def test_predicts_what_the_model_computes(workdir):
    model, variables, _ = published()
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    logits = runtime.jit(model.apply)(variables, normalize_images(image[None]))
    expected = np.asarray(resize(logits, (32, 32), "bilinear"))[0]
    prediction = load_run(workdir).predict(image)
    np.testing.assert_array_equal(prediction["label"], expected.argmax(-1))
    top = np.exp(expected.max(-1)) / np.exp(expected).sum(-1)
    np.testing.assert_allclose(prediction["confidence"], top, rtol=1e-3)


@pytest.mark.slow
def test_a_released_file_is_known_by_its_name(tmp_path):
    _, _, tensors = published("segmentation/w48", num_classes=150)
    old = {k: v for k, v in tensors.items() if "num_batches" not in k}
    path = write(tmp_path / "hrnet_ade20k_4312_torch04.pth", old)
    imported = import_weights(path, tmp_path / "run")
    record = get_known("hrnet_ade20k_4312_torch04.pth")
    assert imported.facts.inplace_abn and imported.facts.record == record
    assert "published: mIoU (%) 43.1, val, OHEM, single scale, no flip" in str(imported)
    run = load_run(tmp_path / "run")
    assert run.record == record
    assert run.task.model.upsample == "align_corners"
    assert run.info.class_names[::149] == ("wall", "flag")
    scale = run.variables["params"]["stem"]["norm1"]["scale"]
    np.testing.assert_array_equal(
        scale, np.abs(tensors["bn1.weight"]) + np.float32(1e-5)
    )
    content = json.loads((tmp_path / "run" / RECORD_FILE).read_text())
    assert content["record"]["value"] == 43.1 and len(content["sha256"]) == 64


def test_a_mislabelled_file_is_refused(tmp_path):
    _, _, tensors = published("classification/w18_small_v1", "official")
    path = write(tmp_path / "hrnet_cs_8090_torch11.pth", tensors)
    message = (
        r"hrnet_cs_8090_torch11\.pth: mislabelled: a released file of this name is "
        r"segmentation/w48 with 19 outputs .*these tensors are "
        r"classification/w18_small_v1 with 1000"
    )
    with pytest.raises(WeightsError, match=message):
        import_weights(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    imported = import_weights(path, tmp_path / "run", ImportOptions(record=""))
    assert imported.facts.record is None


def test_a_safetensors_file_of_a_released_name_has_its_facts(tmp_path, monkeypatch):
    # A released record of a network small enough for a fast test.
    released = dataclasses.replace(
        get_known("hrnet_cs_8090_torch11.pth"), model=NAME, file="small_cs.pth"
    )
    monkeypatch.setattr(known, "known_files", lambda: (released,))
    for name in ("small_cs.pth", "small_cs.safetensors"):
        write_weights_file(tmp_path / name, published()[2])
        imported = import_weights(tmp_path / name, tmp_path / f"run_{name}")
        assert imported.facts.record == released and not imported.facts.assumed
        run = load_run(tmp_path / f"run_{name}")
        assert run.info.class_names == tuple(CITYSCAPES)
        assert run.task.model.upsample == released.upsample


@pytest.mark.slow
def test_a_renamed_file_can_be_told_to_be_a_released_one(tmp_path):
    _, _, tensors = published("landmarks/w18", num_points=98)
    path = write(tmp_path / "mine.pth", tensors)
    options = ImportOptions(record="HR18-WFLW.pth")
    imported = import_weights(path, tmp_path / "run", options)
    assert imported.facts.momentum == 0.01
    assert load_run(tmp_path / "run").record == get_known("HR18-WFLW.pth")
    options = ImportOptions(record="HR19.pth")
    with pytest.raises(WeightsError, match=r"HR19\.pth: no released file of this name"):
        import_weights(path, tmp_path / "other", options)


def test_a_released_file_of_unknown_size_takes_the_crop_of_its_task():
    _, _, tensors = published("landmarks/w18", num_points=98)
    record = get_known("HR18-WFLW.pth")
    model = create_model("landmarks/w18", num_points=98)
    for size, expected in ((record.input_size, (256, 256)), ((320, 320), (320, 320))):
        known = dataclasses.replace(record, input_size=size)
        facts = gather_facts(tensors, known, ImportOptions())
        assert network_config(facts, model).dataset.augmentation.crop_size == expected
    facts = dataclasses.replace(
        facts, record=dataclasses.replace(record, input_size=None)
    )
    crop = network_config(facts, model).dataset.augmentation.crop_size
    assert crop == default_config("landmarks").dataset.augmentation.crop_size


def test_released_weights_of_poses_predict_in_the_geometry_that_they_know():
    _, _, tensors = published("landmarks/w18", num_points=98)
    facts = gather_facts(tensors, get_known("HR18-WFLW.pth"), ImportOptions())
    model = create_model("pose/w32", num_points=17)
    udp = "hrnet_w32_coco_256x192_udp-aba0be42_20210220.pth"
    for name, compat in (("pose_hrnet_w32_384x288.pth", "official"), (udp, "")):
        known = dataclasses.replace(facts, model="pose/w32", record=get_known(name))
        found = network_config(known, model)
        assert found.dataset.augmentation.compat == compat
        assert found.eval.inference.flip_shift == bool(compat)
        decoding = "quarter" if compat else "dark"
        assert found.eval.inference.decoding == decoding


@pytest.mark.slow
def test_two_files_of_one_name_are_told_apart_by_their_counters(tmp_path):
    name = "hrnet_w48_lip_cls20_473x473.pth"
    assert len(find_known(name)) == 2
    _, _, tensors = published("segmentation/w48", num_classes=20)
    path = write(tmp_path / name, tensors)
    imported = import_weights(path, tmp_path / "new")
    assert "pytorch-v1.1" in imported.facts.record.source
    assert not imported.facts.inplace_abn
    old = {k: v for k, v in tensors.items() if "num_batches" not in k}
    write(path, old)
    with pytest.raises(
        WeightsError, match=f"{name}: two released files.*--inplace_abn"
    ):
        import_weights(path, tmp_path / "old")
    imported = import_weights(path, tmp_path / "old", ImportOptions(inplace_abn=True))
    assert "branch master" in imported.facts.record.source


def test_without_counters_nobody_knows_which_norm_it_was(tmp_path):
    old = {k: v for k, v in published()[2].items() if "num_batches" not in k}
    path = write(tmp_path / "mine.pth", old)
    with pytest.raises(
        WeightsError, match=r"mine\.pth: .*no batch counters.*say --inp"
    ):
        import_weights(path, tmp_path / "run")
    import_weights(path, tmp_path / "run", ImportOptions(inplace_abn=False))
    run = load_run(tmp_path / "run")
    tiny.assert_equal_bits(
        flat_variables(run.variables), flat_variables(published()[1])
    )


@pytest.mark.parametrize(
    ("name", "package", "message"),
    [
        ("x.pth", "torch", "x.pth: writing PyTorch files needs PyTorch"),
        ("x.safetensors", "safetensors.numpy", "x.safetensors: writing .*safetensors"),
    ],
)
def test_a_package_that_is_missing_is_found_before_the_run_is_read(
    name, package, message, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(WeightsError, match=message):
        export_weights(tmp_path / "no run", "best", tmp_path / name)


def test_a_directory_in_use_is_left_alone(pth, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="run is not empty; choose a new"):
        import_weights(pth, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_only_what_was_converted_before_is_overwritten(workdir, pth, tmp_path):
    with pytest.raises(CheckpointError, match="run is not empty.*, or --overwrite$"):
        import_weights(pth, workdir)
    (workdir / "old.txt").touch()
    import_weights(pth, workdir, overwrite=True)
    assert not (workdir / "old.txt").exists()
    assert load_run(workdir).info.class_names[0] == "class 0"
    assert not (tmp_path / "run.unfinished").exists()
    # What is refused leaves the old one.
    with pytest.raises(WeightsError, match="no such file"):
        import_weights(tmp_path / "gone.pth", workdir, overwrite=True)
    assert load_run(workdir).step == 0
    (workdir / RECORD_FILE).unlink()
    message = "run was not made of a file of weights .* leaves it alone; choose a new"
    with pytest.raises(CheckpointError, match=message):
        import_weights(pth, workdir, overwrite=True)
    with pytest.raises(CheckpointError, match=r"official\.pth is a file; expected a n"):
        import_weights(pth, pth, overwrite=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "segmentation/w48"}, WeightsError, r"official\.pth: .*do not fit"),
        ({"model": "segmentation/w17"}, HRNetError, "unknown model 'segmentation/w17'"),
        ({"model": "w18"}, HRNetError, "unknown model 'w18'"),
        ({"options": {"depth": 3}}, ConfigError, "no option 'depth'"),
        (
            {"labels": "camvid"},
            HRNetError,
            "camvid names 11 classes, the weights .* 19",
        ),
    ],
)
def test_a_wrong_wish_is_refused_and_nothing_is_left(
    options, error, message, pth, tmp_path
):
    with pytest.raises(error, match=message):
        import_weights(pth, tmp_path / "run", ImportOptions(**options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("partial", [False, True])
def test_damaged_weights_are_refused_whole_and_in_part(partial, tmp_path):
    tensors = {name: np.array(value) for name, value in published()[2].items()}
    tensors["bn1.running_var"][7] = -1
    path = write(tmp_path / "mine.pth", tensors)
    with pytest.raises(WeightsError) as caught:
        import_weights(path, tmp_path / "run", ImportOptions(partial=partial))
    assert str(caught.value).startswith(f"{path}: damaged weights, 1 tensor of ")
    assert str(caught.value).endswith(
        "; bn1.running_var: 1 of 64 values negative (the least is -1), expected "
        "variances of 0 or more"
    )
    assert not (tmp_path / "run").exists()


def test_foreign_bodies_and_ambiguous_files_are_refused(tmp_path):
    path = write(tmp_path / "resnet.pth", {"fc.weight": np.zeros((10, 4), np.float32)})
    message = r"resnet\.pth: the names are not those of a whole HRNet.*fc\.weight"
    with pytest.raises(WeightsError, match=message):
        import_weights(path, tmp_path / "run")
    _, _, tensors = published("classification/w18_small_v1")
    body = {k: v for k, v in tensors.items() if k.startswith(("conv", "bn"))}
    with pytest.raises(WeightsError, match="no head of classification, .* is complete"):
        import_weights(write(tmp_path / "body.pth", body), tmp_path / "run")
    both = tensors | published()[2]
    message = (
        r"fit several models: classification \(official\), segmentation \(official\)"
    )
    with pytest.raises(WeightsError, match=message):
        import_weights(write(tmp_path / "both.pth", both), tmp_path / "run")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.pth: no such file"):
        import_weights(tmp_path / "gone.pth", tmp_path / "run")


def test_a_code_base_without_such_a_model_is_refused(workdir, tmp_path):
    message = "'mmpose1' has no names for a segmentation model"
    with pytest.raises(WeightsError, match=message):
        export_weights(workdir, "best", tmp_path / "x.pth", "mmpose1")
    assert not (tmp_path / "x.pth").exists()


def test_an_option_that_the_weights_decide_is_refused(pth, tmp_path):
    with pytest.raises(ConfigError, match="model option 'norm' cannot be set"):
        import_weights(pth, tmp_path / "run", ImportOptions(options={"norm": "frozen"}))
    with pytest.raises(ConfigError, match="has no option 'name'"):
        import_weights(pth, tmp_path / "run", ImportOptions(options={"name": "x"}))
