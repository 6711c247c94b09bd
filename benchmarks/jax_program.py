"""The programs of this project that are timed: inference and the train step."""

import dataclasses
import functools
import gc
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import detector_work
from benchmarks.timing import Case
from hrnet_jax import runtime
from hrnet_jax.costs.multiply_adds import multiply_adds
from hrnet_jax.experiment.sections import OptimizerOptions, ScheduleOptions
from hrnet_jax.keypoints.losses import heatmap_mse
from hrnet_jax.models.folding import as_computed, fold_batch_norm
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.model import Model
from hrnet_jax.registry import create_model, lanes_for
from hrnet_jax.runtime import layouts
from hrnet_jax.runtime.pieces import PiecewiseProgram
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.schedules import make_schedule
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step

OPTIMIZER = OptimizerOptions(name="sgd", momentum=0.9, weight_decay=5e-4)
LEARNING_RATE = 0.01


@dataclasses.dataclass
class Program:
    """A function with the arguments it is timed on.

    Attributes:
        function: jitted; `train` takes (state, batch), `infer` (variables, images).
        arguments: on the device. A train step donates its state.
        variables: host copy of the model's variables.
        batch: host copy: `image` float32 [B, H, W, 3] and the target.
        model: the module.
        compiled: set by `compile`.
        compile_s: seconds that `compile` last took.
    """

    function: Callable
    arguments: tuple
    variables: dict
    batch: dict[str, np.ndarray]
    model: Model
    compiled: object = None
    compile_s: float = 0.0

    def compile(self, whole: bool = False) -> float:
        """Traces and compiles, uncut if `whole`; returns the seconds that took."""
        start = time.perf_counter()
        _, self.compiled = runtime.compile_ahead(
            self.function, *self.arguments, whole=whole
        )
        self.compile_s = time.perf_counter() - start
        return self.compile_s

    def trace(self) -> float:
        """Traces alone, which `compile` need not repeat; returns the seconds."""
        start = time.perf_counter()
        was_enabled = gc.isenabled()
        gc.disable()  # As `runtime.compile_ahead` does.
        try:
            self.function.trace(*self.arguments)
        finally:
            if was_enabled:
                gc.enable()
        return time.perf_counter() - start

    def multiply_adds(self) -> int:
        """Multiply-adds of the convolutions and matrix products of one call."""
        # Unwrapped: a jitted function with compiler options cannot be nested.
        return multiply_adds(self.function.__wrapped__, *self.arguments)

    def memory_bytes(self) -> int:
        """Memory the compiled program needs: arguments, results, temporaries."""
        if isinstance(self.compiled, PiecewiseProgram):
            return self.compiled.memory_bytes()
        memory = self.compiled.memory_analysis()
        return (
            memory.temp_size_in_bytes
            + memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            - memory.alias_size_in_bytes
        )


class InferProgram(Program):
    """The forward pass with the running statistics."""

    def __call__(self) -> Any:
        """Runs once and waits; returns the outputs, of a detector by name."""
        return jax.block_until_ready(self.compiled(*self.arguments))


class TrainProgram(Program):
    """One update; every call continues from the last."""

    def compile(self, whole: bool = False) -> float:
        """As `Program.compile`; the state then has the layout of the program."""
        took = super().compile(whole)
        state, batch = self.arguments
        self.arguments = layouts.with_layout_of(self.compiled, 0, state), batch
        return took

    def __call__(self) -> dict[str, jax.Array]:
        """Runs once and waits; returns the scalars of the step."""
        state, batch = self.arguments
        state, scalars = jax.block_until_ready(self.compiled(state, batch))
        self.arguments = (state, batch)
        return scalars


@dataclasses.dataclass(frozen=True)
class Target:
    """What a family of models learns here.

    Attributes:
        draw: (generator, (batch, height, width), model) -> random targets by key.
        loss: model -> mean loss in training mode, as `make_train_step` wants it.
        learning_rate: of the update.
    """

    draw: Callable[
        [np.random.Generator, tuple[int, int, int], Model], dict[str, np.ndarray]
    ]
    loss: Callable[[Model], Callable]
    learning_rate: float = LEARNING_RATE


def _of_outputs(key: str, value: Callable[[Any, jax.Array, Model], jax.Array]):
    """A loss that compares the outputs of the network with one target of the batch."""

    def of_model(model: Model) -> Callable:
        def loss(variables, batch, rngs):
            outputs, state = model.apply(
                variables,
                batch["image"],
                train=True,
                mutable=["batch_stats"],
                rngs=rngs,
            )
            return value(outputs, batch[key], model), (state["batch_stats"], {})

        return loss

    return of_model


def _draw_labels(rng, shape, model) -> dict[str, np.ndarray]:
    label = rng.integers(0, model.num_classes, shape).astype(np.uint8)
    label[rng.random(shape) < 0.02] = 255
    return {"label": label}


def _draw_heatmaps(rng, shape, model) -> dict[str, np.ndarray]:
    batch, height, width = shape
    cells = (batch, -(-height // 4), -(-width // 4))
    return {"heatmaps": rng.random((*cells, model.num_points), np.float32)}


def _class_loss(outputs, targets, model) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(
        outputs, targets.astype(jnp.int32)
    )
    return jnp.mean(losses)


_HEATMAPS = Target(
    _draw_heatmaps,
    _of_outputs(
        "heatmaps", lambda outputs, targets, model: heatmap_mse(outputs, targets)
    ),
)
# Families whose train step is timed.
TRAINING_TARGETS = {
    "segmentation": Target(
        _draw_labels,
        _of_outputs(
            "label",
            lambda outputs, targets, model: segmentation_loss(
                outputs, targets, LossOptions(), model.upsample
            ),
        ),
    ),
    "classification": Target(
        lambda rng, shape, model: {
            "class": rng.integers(0, model.num_classes, shape[0])
        },
        _of_outputs("class", _class_loss),
    ),
    "landmarks": _HEATMAPS,
    "pose": _HEATMAPS,
    # Fresh detectors diverge at larger rates, and then have other work to do.
    "detection": Target(
        detector_work.draw_objects, detector_work.detector_loss, learning_rate=1e-6
    ),
}


def _outputs(model: Model, variables: dict, images: jax.Array) -> Any:
    return model.apply(variables, images)


# What a prediction is, where it is more than the outputs of the network.
_PREDICTIONS = {"detection": detector_work.detect}


def make_batch(case: Case, model: Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Random normalised images and targets; one label in 50 is ignored.

    Targets are `class` int64 [B], `label` uint8 [B, H, W], `heatmaps` float32
    [B, h, w, K] or those of `draw_objects`, see `TRAINING_TARGETS`; models that are not
    there have none.
    """
    rng = np.random.default_rng(seed)
    shape = (case.batch, case.height, case.width)
    batch = {"image": rng.standard_normal((*shape, 3), np.float32)}
    if case.family in TRAINING_TARGETS:
        batch |= TRAINING_TARGETS[case.family].draw(rng, shape, model)
    return batch


def make_program(
    case: Case, dtype: str = "float32", *, folded: bool = False, remat: str = "none"
) -> Program:
    """Builds the program of a case, not yet compiled.

    Args:
        case: model, mode, batch and size.
        dtype: compute type of the model, `float32` or `bfloat16`.
        folded: merge every batch norm into the convolution before it; inference
            only.
        remat: what a train step computes again, see `models.rematerialisation`.

    Raises:
        ValueError: for training of a folded network, or of one that has no loss.
    """
    lanes = lanes_for(case.model, dtype)
    model = create_model(case.model, dtype=dtype, remat=remat, lanes=lanes)
    if case.mode == "train" and (folded or case.family not in TRAINING_TARGETS):
        what = "with folded norms" if folded else f"of family {case.family!r}"
        raise ValueError(f"{case}: a network {what} cannot be trained")
    # As `Predictor` and `train` do; here for both frameworks.
    runtime.keep_freed_memory()
    variables = initial_variables(model)
    if case.family == "detection":
        variables = detector_work.busy_variables(variables)
    batch = make_batch(case, model)
    if case.mode == "infer":
        if folded:
            model, variables = fold_batch_norm(model, variables)
            variables = as_computed(variables, model.dtype)
        predict = functools.partial(_PREDICTIONS.get(case.family, _outputs), model)
        function = runtime.jit(predict)
        arguments = layouts.put_for_inference(variables), jax.device_put(batch["image"])
        return InferProgram(function, arguments, variables, batch, model)
    # One device: the benchmarks compare programs, not meshes.
    mesh = runtime.make_mesh(data=1)
    target = TRAINING_TARGETS[case.family]
    schedule = make_schedule(
        ScheduleOptions(name="constant", learning_rate=target.learning_rate),
        num_steps=1000,
    )
    optimizer = make_optimizer(OPTIMIZER, schedule)
    loss = target.loss(model)
    step = make_train_step(loss, optimizer, schedule, mesh, free_layout=True)
    state = jax.device_put(create_state(variables, optimizer), runtime.replicated(mesh))
    return TrainProgram(step, (state, jax.device_put(batch)), variables, batch, model)
