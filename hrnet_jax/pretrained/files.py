"""Reads official `.pth` files without ever running code from them."""

import os
import pickle
import struct
import zipfile

import numpy as np

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained.convert import unwrap

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


def read_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch checkpoint as NumPy arrays.

    Only tensors and plain containers are unpickled (`weights_only=True`); a
    file that needs any other class or function is refused unread.

    Args:
        path: a `.pth`, `.pth.tar` or `.pt` file.

    Returns:
        Official names to arrays, wrappers undone.

    Raises:
        WeightsError: if PyTorch is not installed, or the file is missing, no
            checkpoint, unsafe, or holds no tensors.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise WeightsError(f"{path}: no such file")
    try:
        import torch
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path}: reading PyTorch files needs PyTorch (pip install torch)"
        ) from error
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
    try:
        tensors = unwrap(content)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    # NumPy has no bfloat16; variables are float32 in any case.
    return {
        name: (value.float() if value.is_floating_point() else value).detach().numpy()
        for name, value in tensors.items()
    }


def _reason(path: str, error: Exception) -> str:
    """Tells an unsafe pickle from a file that is no pickle at all."""
    text = str(error)
    if "Unsupported global" in text or "Unsupported class" in text:
        return (
            "refused: the pickle contains objects other than tensors, and loading "
            "them could run code; save a plain state_dict instead "
            f"({_global_name(text)})"
        )
    return f"not a readable PyTorch checkpoint ({_first_line(error)})"


def _global_name(text: str) -> str:
    start = text.find("GLOBAL ")
    return text[start:].split(" was ")[0] if start >= 0 else "unsupported class"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
