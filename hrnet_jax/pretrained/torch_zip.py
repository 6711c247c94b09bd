"""Reads zip files of `torch.save` without PyTorch, and without running anything.

The archive holds one pickle (`data.pkl`) and the bytes of each storage
(`data/<key>`). The pickle may name nothing but tensors, storages and plain
containers; what stands for those here are functions that only take notes.
"""

import collections
import contextlib
import dataclasses
import io
import math
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

MAGIC = b"PK\x03\x04"
_PICKLE = "data.pkl"
_BFLOAT16 = np.dtype(jnp.bfloat16)
_TYPES = {
    "BFloat16Storage": _BFLOAT16,
    "BoolStorage": np.bool_,
    "ByteStorage": np.uint8,
    "CharStorage": np.int8,
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "IntStorage": np.int32,
    "LongStorage": np.int64,
    "ShortStorage": np.int16,
}


class NotAllowed(pickle.UnpicklingError):
    """The pickle names something other than tensors; `args[0]` tells what."""


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """Numbers in the archive: where they are, of which type, how many."""

    archive: "_Archive"
    key: str
    dtype: np.dtype
    count: int


class Tensor(NamedTuple):
    """A view of a storage, read when it is made an array."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """A copy; floating point as float32, as NumPy has no bfloat16.

        Raises:
            zipfile.BadZipFile: if the bytes are damaged.
        """
        storage = self.storage
        raw = storage.archive.read(f"data/{storage.key}")
        values = np.frombuffer(raw, storage.dtype)
        size = storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :],
            self.shape,
            tuple(stride * size for stride in self.strides),
            writeable=False,
        )
        is_float = storage.dtype.kind == "f" or storage.dtype == _BFLOAT16
        target = dtype or (np.float32 if is_float else storage.dtype.newbyteorder("="))
        with np.errstate(over="ignore"):  # infinite numbers are named later
            return np.array(view, dtype=target)


class _Archive:
    """The files of an archive, below the folder that all are in."""

    def __init__(self, file: zipfile.ZipFile, length: int):
        self._file = file
        self._length = length
        names = [name for name in file.namelist() if name.endswith(f"/{_PICKLE}")]
        if len(names) != 1:
            raise ValueError(f"{len(names)} files {_PICKLE} in it, expected one")
        self._folder = names[0].removesuffix(_PICKLE)

    def size(self, name: str) -> int:
        """Bytes of a file."""
        info = self._file.getinfo(self._folder + name)
        is_stored = info.compress_type == zipfile.ZIP_STORED
        if not is_stored or info.file_size > self._length:
            raise ValueError(f"{name} is compressed, or larger than the archive")
        return info.file_size

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return self._folder + name in self._file.namelist()

    def read(self, name: str) -> bytes:
        """The bytes of a file, whose checksum is compared."""
        self.size(name)
        return self._file.read(self._folder + name)


@contextlib.contextmanager
def opened(path: str) -> Iterator[Any]:
    """What a checkpoint holds; its tensors can be read until it is closed.

    Raises:
        NotAllowed: for anything but tensors and plain containers.
        pickle.UnpicklingError, ValueError, ...: if the file is damaged.
    """
    with open(path, "rb") as raw, zipfile.ZipFile(raw) as file:
        length = raw.seek(0, io.SEEK_END)
        archive = _Archive(file, length)
        if archive.has("constants.pkl"):
            raise NotAllowed("a TorchScript program")
        yield _Unpickler(archive).load()


# The one in C makes room for as many notes as a damaged file says; the one in Python
# keeps them in a dictionary.
class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Knows tensors, storages and plain containers, and nothing else."""

    # Of the base class, in whose type it is not.
    stack: list[Any]
    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, archive: _Archive):
        super().__init__(io.BytesIO(archive.read(_PICKLE)), encoding="utf-8")
        self._archive = archive
        self._is_big_endian = (
            archive.has("byteorder") and archive.read("byteorder") == b"big"
        )

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name; nothing of that module is imported.

        Raises:
            NotAllowed: for every other name.
        """
        if module in ("torch", "torch.storage") and name in _TYPES:
            return name
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        # Readable whatever characters a damaged file has there.
        shown = f"{module}.{name}".encode("unicode_escape").decode()
        raise NotAllowed(f"GLOBAL {shown}")

    def persistent_load(self, pid: Any) -> Storage:
        """A storage, which must be as long as its file."""
        kind, type_name, key, _, count = pid
        if kind != "storage" or type_name not in _TYPES or not _is_size(count):
            raise ValueError(f"no storage: {str(pid)[:80]}")
        dtype = np.dtype(_TYPES[type_name])
        if self._is_big_endian:
            if dtype == _BFLOAT16:
                raise ValueError("bfloat16 with its bytes in big-endian order")
            dtype = dtype.newbyteorder(">")
        size = self._archive.size(f"data/{key}")
        if size != count * dtype.itemsize:
            raise ValueError(
                f"storage {key} has {size} bytes, expected {count * dtype.itemsize}"
            )
        return Storage(self._archive, key, dtype, count)


def _leave_attributes_out(unpickler: Any) -> None:
    """In place of setting attributes: no tensor is in those of a container."""
    unpickler.stack.pop()


_Unpickler.dispatch[pickle.BUILD[0]] = _leave_attributes_out


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """A tensor, all of which must be in its storage."""
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(map(_is_size, sizes)):
        raise ValueError("a tensor without a storage, or with a negative size")
    if len(shape) != len(strides):
        raise ValueError(f"shape {shape} with strides {strides}")
    count = math.prod(shape)
    last = (
        sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) if count else -1
    )
    if count > storage.count or offset + last >= storage.count:
        raise ValueError(
            f"a tensor of shape {shape} is not inside its storage of {storage.count}"
        )
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: Any, *_: Any) -> Any:
    return data


_ALLOWED: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "Counter"): collections.Counter,
    ("collections", "defaultdict"): lambda *_: {},
    ("torch", "Size"): tuple,
    ("torch", "device"): lambda *names: ":".join(map(str, names)),
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
}
