"""Descriptions of exported files, edited by hand; see test_exported.py for the files."""

import hashlib
import json

import pytest

from hrnet_jax.errors import ExportError
from hrnet_jax.export.exported import open_exported, record_path
from hrnet_jax.export.writing import ExportOptions, ExportSource, describe
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.registry import create_model
from tests.damaging import json_files
from tests.export.exporting import INFO, OPTIONS
from tests.foreign import FEWER, only_our_errors


def description(name: str, content: bytes) -> dict:
    """What is written beside a file of a model."""
    model = create_model(name, **OPTIONS[name.partition("/")[0]])
    facts = {"inference": {}, "augmentation": {}, "normalization": Normalization()}
    source = ExportSource(name, model, {}, info=INFO, step=7, **facts)
    about = describe(source, ".onnx", ExportOptions(size=(64, 64)))
    return {**about, "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("count", FEWER, ids=str)
def test_an_edited_description_is_named(count, tmp_path):
    """One that is still right leads to the file, which is no model here."""
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model")
    document = description("landmarks/w18", b"no model")

    def read(content: bytes) -> None:
        record_path(path).write_bytes(content)
        with pytest.raises(ExportError) as caught:
            open_exported(path)
        assert str(caught.value).startswith(str(path))
        raise caught.value

    record_path(path).write_text(json.dumps(document))
    with pytest.raises(ExportError, match=r"a\.onnx: not readable by onnxruntime"):
        open_exported(path)
    only_our_errors(read, json_files(document), count)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_options", 3, "key 'model_options' must be a value of type dict, got 3"),
        ("model_options", {"name": "x"}, "model .* has no option 'name'"),
        ("step", "7", "key 'step' must be a value of type int, got '7'"),
        ("input", {}, "in 'input': key '[a-z_]+' is missing"),
        ("dataset_info", {"name": "x"}, "key '[a-z_]+' is missing"),
    ],
)
def test_a_value_of_another_type_is_named(key, value, message, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model")
    document = {**description("landmarks/w18", b"no model"), key: value}
    record_path(path).write_text(json.dumps(document))
    with pytest.raises(ExportError, match=f"^{record_path(path)}: {message}"):
        open_exported(path)


@pytest.mark.parametrize(("key", "value"), [("dtype", "int8"), ("layout", "chw")])
def test_an_input_that_no_file_has_is_named(key, value, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model")
    document = description("landmarks/w18", b"no model")
    document["input"][key] = value
    record_path(path).write_text(json.dumps(document))
    message = f"in 'input': key 'input.{key}' must be .*, got '{value}'"
    with pytest.raises(ExportError, match=message):
        open_exported(path)
