"""Exported files compute what the models do."""

import dataclasses
import json
import runpy
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

from hrnet_jax import runtime
from hrnet_jax.config import script as begin
from hrnet_jax.conversion.opening import load_run
from hrnet_jax.errors import ConfigError, ExportError
from hrnet_jax.export import writing as export
from hrnet_jax.export.check import advice, largest_error
from hrnet_jax.export.writing import (
    ExportOptions,
    export_model,
    make_function,
)
from hrnet_jax.models.folding import fold_batch_norm
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.models.resize import resize
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained.files import write_weights_file
from tests import tiny
from tests.conversion.test_opening import tensors as weights_of_three_classes
from tests.conversion.thin import THIN
from tests.export.exporting import INFO, SIZE, exported, make_source
from tests.tiers import fast_are

NAMES = [
    "classification/w18_small_v1",
    "landmarks/w18_small_v1",
    "pose/w18_small_v1",
    "pyramid/w18_small_v1",
    "segmentation/w18_small_v1",
    "segmentation/w18_small_v1_ocr",
    "pyramid/two_stages",
]
# Attention, and several outputs.
FAST = ["pyramid/two_stages"]


@pytest.fixture(autouse=True)
def tiny_variants(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    two_stages = dataclasses.replace(tiny.VARIANT, modules=(1, 1, 0))
    monkeypatch.setitem(VARIANTS, "two_stages", two_stages)


SEGMENTATION = "segmentation/w18_small_v1"
TWO_STAGES = "segmentation/two_stages"
TINY = "segmentation/tiny"
FIXED = ExportOptions(size=SIZE)
SHAPES = {
    "classification": {"logits": (4,)},
    "landmarks": {"heatmaps": (16, 16, 4)},
    "pose": {"heatmaps": (16, 16, 4)},
    "pyramid": {f"level{k}": (16 >> k, 16 >> k, 16) for k in range(5)},
    "segmentation": {"logits": (64, 64, 4)},
}


def options_of(suffix):
    return FIXED if suffix == ".onnx" else ExportOptions()


def make_images(*shape):
    return np.random.default_rng(5).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize("name", fast_are(FAST, NAMES))
def test_an_onnx_file_equals_its_model_at_two_batch_sizes(name):
    check_export(name, ".onnx")


# StableHLO holds the model as it is: the tiny ones of `test_exported` are as good.
@pytest.mark.parametrize("name", fast_are([], NAMES))
def test_a_stablehlo_file_equals_its_model_at_two_batch_sizes(name):
    check_export(name, ".stablehlo")


def check_export(name, suffix):
    path, check = exported(name, suffix, options_of(suffix))
    assert set(check.errors) == {1, 3}
    assert 0 < max(check.errors.values()) < 1e-5
    assert check.megabytes == pytest.approx(path.stat().st_size / 1e6)
    assert check.milliseconds > 0 and "largest error" in str(check)


@pytest.mark.parametrize("name", fast_are(FAST, NAMES))
def test_onnxruntime_alone_runs_the_file(name):
    path, _ = exported(name, ".onnx", FIXED)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert session.get_inputs()[0].shape == ["batch", *SIZE, 3]
    values = session.run(names, {"images": make_images(2, *SIZE)})
    got = {key: value.shape[1:] for key, value in zip(names, values, strict=True)}
    assert got == SHAPES[name.partition("/")[0]]


@pytest.mark.parametrize("size", fast_are([], [(64, 64), (65, 97)]))
def test_jax_alone_runs_stablehlo_at_any_size(size):
    path, _ = exported(SEGMENTATION, ".stablehlo", ExportOptions())
    call = jax.export.deserialize(bytearray(path.read_bytes())).call
    source = make_source(SEGMENTATION)

    def expect(variables, images):
        logits = source.model.apply(variables, normalize_images(images))
        return resize(logits, images.shape[1:3], "bilinear")

    for batch in (1, 3):
        images = make_images(batch, *size)
        want = np.asarray(runtime.jit(expect)(source.variables, images))
        got = runtime.jit(call)(images)
        assert set(got) == {"logits"} and got["logits"].shape == (batch, *size, 4)
        np.testing.assert_allclose(got["logits"], want, atol=1e-5 * want.std(), rtol=0)


@pytest.mark.slow
def test_stablehlo_names_the_platforms_it_runs_on():
    path, _ = exported(TINY, ".stablehlo", ExportOptions())
    found = jax.export.deserialize(bytearray(path.read_bytes()))
    assert found.platforms == ("cpu", "cuda", "tpu")
    assert json.loads((path.parent / f"{path.name}.json").read_text())["platforms"] == [
        "cpu", "cuda", "tpu",
    ]  # fmt: skip


def test_channels_first_and_normalised_outside():
    options = ExportOptions("float32", SIZE, upsample=False, layout="nchw")
    path, check = exported(TINY, ".onnx", options)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, *SIZE]
    assert session.get_inputs()[0].type == "tensor(float)"
    assert session.get_outputs()[0].shape == ["batch", 4, 16, 16]
    assert max(check.errors.values()) < 1e-5


@pytest.mark.parametrize("name", fast_are([TWO_STAGES], [TWO_STAGES, SEGMENTATION]))
def test_graphs_stay_channels_first_inside(name):
    operations = {}
    for layout in ("nhwc", "nchw"):
        path, _ = exported(name, ".onnx", ExportOptions(size=SIZE, layout=layout))
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        nodes = [node.op_type for node in model.graph.node]
        operations[layout] = nodes
        assert set(nodes) <= {
            "Add", "Cast", "Conv", "Identity", "Mul", "Relu", "Resize", "Transpose",
        }  # fmt: skip
    assert operations["nchw"].count("Transpose") == 0
    assert operations["nhwc"].count("Transpose") == 2
    # All biases are part of their convolutions but the one of the head, which
    # follows a sum of four.
    plain = [node for node in model.graph.node if len(node.input) == 2]
    assert [node.op_type for node in plain].count("Conv") == 4


def test_both_files_say_what_they_take_and_give():
    path, check = exported(TWO_STAGES, ".onnx", FIXED)
    record = json.loads((path.parent / f"{path.name}.json").read_text())
    properties = {
        prop.key: json.loads(prop.value) for prop in onnx.load(path).metadata_props
    }
    assert {key: record[key] for key in properties} == properties
    assert record["model"] == TWO_STAGES and record["step"] == 7
    assert record["input"]["size"] == list(SIZE)
    assert record["input"]["normalization"]["std"] == [0.229, 0.224, 0.225]
    assert record["dataset_info"]["class_names"] == list(INFO.class_names)
    assert record["dataset_info"]["palette"][0] == [1, 2, 3]
    assert record["upsampled"] and record["upsample_method"] == "bilinear"
    assert record["versions"].keys() >= {"jax", "onnx", "hrnet_jax"}
    assert record["check"]["errors"]["3"] == check.errors[3]


def test_auxiliary_outputs_are_left_out_unless_asked_for():
    source = make_source("segmentation/w18_small_v1_ocr")
    model, weights = fold_batch_norm(source.model, source.variables)
    for auxiliary, expected in ((False, {"logits"}), (True, {"aux", "logits"})):
        options = ExportOptions(auxiliary=auxiliary)
        function = make_function(source, options, model)
        shapes = jax.eval_shape(function, weights, make_images(1, 64, 96))
        assert set(shapes) == expected
        assert {leaf.shape for leaf in shapes.values()} == {(1, 64, 96, 4)}


@pytest.mark.parametrize("suffix", fast_are([".onnx"], [".stablehlo", ".onnx"]))
@pytest.mark.parametrize(
    "method",
    fast_are(["align_corners"], ["align_corners", "nearest", "bilinear_by_factor"]),
)
def test_every_way_of_upsampling_at_an_odd_size(method, suffix, tmp_path):
    # Four branches, to join, and an exchange among three of them.
    source = make_source(TWO_STAGES)
    model = source.model.clone(upsample=method)
    options = ExportOptions(size=(37, 53) if suffix == ".onnx" else None)
    check = export_model(
        dataclasses.replace(source, model=model),
        tmp_path / f"odd{suffix}",
        options,
        check_size=(37, 53),
    )
    assert max(check.errors.values()) < 1e-5


@pytest.mark.parametrize("suffix", [".stablehlo", ".onnx"])
def test_other_normalisations_and_types_of_training(suffix, tmp_path):
    normalization = Normalization((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bgr")
    source = make_source(TINY, normalization=normalization)
    trained = source.model.clone(dtype=jnp.bfloat16, remat=True)
    path = tmp_path / f"other{suffix}"
    export_model(dataclasses.replace(source, model=trained), path, FIXED)
    images = make_images(2, *SIZE)
    got = export.open_exported(path).outputs(images)["logits"]
    shifted = images[..., ::-1] / 255.0 - np.array((0.5, 0.4, 0.3))
    inputs = (shifted / np.array((0.2, 0.3, 0.4))).astype(np.float32)
    logits = runtime.jit(source.model.apply)(source.variables, inputs)
    want = np.asarray(resize(logits, SIZE))
    np.testing.assert_allclose(got, want, atol=1e-5 * want.std(), rtol=0)


@pytest.mark.parametrize("suffix", fast_are([".onnx"], [".stablehlo", ".onnx"]))
def test_a_file_that_differs_is_refused_and_not_kept(suffix, tmp_path, monkeypatch):
    def fold_wrongly(model, variables):
        folded, weights = fold_batch_norm(model, variables)
        classifier = weights["params"]["head"]["classifier"]
        classifier["bias"] = classifier["bias"] + np.float32([1e-3, 0, 0, 0])
        return folded, weights

    monkeypatch.setattr(export, "fold_batch_norm", fold_wrongly)
    path = tmp_path / f"wrong{suffix}"
    with pytest.raises(ExportError, match=r"wrong\..* differs from .* 1e-05; nothing"):
        export_model(make_source(TINY), path, FIXED)
    assert list(tmp_path.iterdir()) == []
    export_model(make_source(TINY), path, FIXED, tolerance=1e-1)
    assert path.exists()


def test_what_may_be_rounding_can_be_accepted():
    assert advice(2e-5).endswith("--tolerance=2.2e-05 accepts that")
    assert advice(0.01) == advice(float("nan")) == ""


def test_errors_count_in_deviations_of_each_output():
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(0, 10, 1000), rng.normal(0, 0.1, 1000)
    expected = {"wide": wide, "narrow": narrow}
    got = {"wide": wide + 1e-3, "narrow": narrow + 1e-3}
    assert largest_error(expected, got) == pytest.approx(1e-2, rel=0.1)
    got["narrow"] = np.full(1000, np.nan)
    assert np.isnan(largest_error(expected, got))
    with pytest.raises(ExportError, match=r"'narrow' has the shape \[3\]"):
        largest_error(expected, {"wide": wide, "narrow": narrow[:3]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": "int8"}, "'input' is 'int8'; expected one of uint8, float32"),
        ({"layout": "chw"}, "'layout' is 'chw'"),
        ({"platforms": ("cpu", "gpu")}, "'platforms' is 'gpu'"),
        ({"platforms": ("tpu",)}, "needs 'cpu': the file is checked there"),
        ({"size": (0, 8)}, "'size' is"),
    ],
)
def test_unknown_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**options)


@pytest.mark.parametrize(
    ("name", "out", "options", "message"),
    [
        (TINY, "a.pb", {}, r"a.pb: expected a name ending in .stablehlo or .onnx"),
        (TINY, "a.onnx", {}, "images of one size"),
        (TINY, "a.stablehlo", {"layout": "nchw"}, "exported as nhwc"),
        ("pose/w18_small_v1", "a.stablehlo", {"upsample": True}, "only segmentation"),
        ("pyramid/tiny", "a.onnx", {"size": (64, 32)}, "at least 64 .* got 64x32"),
    ],
)
def test_options_that_do_not_go_together(name, out, options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        export_model(make_source(name), tmp_path / out, ExportOptions(**options))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "a.onnx"
    reason = f"{path.parent} is a file; expected a folder for a.onnx"
    with pytest.raises(ExportError, match=reason):
        export_model(make_source(TINY), path, FIXED)


def test_without_onnx_the_error_says_what_to_install(tmp_path, monkeypatch):
    for module in ("onnx_file", "onnx_graph", "onnx_operations", "onnx_spatial"):
        monkeypatch.delitem(sys.modules, f"hrnet_jax.export.{module}", False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r"pip install -e '\.\[onnx\]'"):
        export_model(make_source(TINY), tmp_path / "a.onnx", FIXED)


@pytest.fixture(scope="module")
def finished_run():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        return tiny.finished_run()


def run_script(monkeypatch, *arguments):
    """Types the command, in this process."""
    script = tiny.ROOT / "scripts" / "export.py"
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    # A process has one cache of programs, and one answer to Ctrl-C; this one has those
    # of the tests.
    monkeypatch.setattr(runtime, "enable_compilation_cache", lambda: None)
    monkeypatch.setattr(begin, "begins", lambda: None)
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.slow
def test_the_script_exports_a_file_of_weights(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, "thin", THIN)
    write_weights_file(tmp_path / "mine.pth", weights_of_three_classes())
    out = tmp_path / "mine.stablehlo"
    source = f"--workdir={tmp_path}/mine.pth"
    run_script(monkeypatch, source, f"--out={out}", "--size=64x64", "--platforms=cpu")
    image = make_images(1, 64, 64)[0]
    expected = load_run(tmp_path / "mine.pth").predict(image)["label"]
    np.testing.assert_array_equal(
        export.open_exported(out).predict(image)["label"], expected
    )


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--out={tmp}/a.stablehlo", "--check_size=64x64"], "a.stablehlo: 0.5 MB"),
        (["--out={tmp}/a.onnx", "--size=48x64", "--layout=nchw"], "48x64 on the CPU"),
    ],
)
def test_the_script_exports_a_run(
    arguments, output, finished_run, tmp_path, monkeypatch, capsys
):
    rest = [argument.format(tmp=tmp_path) for argument in arguments]
    run_script(monkeypatch, f"--workdir={finished_run}", *rest)
    assert output in capsys.readouterr().out
    path = next(path for path in tmp_path.iterdir() if path.suffix != ".json")
    record = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert record["step"] == tiny.BEST_STEP
    with pytest.raises(SystemExit) as stopped:
        run_script(monkeypatch, f"--workdir={finished_run}", *rest)
    assert stopped.value.code == 2
    assert f"{path} exists already; choose another name, or" in capsys.readouterr().err
    image = make_images(1, 48, 64)[0]
    assert export.open_exported(path).predict(image)["label"].shape == (48, 64)
