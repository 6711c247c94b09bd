"""Parts, sizes and costs of a model, without computing or drawing weights.

Everything here comes from tracing the model on shapes alone.
"""

import dataclasses
import fnmatch
import math
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.extend import core

from hrnet_jax.costs.activation_memory import (
    kept_for_training,
    peak,
    read_program,
)
from hrnet_jax.costs.multiply_adds import jaxpr_multiply_adds
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.models.model import Model
from hrnet_jax.registry import create_model, get_spec, model_names

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One array of a model's variables.

    Attributes:
        name: for example `params/stem/conv1/kernel`; `params` are trained,
            `batch_stats` are not.
        shape: of the array.
        dtype: name of its type.
    """

    name: str
    shape: Shape
    dtype: str

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.count * jnp.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Sizes and costs of one model for one image.

    Multiply-adds follow two conventions. The published one counts the convolutions
    and linear layers of the official program, as the official `modelsummary.py`
    does: each kernel once for every pixel that its layer outputs. There the
    heads convolve the upsampled and concatenated branches. `multiply_adds` counts
    what this implementation executes, which convolves before it upsamples and in
    which bilinear upsampling can be a matrix product.

    Attributes:
        model: name in the registry.
        representation: of the model; empty where it has no choice.
        outputs: number of classes or points; None if the model has neither.
        size: height and width of the image, in pixels.
        parameters: number of trainable values.
        buffers: number of running means and variances.
        convolution: multiply-adds of the published convention, convolutions.
        linear: the same, linear layers.
        matmul: products between activations (attention of OCR), which the
            published convention leaves out.
        multiply_adds: of this implementation, all of these and upsampling.
        peak_bytes: largest memory of activations at a time, in inference;
            see `activation_memory.peak`.
        training_bytes: memory of activations that a training step keeps for the
            backward pass; see `activation_memory.kept_for_training`.
        shapes: outputs of every module; names such as `stage2/module0/branch1`
            (the empty one is the whole model) to `jax.ShapeDtypeStruct`, or to what
            holds several of these.
    """

    model: str
    representation: str
    outputs: int | None
    size: tuple[int, int]
    parameters: int
    buffers: int
    convolution: int
    linear: int
    matmul: int
    multiply_adds: int
    peak_bytes: int
    training_bytes: int
    shapes: dict[str, Any] = dataclasses.field(repr=False, compare=False)

    @property
    def published_convention(self) -> int:
        """Multiply-adds that the papers count."""
        return self.convolution + self.linear


def matching_names(pattern: str | None = None) -> list[str]:
    """Names of models that match a shell pattern, such as `segmentation/*`.

    Raises:
        ConfigError: if there are none.
    """
    names = model_names()
    if pattern is None:
        return names
    found = fnmatch.filter(names, pattern)
    if not found:
        raise ConfigError(
            f"unknown model {pattern!r}; expected one of {', '.join(names)} "
            "or a pattern such as 'segmentation/*'"
        )
    return found


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from `HxW`, for example `1024x2048`.

    Raises:
        ConfigError: for anything else.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise ConfigError(
            f"wrong size {text!r}; expected HEIGHTxWIDTH in pixels, such as 1024x2048"
        )
    return int(match[1]), int(match[2])


def default_size(name: str) -> tuple[int, int]:
    """Height and width that a model's family is published with."""
    return get_spec(name).default_size


def build(
    name: str, outputs: int | None = None, representation: str | None = None
) -> Model:
    """Creates a model with another number of outputs, whatever that is called.

    Args:
        name: in the registry.
        outputs: number of classes or points; None keeps the family's.
        representation: `v1`, `v1h`, `v2`, `v2p`; None keeps the family's.

    Raises:
        ConfigError: for an unknown name, a representation that the family does not
            have, or a number of outputs where there is none or below one.
    """
    options: dict[str, Any] = {}
    if representation is not None:
        options["representation"] = representation
    if outputs is not None:
        if outputs < 1:
            raise ConfigError(f"number of outputs is {outputs}; expected at least 1")
        create_model(name)  # an unknown name is an error of its own
        option = get_spec(name).num_outputs
        if not option:
            raise ConfigError(
                f"model {name!r} has no number of outputs to set: it outputs maps"
            )
        options[option] = outputs
    return create_model(name, **options)


def inspect_model(
    name: str,
    size: tuple[int, int] | None = None,
    outputs: int | None = None,
    representation: str | None = None,
) -> Inspection:
    """Sizes and costs of a model; takes about a second.

    Args:
        name: in the registry.
        size: height and width, in pixels; None for what the family is published
            with.
        outputs: number of classes or points; None keeps the family's.
        representation: None keeps the family's.

    Raises:
        ConfigError: see `build`; also for an image that is too small.
    """
    size = size or default_size(name)
    model = build(name, outputs, representation)
    variables = variable_shapes(model)
    traced = _trace(model, variables, size)
    program = read_program(traced.closed, traced.outputs)
    convolution, linear = _published_convention(variables["params"], traced.calls)
    option = get_spec(name).num_outputs
    return Inspection(
        model=name,
        representation=model.representation if model.representations else "",
        outputs=getattr(model, option) if option else None,
        size=size,
        parameters=_count(variables["params"]),
        buffers=_count(variables["batch_stats"]),
        convolution=convolution,
        linear=linear,
        matmul=model.attention_multiply_adds(traced.shapes),
        multiply_adds=jaxpr_multiply_adds(traced.closed.jaxpr),
        peak_bytes=peak(program),
        training_bytes=kept_for_training(program),
        shapes=traced.shapes,
    )


def parameters(model: Model) -> list[Parameter]:
    """Every array of a model, trained ones first, in the order of the network."""
    variables = variable_shapes(model)
    return [
        Parameter(f"{collection}/{name}", leaf.shape, leaf.dtype.name)
        for collection in ("params", "batch_stats")
        for name, leaf in sorted(
            traverse_util.flatten_dict(variables[collection], sep="/").items(),
            key=lambda item: _position(item[0]),
        )
    ]


@dataclasses.dataclass(frozen=True)
class _Traced:
    """A traced model.

    Attributes:
        closed: from the images, the variables and a random key to the outputs of
            the model and then those of all modules.
        outputs: number of arrays that the model outputs.
        calls: outputs of every call of every module, by its name.
    """

    closed: core.ClosedJaxpr
    outputs: int
    calls: dict[str, tuple[Any, ...]]

    @property
    def shapes(self) -> dict[str, Any]:
        """See `Inspection`; heads that all levels of a pyramid share: of the first."""
        return {name: outputs[0] for name, outputs in self.calls.items()}


def _trace(model: Model, variables: dict, size: tuple[int, int]) -> _Traced:
    """Traces a model once, for all that is to be known.

    In training mode, which shows what a backward pass will read. Inference runs the
    same convolutions and products, and no other value has to be stored for it.
    """

    def forward(images, variables, key):
        outputs, state = model.apply(
            variables,
            images,
            train=True,
            mutable=["batch_stats", "intermediates"],
            capture_intermediates=True,
            rngs={"dropout": key},
        )
        return outputs, state["intermediates"]

    images = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    closed, (outputs, captured) = jax.make_jaxpr(forward, return_shape=True)(
        images, variables, key
    )
    captured = traverse_util.flatten_dict(captured, sep="/")
    calls = {
        name.removesuffix("__call__").removesuffix("/"): values
        for name, values in captured.items()
        if name.endswith("__call__")
    }
    return _Traced(closed, len(jax.tree.leaves(outputs)), calls)


def _published_convention(params: dict, calls: dict) -> tuple[int, int]:
    """Multiply-adds of convolutions and of linear layers.

    A kernel is applied once to every pixel that its layer outputs. `Project` holds
    the kernel for the concatenation and outputs its resolution, so that it counts
    as in the official program. Heads on regions, whose number is not that of the
    network, are not called and do not count.
    """
    totals = [0, 0]
    for name, kernel in traverse_util.flatten_dict(params, sep="/").items():
        module, _, leaf = name.rpartition("/")
        if leaf == "kernel":
            outputs = calls.get(module, ())
            pixels = sum(math.prod(output.shape[:-1]) for output in outputs)
            totals[kernel.ndim == 2] += kernel.size * pixels
    return totals[0], totals[1]


def _count(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _position(name: str) -> tuple[Any, ...]:
    """Sorts names by the course of the network, `module10` after `module9`."""
    first = name.partition("/")[0]
    stem = re.sub(r"\d+", "", first)
    order = ("stem", "stage", "transition")
    # transition2 is between stage2 and stage3.
    number = int("".join(re.findall(r"\d+", first)) or 0)
    known = (0, number, order.index(stem)) if stem in order else (1, 0, 0)
    return known, *_digits_apart(name)


def _digits_apart(name: str) -> Iterator[tuple[int, str]]:
    for text in re.findall(r"\d+|\D+", name):
        yield (int(text), "") if text.isdigit() else (-1, text)
