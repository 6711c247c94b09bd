"""PyTorch checkpoints of HRNet to and from our variables."""

from hrnet_jax.pretrained.convert import convert_names, from_torch, to_torch
from hrnet_jax.pretrained.files import read_torch_file, read_weights_file
from hrnet_jax.pretrained.fit import Transfer, transfer
from hrnet_jax.pretrained.names import HEAD_PATTERNS
from hrnet_jax.pretrained.recognition import Recognized, recognize

__all__ = [
    "HEAD_PATTERNS",
    "Recognized",
    "Transfer",
    "convert_names",
    "from_torch",
    "read_torch_file",
    "read_weights_file",
    "recognize",
    "to_torch",
    "transfer",
]
