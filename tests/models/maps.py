"""Random feature maps, and their axes as PyTorch orders them."""

import numpy as np
import torch


def nchw(x: np.ndarray) -> torch.Tensor:
    """[B, H, W, C] as a tensor [B, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def nhwc(x: torch.Tensor) -> np.ndarray:
    """A tensor [B, C, H, W] as [B, H, W, C]."""
    return x.detach().numpy().transpose(0, 2, 3, 1)


def random_maps(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal float32 values."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape).astype(np.float32)
