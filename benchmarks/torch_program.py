"""The same work in PyTorch: inference and one SGD update."""

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator

# The profiler, which counts memory, logs its starts and stops otherwise.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.jax_program import LEARNING_RATE, OPTIMIZER, Program
from benchmarks.timing import Case
from benchmarks.torch_hrnet import create_torch_model, resize
from hrnet_jax.pretrained import to_torch


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run PyTorch.

    Attributes:
        channels_last: memory format of images and kernels.
        compiled: through `torch.compile`.
        mode: of `torch.compile`; None for its default.
        freezing: weights become constants of the compiled program, which folds
            norms and packs kernels; inference only.
        autocast: bfloat16 where autocast allows it.
    """

    channels_last: bool = True
    compiled: bool = False
    mode: str | None = None
    freezing: bool = False
    autocast: bool = False


VARIANTS = {
    "torch_eager": Variant(channels_last=False),
    "torch_channels_last": Variant(),
    "torch_compile": Variant(compiled=True),
    "torch_compile_freezing": Variant(compiled=True, freezing=True),
    "torch_compile_max_autotune": Variant(compiled=True, mode="max-autotune"),
}
AUTOCAST_VARIANTS = {
    "torch_autocast_channels_last": Variant(autocast=True),
    "torch_autocast_compile": Variant(autocast=True, compiled=True),
    "torch_autocast_compile_max_autotune": Variant(
        autocast=True, compiled=True, mode="max-autotune"
    ),
}


def variants(mode: str, dtype: str, device: str, compiled: bool) -> dict[str, Variant]:
    """The ways to run PyTorch that a case is compared with.

    Args:
        mode: of the case, `infer` or `train`.
        dtype: `bfloat16` means autocast.
        device: `max-autotune` searches for kernels of a GPU, so only `cuda` has it;
            on `cpu` inference has freezing instead.
        compiled: whether `torch.compile` takes part at all.
    """
    table = VARIANTS if dtype == "float32" else AUTOCAST_VARIANTS
    return {
        name: variant
        for name, variant in table.items()
        if (compiled or not variant.compiled)
        and (device == "cuda" or variant.mode is None)
        and (not variant.freezing or (mode == "infer" and device == "cpu"))
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

    With a cache folder `torch.compile` may find there what it compiled before.

    Attributes:
        first_call_s: seconds of the first call; with `torch.compile` this is
            compilation, without anything from its caches.
    """

    def __init__(
        self,
        case: Case,
        variant: Variant,
        program: Program,
        device: str,
        cache: str | None = None,
    ):
        self._case, self._variant, self._device = case, variant, device
        self._cache = cache
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
        self._forward: Callable = self._network
        if variant.compiled:
            # Networks of earlier cases would count against a limit of recompilations.
            torch.compiler.reset()
            self._forward = torch.compile(self._network, mode=variant.mode)
        self.first_call_s = 0.0

    def _load(self, program: Program) -> torch.nn.Module:
        align = program.model.upsample == "align_corners"
        is_points = self._case.family in ("landmarks", "pose")
        outputs = getattr(
            program.model, "num_points" if is_points else "num_classes", 0
        )
        network = create_torch_model(
            self._case.model, num_outputs=outputs, align_corners=align
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
        result = {}
        for key, value in batch.items():
            tensor = torch.from_numpy(value)
            if tensor.is_floating_point():  # Maps; the others are classes.
                tensor = tensor.permute(0, 3, 1, 2)
                tensor = tensor.contiguous(memory_format=self._memory_format)
            else:
                tensor = tensor.long()
            result[key] = tensor.to(self._device)
        return result

    def _precision(self) -> contextlib.AbstractContextManager:
        if self._variant.autocast:
            return torch.autocast(self._device, torch.bfloat16)
        return contextlib.nullcontext()

    def warm_up(self) -> Tensor:
        """First calls: compilation, choice of algorithms, allocation.

        Returns:
            What the very first call returned.
        """
        start = time.perf_counter()
        with _caching_in(self._cache), _freezing(self._variant.freezing):
            result = self()
        self.first_call_s = time.perf_counter() - start
        self()
        return result

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
        if self._case.family in ("landmarks", "pose"):
            return functional.mse_loss(logits, self._batch["heatmaps"])
        label = self._batch["label"]
        logits = resize(logits, label.shape[1:], self._network.upsample)
        return functional.cross_entropy(logits, label, ignore_index=255)

    def peak_bytes(self) -> int:
        """Most memory of weights, batch and one call, in bytes.

        On a GPU since this program was made, beyond what others held then; read it
        before the next program is made. On a CPU it runs once more, under the
        profiler.
        """
        if self._device == "cuda":
            return torch.cuda.max_memory_allocated() - self._held
        held = [*self._network.parameters(), *self._network.buffers()]
        held += self._batch.values()
        if self._case.mode == "train":
            held += [weight.grad for weight in self._network.parameters()]
            for state in self._optimizer.state.values():
                held += filter(torch.is_tensor, state.values())
        # The call frees the gradients that it finds.
        held_bytes = sum(t.numel() * t.element_size() for t in held if t is not None)
        return held_bytes + _peak_of_call(self)


def _peak_of_call(function: Callable[[], object]) -> int:
    """Largest sum of what PyTorch allocated and freed on the CPU during one call."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        function()
    # Summaries by operation lose the order, which the peak depends on.
    events = profile.profiler.kineto_results.events()
    changes = [event for event in events if event.name() == "[memory]"]
    total = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return peak


@contextlib.contextmanager
def _caching_in(folder: str | None) -> Iterator[None]:
    """Where `torch.compile` keeps kernels; without a folder it starts cold."""
    key = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(key)
    with tempfile.TemporaryDirectory(prefix="hrnet-jax-inductor-") as empty:
        os.environ[key] = folder or empty
        try:
            yield
        finally:
            os.environ.pop(key)
            if before is not None:
                os.environ[key] = before


@contextlib.contextmanager
def _freezing(is_wanted: bool) -> Iterator[None]:
    """Compiles with weights as constants."""
    from torch._inductor import config as inductor

    before = inductor.freezing
    inductor.freezing = is_wanted
    try:
        yield
    finally:
        inductor.freezing = before
