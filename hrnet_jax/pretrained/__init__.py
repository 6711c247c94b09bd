"""Official PyTorch checkpoints to and from our variables."""

from hrnet_jax.pretrained.convert import from_torch, to_torch
from hrnet_jax.pretrained.files import read_torch_file
from hrnet_jax.pretrained.names import HEAD_PATTERNS

__all__ = ["HEAD_PATTERNS", "from_torch", "read_torch_file", "to_torch"]
