"""Reads and writes weights files without ever running code from them."""

import os
import pickle
import struct
import types
import zipfile
from collections.abc import Mapping

import numpy as np

from hrnet_jax.errors import WeightsError, how_to_install
from hrnet_jax.pretrained.wrappers import unwrap

_SAFETENSORS = ".safetensors"

# What PyTorch's unpickler raises on bytes that are no checkpoint.
_UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


def read_weights_file(
    path: str | os.PathLike, *, keep_counters: bool = False
) -> dict[str, np.ndarray]:
    """Reads a `.safetensors` file, or any other as a PyTorch checkpoint.

    Args:
        path: the file.
        keep_counters: see `unwrap`.

    Returns:
        Names to arrays, wrappers undone.

    Raises:
        WeightsError: if the file cannot be read or holds no tensors.
    """
    path = os.fspath(path)
    if not path.endswith(_SAFETENSORS):
        return read_torch_file(path, keep_counters=keep_counters)
    if not os.path.isfile(path):
        raise WeightsError(f"{path}: no such file")
    safetensors = _import_safetensors(path, "reading")
    unreadable = (safetensors.SafetensorError, OSError, KeyError, TypeError)
    try:
        tensors = safetensors.numpy.load_file(path)
    except unreadable as error:
        raise WeightsError(
            f"{path}: not a readable safetensors file ({_first_line(error)})"
        ) from error
    return _unwrapped(path, tensors, keep_counters)


def write_weights_file(
    path: str | os.PathLike, tensors: Mapping[str, np.ndarray]
) -> None:
    """Writes a state dict, `.safetensors` or for `torch.load`, by the file's name.

    The file is written atomically.

    Raises:
        WeightsError: if PyTorch is needed and not installed.
    """
    path = os.fspath(path)
    unfinished = f"{path}.unfinished"
    if path.endswith(_SAFETENSORS):
        safetensors = _import_safetensors(path, "writing")
        safetensors.numpy.save_file(dict(tensors), unfinished)
    else:
        torch = _import_torch(path, "writing")
        content = {
            name: torch.from_numpy(value.copy()) for name, value in tensors.items()
        }
        torch.save(content, unfinished)
    os.replace(unfinished, path)


def read_torch_file(
    path: str | os.PathLike, *, keep_counters: bool = False
) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch checkpoint as NumPy arrays.

    Only tensors and plain containers are unpickled (`weights_only=True`); a
    file that needs any other class or function is refused unread.

    Args:
        path: a `.pth`, `.pth.tar`, `.pt` or `.bin` file.
        keep_counters: see `unwrap`.

    Returns:
        Official names to arrays, wrappers undone.

    Raises:
        WeightsError: if PyTorch is not installed, or the file is missing, no
            checkpoint, unsafe, or holds no tensors.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise WeightsError(f"{path}: no such file")
    torch = _import_torch(path, "reading")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: {_reason(path, error)}") from error
    except _UNREADABLE as error:
        raise WeightsError(
            f"{path}: not a readable PyTorch checkpoint ({_first_line(error)})"
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(
            f"{path}: holds a {type(content).__name__}, expected a state dict"
        )
    tensors = _unwrapped(path, content, keep_counters)
    # NumPy has no bfloat16; variables are float32 in any case.
    return {
        name: (value.float() if value.is_floating_point() else value).detach().numpy()
        for name, value in tensors.items()
    }


def _import_safetensors(path: str, doing: str) -> types.ModuleType:
    """The library, which networks alone do not need."""
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path}: {doing} this file needs safetensors ({how_to_install('predict')})"
        ) from error
    return safetensors


def _import_torch(path: str, doing: str) -> types.ModuleType:
    """PyTorch, which only its own files need."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path}: {doing} PyTorch files needs PyTorch (pip install torch)"
        ) from error
    return torch


def _unwrapped(path: str, content: Mapping, keep_counters: bool) -> dict:
    try:
        return unwrap(content, keep_counters=keep_counters)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _reason(path: str, error: Exception) -> str:
    """Tells an unsafe pickle from a file that is no pickle at all."""
    text = str(error)
    if "Unsupported global" in text or "Unsupported class" in text:
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
    return text[start:].split(" was ")[0] if start >= 0 else "unsupported class"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
