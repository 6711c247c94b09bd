"""Checkpoint files are read without ever running code from them."""

import functools
import pathlib
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained import from_torch, read_torch_file, read_weights_file
from hrnet_jax.pretrained.files import write_weights_file
from hrnet_jax.registry import create_model
from tests.goldens import official

GOLDEN = "segmentation/hrnet_w18_small_v1_cityscapes19_v11"


class Payload:
    """Unpickling this would create a file."""

    def __init__(self, target: pathlib.Path):
        self.target = target

    def __reduce__(self):
        return pathlib.Path.touch, (self.target,)


@functools.cache
def tensors() -> dict[str, torch.Tensor]:
    state = official.state_dict(GOLDEN)
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def save(folder: pathlib.Path, content, **options) -> pathlib.Path:
    path = folder / "weights.pth"
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_reads_what_pytorch_wrote(tmp_path, zipped):
    path = save(tmp_path, tensors(), _use_new_zipfile_serialization=zipped)
    read = read_torch_file(path)
    for name, value in official.state_dict(GOLDEN).items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(read.pop(name), value)
    assert not read


def test_reads_a_training_checkpoint(tmp_path):
    wrapped = {f"module.model.{name}": value for name, value in tensors().items()}
    wrapped["module.loss.criterion.weight"] = torch.ones(19)
    path = save(tmp_path, {"epoch": 9, "state_dict": wrapped, "optimizer": {}})
    model = create_model("segmentation/w18_small_v1", num_classes=19)
    variables = from_torch(read_torch_file(path), model)
    np.testing.assert_array_equal(
        variables["batch_stats"]["head"]["norm"]["mean"],
        official.state_dict(GOLDEN)["last_layer.1.running_mean"],
    )


def test_parameters_and_half_precision_tensors_are_read_too(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    path = save(
        tmp_path,
        {
            "classifier.weight": torch.nn.Parameter(weight),
            "classifier.bias": torch.ones(2, dtype=torch.bfloat16),
        },
    )
    read = read_torch_file(path)
    np.testing.assert_array_equal(read["classifier.weight"], weight.numpy())
    np.testing.assert_array_equal(read["classifier.bias"].astype(np.float32), [1, 1])


def write_zip(path: pathlib.Path, content) -> None:
    """A file as `torch.save` writes it, around any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")


def write_pickle(path: pathlib.Path, content) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [write_zip, write_pickle])
def test_code_in_a_file_is_refused_and_never_run(tmp_path, write):
    target, path = tmp_path / "executed", tmp_path / "weights.pth"
    write(path, {"state_dict": {"conv1.weight": Payload(target)}})
    with pytest.raises(WeightsError, match="refused.*could run code") as caught:
        read_torch_file(path)
    assert str(path) in str(caught.value)
    assert not target.exists()
    # The payload does work where somebody unpickles it.
    pickle.loads(pickle.dumps(Payload(target)))
    assert target.exists()


def test_a_pickled_module_is_refused(tmp_path):
    path = save(tmp_path, torch.nn.Conv2d(3, 4, 1))
    with pytest.raises(
        WeightsError, match=r"refused.*torch\.nn\.modules\.conv"
    ) as caught:
        read_torch_file(path)
    # The way out is a line to paste where the original code can be imported.
    way_out = "torch.save(torch.load('weights.pth', weights_only=False).state_dict()"
    assert way_out in str(caught.value) and "If you trust it" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 50, 0.5, 0.999], ids=str)
def test_a_truncated_file_is_not_readable(tmp_path, keep):
    path = save(tmp_path, {"conv1.weight": torch.ones(64, 3, 3, 3)})
    content = path.read_bytes()
    size = keep if isinstance(keep, int) else int(keep * len(content))
    path.write_bytes(content[:size])
    with pytest.raises(WeightsError, match="weights.pth: not a readable PyTorch"):
        read_torch_file(path)


NOT_CHECKPOINTS = {
    "text": b"The weights have moved.\n",
    "web_page": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>",
    "json": b'{"error": "link expired"}',
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0",
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0",
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "zeros": bytes(512),
    "lfs_pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "pickle_end": b".",
    "pickle_pop": b"0.",
    "pickle_memo": b"h\x07.",
    "pickle_text": b"X\x02\0\0\0\xff\xfe.",
    "pickle_float": b"G\0.",
    "pickle_tuple": b"K\x01K\x02s.",
}


@pytest.mark.parametrize("kind", NOT_CHECKPOINTS)
def test_a_file_that_is_no_checkpoint_is_not_readable(tmp_path, kind):
    path = tmp_path / "weights.pth"
    path.write_bytes(NOT_CHECKPOINTS[kind])
    with pytest.raises(WeightsError, match="weights.pth: not a readable PyTorch"):
        read_torch_file(path)


def test_another_zip_file_is_not_readable(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, weight=np.ones(3))
    with pytest.raises(WeightsError, match="weights.npz: not a readable PyTorch"):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(3), "holds a Tensor, expected a state dict"),
        ([torch.ones(3)], "holds a list, expected a state dict"),
        ({}, "holds no tensors"),
        ({"epoch": 3}, "entry 'epoch' is a int, expected a tensor"),
    ],
)
def test_a_file_without_a_state_dict_is_an_error(tmp_path, content, message):
    path = save(tmp_path, content)
    with pytest.raises(WeightsError, match=f"weights.pth: .*{message}"):
        read_torch_file(path)


def test_a_missing_file_is_an_error(tmp_path):
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(WeightsError, match="no such file") as caught:
            read_torch_file(path)
        assert str(path) in str(caught.value)


def test_safetensors_files_are_read_and_written(tmp_path):
    state = official.state_dict(GOLDEN)
    path = tmp_path / "weights.safetensors"
    write_weights_file(path, state)
    read = read_weights_file(path, keep_counters=True)
    assert read.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(read[name], value, strict=True)
    assert not any("num_batches" in name for name in read_weights_file(path))
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_pth_file_that_we_wrote_is_one_of_pytorch(tmp_path):
    state = official.state_dict(GOLDEN)
    write_weights_file(tmp_path / "weights.pth", state)
    read = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert read.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(read[name].numpy(), value, strict=True)


def test_an_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_text("old")
    monkeypatch.setattr(torch, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_weights_file(path, {"conv1.weight": np.ones(3)})
    assert path.read_text() == "old"


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.999], ids=str)
def test_a_truncated_safetensors_file_is_not_readable(tmp_path, keep):
    path = tmp_path / "weights.safetensors"
    write_weights_file(path, {"conv1.weight": np.ones((64, 3, 3, 3), np.float32)})
    content = path.read_bytes()
    path.write_bytes(
        content[: keep if isinstance(keep, int) else int(keep * len(content))]
    )
    with pytest.raises(WeightsError, match="weights.safetensors: not a readable safe"):
        read_weights_file(path)


@pytest.mark.parametrize("kind", NOT_CHECKPOINTS)
def test_a_file_that_only_is_called_safetensors_is_not_readable(tmp_path, kind):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(NOT_CHECKPOINTS[kind])
    with pytest.raises(WeightsError, match="weights.safetensors: not a readable safe"):
        read_weights_file(path)


def test_a_released_file_that_is_not_here_has_an_address():
    name = "hrnetv2_w18-00eb2006.pth"
    address = f"https://download.openmmlab.com/pretrain/third_party/{name}"
    message = f"folder/{name}: no such file here; {address} in its place fetches it"
    with pytest.raises(WeightsError, match=message):
        read_weights_file(f"folder/{name}")
    with pytest.raises(WeightsError, match="HR18-WFLW.pth: no such file$"):
        read_weights_file("HR18-WFLW.pth")


def test_a_missing_safetensors_file_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="gone.safetensors: no such file"):
        read_weights_file(tmp_path / "gone.safetensors")


def test_a_missing_library_of_safetensors_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    path = tmp_path / "a.safetensors"
    path.touch()
    for use in (read_weights_file, lambda path: write_weights_file(path, {})):
        with pytest.raises(WeightsError, match="a.safetensors: .* needs safetensors"):
            use(path)
