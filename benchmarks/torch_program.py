"""The same work in PyTorch: inference and one SGD update."""

import contextlib
import dataclasses
import os
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.jax_program import LEARNING_RATE, OPTIMIZER, Program
from benchmarks.timing import Case, seconds
from benchmarks.torch_hrnet import create_torch_model, resize
from hrnet_jax.pretrained import to_torch


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run PyTorch.

    Attributes:
        channels_last: memory format of images and kernels.
        compiled: through `torch.compile`.
        autocast: bfloat16 where autocast allows it.
    """

    channels_last: bool = True
    compiled: bool = False
    autocast: bool = False


VARIANTS = {
    "torch_eager": Variant(channels_last=False),
    "torch_channels_last": Variant(),
    "torch_compile": Variant(compiled=True),
}
AUTOCAST_VARIANTS = {
    "torch_autocast_channels_last": Variant(autocast=True),
    "torch_autocast_compile": Variant(autocast=True, compiled=True),
}


def prepare_torch(*, tf32: bool) -> str:
    """Sets threads and float32 precision; returns the device to use.

    Args:
        tf32: whether float32 products may round their inputs on the GPU, which
            is what JAX does there by default.
    """
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    return "cuda" if torch.cuda.is_available() else "cpu"


class TorchProgram:
    """PyTorch's counterpart of a `Program`, with the same weights and batch.

    Attributes:
        first_call_s: seconds of the first call; with `torch.compile` this is
            compilation.
        peak_bytes: most memory allocated beyond what others held, or None
            where PyTorch does not count it.
    """

    def __init__(self, case: Case, variant: Variant, program: Program, device: str):
        self._case, self._variant, self._device = case, variant, device
        self._held = torch.cuda.memory_allocated() if device == "cuda" else 0
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._network = self._load(program)
        self._batch = self._to_device(program.batch)
        self._optimizer = torch.optim.SGD(
            self._network.parameters(),
            lr=LEARNING_RATE,
            momentum=OPTIMIZER.momentum,
            weight_decay=OPTIMIZER.weight_decay,
        )
        self._forward: Callable = (
            torch.compile(self._network) if variant.compiled else self._network
        )
        self.first_call_s = 0.0

    def _load(self, program: Program) -> torch.nn.Module:
        align = getattr(program.model, "upsample", "") == "align_corners"
        network = create_torch_model(
            self._case.model,
            num_classes=program.model.num_classes,
            align_corners=align,
        )
        state = to_torch(program.variables, program.model)
        network.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
        network = network.to(self._device, memory_format=self._memory_format)
        return network.train(self._case.mode == "train")

    @property
    def _memory_format(self) -> torch.memory_format:
        if self._variant.channels_last:
            return torch.channels_last
        return torch.contiguous_format

    def _to_device(self, batch: dict) -> dict[str, Tensor]:
        image = torch.from_numpy(batch["image"]).permute(0, 3, 1, 2)
        result = {
            "image": image.contiguous(memory_format=self._memory_format),
            **{
                key: torch.from_numpy(value).long()
                for key, value in batch.items()
                if key != "image"
            },
        }
        return {key: value.to(self._device) for key, value in result.items()}

    def _precision(self) -> contextlib.AbstractContextManager:
        if self._variant.autocast:
            return torch.autocast(self._device, torch.bfloat16)
        return contextlib.nullcontext()

    def warm_up(self) -> None:
        """First calls: compilation, choice of algorithms, allocation."""
        self.first_call_s = seconds(self)
        self()

    def __call__(self) -> Tensor:
        """Runs once and waits; returns the outputs, or the loss of a step."""
        result = self._update() if self._case.mode == "train" else self.outputs()
        if self._device == "cuda":
            torch.cuda.synchronize()
        return result

    def outputs(self) -> Tensor:
        """The network's outputs [B, K, h, w] or [B, K], without gradients."""
        with torch.inference_mode(), self._precision():
            return self._forward(self._batch["image"])

    def _update(self) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        with self._precision():
            logits = self._forward(self._batch["image"])
            loss = self._loss(logits)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def _loss(self, logits: Tensor) -> Tensor:
        if self._case.family == "classification":
            return functional.cross_entropy(logits, self._batch["class"])
        label = self._batch["label"]
        logits = resize(logits, label.shape[1:], self._network.upsample)
        return functional.cross_entropy(logits, label, ignore_index=255)

    @property
    def peak_bytes(self) -> int | None:
        """See the class; read it before the next program is made."""
        if self._device != "cuda":
            return None
        return torch.cuda.max_memory_allocated() - self._held
