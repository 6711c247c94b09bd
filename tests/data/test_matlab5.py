"""MATLAB 5 files: as SciPy writes them, and what no file of MATLAB would hold."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from hrnet_jax.data.files.matlab5 import read_arrays
from hrnet_jax.errors import DataError

KINDS = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_scipy_reads(compressed, tmp_path):
    path = tmp_path / "a.mat"
    rng = np.random.default_rng(0)
    content = {
        f"of_{kind}_{number}": rng.integers(0, 99, shape).astype(kind)
        for kind in KINDS
        for number, shape in enumerate([(3, 5), (1, 1), (2, 3, 4), (0, 7)])
    }
    content["flags"] = np.array([[True, False]])
    others = {"text": "abc", "cell": np.array([1, "x"], object), "z": 1 + 2j}
    scipy.io.savemat(path, content | others, do_compression=compressed)
    found = read_arrays(path)
    assert found.keys() == content.keys()
    theirs = scipy.io.loadmat(path)
    for name, values in found.items():
        np.testing.assert_array_equal(values, theirs[name])
        assert values.shape == content[name].shape


def element(order, kind, content):
    padded = content + bytes(-len(content) % 8)
    return struct.pack(order + "II", kind, len(content)) + padded


def matrix(order, name="a", shape=(1, 2), kind=9, numbers=None, of_shape=(5, "i")):
    numbers = struct.pack(order + "dd", 1, 2) if numbers is None else numbers
    parts = [
        element(order, 6, struct.pack(order + "II", 6, 0)),
        element(order, of_shape[0], struct.pack(f"{order}2{of_shape[1]}", *shape)),
        element(order, 1, name.encode()),
        element(order, kind, numbers),
    ]
    return element(order, 14, b"".join(parts))


def header(order="<"):
    mark = b"IM" if order == "<" else b"MI"
    return b"MATLAB 5.0".ljust(124) + struct.pack(order + "H", 0x0100) + mark


@pytest.mark.parametrize("order", ["<", ">"])
def test_reads_both_orders_of_bytes(order, tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(header(order) + matrix(order) + matrix(order, "b"))
    found = read_arrays(path)
    assert {name: each.tolist() for name, each in found.items()} == {
        "a": [[1, 2]],
        "b": [[1, 2]],
    }


WHOLE = header() + matrix("<")
BOMB = zlib.compress(bytes(2**26 + 8))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"MATLAB 5.0", "its header is another"),
        (header().replace(b"\0\1IM", b"\0\2IM"), "its header is another"),
        (WHOLE[:-4], "72 bytes are announced, 68 follow"),
        (header() + matrix("<", shape=(2, 2)), "cannot reshape array of size 2"),
        (header() + matrix("<", shape=(-1, -2)), r"array 'a' has the shape \[-1, -2\]"),
        (header() + matrix("<", of_shape=(9, "d")), "a shape of the type 9"),
        (
            header() + matrix("<", shape=(2**63,) * 2, of_shape=(13, "Q")),
            "of the type 13",
        ),
        (header() + matrix("<", kind=99), "numbers of the unknown type 99"),
        (header() + matrix("<", numbers=bytes(7)), "buffer size must be a multiple"),
        (header() + matrix("<", name="é"), "'ascii' codec can't decode"),
        (header() + element("<", 15, b"x" * 16), "incorrect header check"),
        (header() + element("<", 15, BOMB), "an array is cut or too large"),
        (
            header() + element("<", 15, zlib.compress(b"")),
            "not enough values to unpack",
        ),
    ],
)
def test_names_what_is_damaged(data, reason, tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"a\.mat: not a MATLAB 5 file \(.*{reason}"):
        read_arrays(path)
