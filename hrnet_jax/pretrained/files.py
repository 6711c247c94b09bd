"""Reads and writes weights files without ever running code from them."""

import contextlib
import io
import os
import pickle
import struct
import types
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hrnet_jax.errors import WeightsError, how_to_install
from hrnet_jax.pretrained import torch_zip
from hrnet_jax.pretrained.known import find_known
from hrnet_jax.pretrained.wrappers import (
    Unwrapped,
    log_remarks,
    unwrap_with_remarks,
)
from hrnet_jax.whole_files import write_whole

_SAFETENSORS = ".safetensors"

# What unpicklers and zip readers raise on bytes that are no checkpoint.
_UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def read_weights_file(
    path: str | os.PathLike, *, keep_counters: bool = False, entry: str | None = None
) -> dict[str, np.ndarray]:
    """Reads a `.safetensors` file, or any other as a PyTorch checkpoint.

    Args:
        path: the file.
        keep_counters: see `unwrap`.
        entry: which of several networks in the file; see `unwrap`.

    Returns:
        Names to arrays, wrappers undone.

    Raises:
        WeightsError: if the file cannot be read, holds no tensors, or leaves a
            choice between networks.
    """
    found = open_weights_file(path, keep_counters=keep_counters, entry=entry)
    log_remarks(found, path)
    return found.tensors


def open_weights_file(
    path: str | os.PathLike, *, keep_counters: bool = False, entry: str | None = None
) -> Unwrapped:
    """Like `read_weights_file`, with what was taken off the names."""
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise WeightsError(f"{path}: no such file{_where_else(path)}")
    if not path.endswith(_SAFETENSORS):
        return _open_torch_file(path, keep_counters, entry)
    safetensors = _import_safetensors(path, "reading")
    unreadable = (safetensors.SafetensorError, OSError, KeyError, TypeError)
    try:
        tensors = safetensors.numpy.load_file(path)
    except unreadable as error:
        raise WeightsError(
            f"{path}: not a readable safetensors file ({_first_line(error)})"
        ) from error
    return _unwrapped(path, tensors, keep_counters, entry)


def write_weights_file(
    path: str | os.PathLike, tensors: Mapping[str, np.ndarray]
) -> None:
    """Writes a state dict, `.safetensors` or for `torch.load`, by the file's name.

    The file is whole or not written.

    Raises:
        WeightsError: if PyTorch is needed and not installed.
        OSError: if the file cannot be written.
    """
    path = os.fspath(path)
    if path.endswith(_SAFETENSORS):
        safetensors = _import_safetensors(path, "writing")
        write_whole(path, safetensors.numpy.save(dict(tensors)))
    else:
        torch = _import_torch(path)
        content = {
            name: torch.from_numpy(value.copy()) for name, value in tensors.items()
        }
        # In memory first: PyTorch has errors of its own for a disk that is full.
        stored = io.BytesIO()
        torch.save(content, stored)
        write_whole(path, stored.getbuffer())


def check_format(path: str | os.PathLike) -> None:
    """Refuses a file whose package is missing, before there is anything to write.

    Raises:
        WeightsError: as `write_weights_file`.
    """
    path = os.fspath(path)
    if path.endswith(_SAFETENSORS):
        _import_safetensors(path, "writing")
    else:
        _import_torch(path)


def read_torch_file(
    path: str | os.PathLike, *, keep_counters: bool = False, entry: str | None = None
) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch checkpoint as NumPy arrays.

    Only tensors and plain containers are unpickled, without PyTorch where the file is
    as it writes them since 1.6; one that needs any other class or function is refused
    unread.

    Args:
        path: a `.pth`, `.pth.tar`, `.pt` or `.bin` file.
        keep_counters: see `unwrap`.
        entry: which of several networks in the file; see `unwrap`.

    Returns:
        Official names to arrays, wrappers undone.

    Raises:
        WeightsError: if the file is missing, no checkpoint, unsafe, holds no tensors,
            or is older than PyTorch 1.6 and PyTorch is not installed.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise WeightsError(f"{path}: no such file{_where_else(path)}")
    found = _open_torch_file(path, keep_counters, entry)
    log_remarks(found, path)
    return found.tensors


def _where_else(path: str) -> str:
    """Where a released file of this name can be had, for a message."""
    addresses = {record.address for record in find_known(path)} - {""}
    if len(addresses) != 1:
        return ""
    return f" here; {addresses.pop()} in its place fetches it"


def _open_torch_file(path: str, keep_counters: bool, entry: str | None) -> Unwrapped:
    """The tensors of a PyTorch checkpoint as arrays, floating point as float32."""
    with open(path, "rb") as file:
        start = file.read(len(torch_zip.MAGIC))
    opened = torch_zip.opened if start == torch_zip.MAGIC else _opened_by_torch
    try:
        with opened(path) as content:
            if not isinstance(content, dict):
                raise WeightsError(
                    f"{path}: holds a {type(content).__name__}, expected a state dict"
                )
            found = _unwrapped(path, content, keep_counters, entry)
            arrays = {key: _array(value) for key, value in found.tensors.items()}
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: {_reason(path, error)}") from error
    except _UNREADABLE as error:
        raise WeightsError(
            f"{path}: not a readable PyTorch checkpoint ({_first_line(error)})"
        ) from error
    return Unwrapped(arrays, found.remarks)


@contextlib.contextmanager
def _opened_by_torch(path: str) -> Iterator[Any]:
    """What a file holds that is no zip file, as PyTorch wrote them before 1.6."""
    with open(path, "rb") as file:
        is_pickle = file.read(1) == b"\x80"
    try:
        import torch
    except ModuleNotFoundError as error:
        if not is_pickle:
            raise ValueError("neither a zip file nor a pickle") from error
        raise WeightsError(
            f"{path}: reading files of PyTorch before 1.6 needs PyTorch (pip install "
            "torch); saved again with torch.save, this one does not"
        ) from error
    with warnings.catch_warnings():
        # Of what may be wrong with the file, which is reported where it is.
        warnings.simplefilter("ignore")
        content = torch.load(path, map_location="cpu", weights_only=True)
    yield content


def _array(value: Any) -> np.ndarray:
    """A tensor of ours or of PyTorch; NumPy has no bfloat16."""
    if isinstance(value, torch_zip.Tensor):
        return np.asarray(value)
    value = value.float() if value.is_floating_point() else value
    return value.detach().numpy()


def _import_safetensors(path: str, doing: str) -> types.ModuleType:
    """The library, which networks alone do not need."""
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path}: {doing} this file needs safetensors ({how_to_install('predict')})"
        ) from error
    return safetensors


def _import_torch(path: str) -> types.ModuleType:
    """PyTorch, which writes its own files."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path}: writing PyTorch files needs PyTorch (pip install torch)"
        ) from error
    return torch


def _unwrapped(
    path: str, content: Mapping, keep_counters: bool, entry: str | None
) -> Unwrapped:
    try:
        return unwrap_with_remarks(content, keep_counters=keep_counters, entry=entry)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _reason(path: str, error: Exception) -> str:
    """Tells an unsafe pickle from a file that is no pickle at all."""
    text = str(error)
    refused = isinstance(error, torch_zip.NotAllowed)
    if refused or "Unsupported global" in text or "Unsupported class" in text:
        return (
            "refused: the pickle contains objects other than tensors "
            f"({_global_name(text)}), and loading them could run code. If you trust "
            "it, save plain weights where its original code can be imported: "
            f"torch.save(torch.load({os.path.basename(path)!r}, weights_only=False)"
            ".state_dict(), 'plain.pth') for a whole network, or of its "
            "['state_dict'] for a training checkpoint"
        )
    return f"not a readable PyTorch checkpoint ({_first_line(error)})"


def _global_name(text: str) -> str:
    start = text.find("GLOBAL ")
    return text[start:].split(" was ")[0] if start >= 0 else text.splitlines()[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
