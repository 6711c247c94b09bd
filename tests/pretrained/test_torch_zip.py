"""Zip files of torch.save are read without PyTorch; damaged ones are one error.

Damaged anywhere: test_foreign_weights.py.
"""

import io
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained import read_torch_file
from hrnet_jax.pretrained.files import write_weights_file


def state():
    """A state dict as `Module.state_dict` makes it: ordered, with attributes."""
    layer = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    tensors = layer.state_dict()
    base = torch.arange(24.0)
    tensors["turned"] = base.reshape(2, 3, 4).permute(2, 0, 1)
    tensors["part"] = base[5:9]
    tensors["last"] = torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last)
    tensors["nothing"] = torch.zeros(0, 3)
    return tensors


def saved(content, **options) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def read(folder, content: bytes, **options):
    path = folder / "weights.pth"
    path.write_bytes(content)
    return read_torch_file(path, **options)


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


def test_every_tensor_is_read_without_pytorch(tmp_path, request):
    tensors = state()
    expected = {name: value.numpy().copy() for name, value in tensors.items()}
    wrapped = {"state_dict": tensors, "epoch": 3, "optimizer": {"lr": 0.1}}
    content = saved(wrapped)
    request.getfixturevalue("without_torch")
    arrays = read(tmp_path, content, keep_counters=True)
    assert arrays.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value, strict=True)
        assert arrays[name].flags.writeable


TYPES = [torch.float16, torch.bfloat16, torch.float64, torch.float32]
TYPES += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_type_is_read_and_floating_point_as_float32(dtype, tmp_path):
    value = torch.tensor([0, 1, 3]).to(dtype)
    (array,) = read(tmp_path, saved({"x": value})).values()
    expected = value.float() if value.is_floating_point() else value
    np.testing.assert_array_equal(array, expected.numpy(), strict=True)


def test_what_only_pytorch_reads_says_so(tmp_path, request):
    old = saved(state(), _use_new_zipfile_serialization=False)
    request.getfixturevalue("without_torch")
    message = r"weights\.pth: reading files of PyTorch before 1\.6 needs PyTorch \(pip"
    with pytest.raises(WeightsError, match=message):
        read(tmp_path, old)
    message = r"weights\.pth: not a readable .*neither a zip file nor a pickle"
    with pytest.raises(WeightsError, match=message):
        read(tmp_path, b"<html>")
    with pytest.raises(WeightsError, match=r"new\.pth: writing PyTorch files needs"):
        write_weights_file(tmp_path / "new.pth", {})


def changed(content: bytes, name: str, new: bytes | None, method=0) -> bytes:
    """An archive with one file replaced, added or left out, all checksums right."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as out:
        for path in dict.fromkeys([*old.namelist(), f"archive/{name}"]):
            is_it = path == f"archive/{name}"
            if not is_it or new is not None:
                data = new if is_it else old.read(path)
                out.writestr(path, data, compress_type=method if is_it else 0)
    return file.getvalue()


ZEROS = bytes(12)
DAMAGE = {
    "short": ("data/0", bytes(8), 0, "storage 0 has 8 bytes, expected 12"),
    "long": ("data/0", bytes(16), 0, "storage 0 has 16 bytes, expected 12"),
    "absent": ("data/0", None, 0, "archive/data/0"),
    "packed": (
        "data/0",
        ZEROS,
        zipfile.ZIP_DEFLATED,
        "data/0 is compressed, or larger",
    ),
    "no pickle": ("data.pkl", None, 0, r"0 files data\.pkl in it, expected one"),
    "program": ("constants.pkl", b"", 0, "TorchScript program"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_sizes_are_those_of_the_archive(kind, tmp_path):
    name, new, method, message = DAMAGE[kind]
    content = saved({"x": torch.ones(3)})
    with pytest.raises(WeightsError, match=f"weights.pth: .*{message}"):
        read(tmp_path, changed(content, name, new, method))


def test_damaged_bytes_are_noticed(tmp_path):
    content = saved({"x": torch.full((64,), 1.5)})
    damaged = content.replace(np.full(64, 1.5, np.float32).tobytes(), bytes(256))
    with pytest.raises(WeightsError, match="weights.pth: not a .*Bad CRC-32"):
        read(tmp_path, damaged)


def test_the_order_of_bytes_is_that_of_the_file(tmp_path):
    content = changed(saved({"x": torch.ones(2)}), "byteorder", b"big")
    content = changed(content, "data/0", np.array([3, 4], ">f4").tobytes())
    np.testing.assert_array_equal(read(tmp_path, content)["x"], [3, 4])


class Called:
    """Pickled as a call of an allowed function with arguments of one's own."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


VIEWS = [
    ((3,), (2,), 0, "is not inside its storage of 3"),
    ((3,), (1,), 1, "is not inside its storage of 3"),
    ((9, 9), (0, 0), 0, "is not inside its storage of 3"),
    ((3,), (-1,), 2, "with a negative size"),
    ((3,), (1, 1), 0, "with strides"),
    ((3,), (1,), 0.5, "with a negative size"),
]


@pytest.mark.parametrize(("shape", "strides", "offset", "message"), VIEWS)
def test_a_view_outside_its_storage_is_refused(
    shape, strides, offset, message, tmp_path
):
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            is_storage = value is Called
            return (
                ("storage", torch.FloatStorage, "0", "cpu", 3) if is_storage else None
            )

    file = io.BytesIO()
    arguments = (Called, offset, shape, strides, False, {})
    call = Called(torch._utils._rebuild_tensor_v2, *arguments)
    Pickler(file, protocol=2).dump({"x": call})
    content = changed(saved({"x": torch.ones(3)}), "data.pkl", file.getvalue())
    with pytest.raises(WeightsError, match=f"weights.pth: not a readable .*{message}"):
        read(tmp_path, content)


def test_attributes_are_never_set(tmp_path):
    """A state for a function that PyTorch's files may name changes nothing."""
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n"
    attack = b"\x80\x02}X\x01\0\0\0x" + rebuild + b"N}X\x04\0\0\0evilK\x01s\x86bs."
    content = changed(saved({"x": torch.ones(3)}), "data.pkl", attack)
    with pytest.raises(
        WeightsError, match="entry 'x' is a function, expected a tensor"
    ):
        read(tmp_path, content)
    from hrnet_jax.pretrained import torch_zip

    assert not hasattr(torch_zip._tensor, "evil")
