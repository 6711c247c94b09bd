"""Memory of activations, read off a traced program.

A program is seen as a list of operations on values that depend on its first argument,
the images; weights and whatever is made of weights alone are no activations. Two
assumptions about the compiler make the figures definite:

* the results of convolutions, matrix products, reductions and ReLU are stored, and so
  is what convolutions and products read; everything else (norms in inference,
  additions, upsampling by copies, concatenations) is computed where it is read;
* the result of the latter, or of a ReLU, takes the place of an equally large value
  that is read there for the last time.

For W48 with the head for labels and an image of 512x1024 that gives 304 MiB in
inference; XLA's CPU compiler reserves 278 with the options of `runtime` and 405
without (JAX 0.10.2).
"""

import dataclasses
from collections.abc import Iterator, Sequence

from jax.extend import core

from hrnet_jax.runtime.pieces import bytes_of, inner_jaxprs

# Functions of this package that count as one operation.
_NORMS, _RELU = {"normalize_batch", "normalize_frozen"}, "relu"

# Read stored values only.
_PRODUCTS = {"conv_general_dilated", "dot_general"}
_REDUCTIONS = {
    "reduce_sum",
    "reduce_max",
    "argmax",
    "reduce_window_sum",
    "reduce_window_max",
    "reduce_window",
}

# Stands for what depends on other arguments than the images: weights.
_WEIGHTS = -1

# The same memory under another shape.
_RENAMING = {"reshape", "squeeze", "expand_dims", "stop_gradient"}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a program without calls.

    Attributes:
        name: of the primitive, or of a function that counts as one.
        reads: values that depend on the images.
        writes: its results.
        has_constant: whether it reads something that no argument has a part in,
            such as the matrix of an upsampling.
    """

    name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    has_constant: bool


@dataclasses.dataclass
class Program:
    """A traced function, its calls written out.

    Attributes:
        operations: in the order of the program.
        sizes: bytes of every value.
        inputs: the values of the first argument.
        outputs: the values of the results.
    """

    operations: list[Operation]
    sizes: list[int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_program(closed: core.ClosedJaxpr, outputs: int | None = None) -> Program:
    """Writes the calls of a traced function out.

    Args:
        closed: a traced function whose first argument is the images.
        outputs: how many of its results count as such; None for all.
    """
    images, *others = closed.jaxpr.invars
    program = Program([], [bytes_of(images)], (0,), ())
    known = dict.fromkeys(others, _WEIGHTS) | {images: 0}
    values = _run(closed.jaxpr, known, program)[:outputs]
    results = (value for value in values if value not in (None, _WEIGHTS))
    return dataclasses.replace(program, outputs=tuple(dict.fromkeys(results)))


def peak(program: Program) -> int:
    """Bytes of activations that inference needs at a time, at most.

    Operations run in the order of the program, and a value is given up after it is
    read for the last time. The image counts, weights do not.
    """
    steps = list(_stores(program))
    last = {
        value: index for index, (reads, _, _) in enumerate(steps) for value in reads
    }
    last |= dict.fromkeys(program.outputs, len(steps))
    live = most = sum(program.sizes[value] for value in program.inputs)
    for index, (reads, written, in_place) in enumerate(steps):
        size = program.sizes[written]
        ended = [program.sizes[value] for value in reads if last[value] == index]
        live += size
        most = max(most, live - size if in_place and size in ended else live)
        live -= sum(ended)
        if written not in last:
            live -= size
    return most


def kept_for_training(program: Program) -> int:
    """Bytes of activations that the forward pass keeps for the backward pass.

    These are what convolutions and products read (for the gradients of kernels;
    products with constants need none), what batch norms read, and outputs of ReLUs,
    each once: what PyTorch keeps, too. Vectors, softmaxes and masks are left
    out.

    Args:
        program: a forward pass in training mode.
    """
    kept: set[int] = set()
    for operation in program.operations:
        is_product = operation.name in _PRODUCTS and not operation.has_constant
        if is_product or operation.name in _NORMS:
            kept.update(operation.reads)
        elif operation.name == _RELU:
            kept.update(operation.writes)
    return sum(program.sizes[value] for value in kept)


def _run(
    jaxpr: core.Jaxpr, known: dict[core.Var, int], program: Program
) -> list[int | None]:
    """Appends the operations of a function.

    Args:
        jaxpr: the function.
        known: its arguments that are no constants.
        program: what to append to.

    Returns:
        The values of its results; None for constants.
    """

    def value_of(atom) -> int | None:
        return None if isinstance(atom, core.Literal) else known.get(atom)

    for equation in jaxpr.eqns:
        arguments = [value_of(atom) for atom in equation.invars]
        reads = [value for value in arguments if value not in (None, _WEIGHTS)]
        inner = _called(equation)
        results: Sequence[int | None]
        if not reads:
            constant = all(value is None for value in arguments)
            results = [None if constant else _WEIGHTS] * len(equation.outvars)
        elif inner is not None:
            bound = {
                variable: value
                for variable, value in zip(inner.invars, arguments, strict=True)
                if value is not None
            }
            results = _run(inner, bound, program)
        elif _name(equation) in _RENAMING:
            results = reads
        else:
            results = _append(equation, arguments, program)
        for variable, value in zip(equation.outvars, results, strict=True):
            if value is not None:
                known[variable] = value
    return [value_of(atom) for atom in jaxpr.outvars]


def _append(equation, arguments: list[int | None], program: Program) -> list[int]:
    first = len(program.sizes)
    program.sizes.extend(map(bytes_of, equation.outvars))
    writes = range(first, len(program.sizes))
    reads = (value for value in arguments if value not in (None, _WEIGHTS))
    program.operations.append(
        Operation(_name(equation), tuple(reads), tuple(writes), None in arguments)
    )
    return list(writes)


def _name(equation) -> str:
    name = equation.params.get("name")
    return name if name in _NORMS | {_RELU} else equation.primitive.name


def _called(equation) -> core.Jaxpr | None:
    """The function that an equation calls, unless that counts as one operation."""
    inner = list(inner_jaxprs(equation))
    if _name(equation) in _NORMS | {_RELU} or len(inner) != 1:
        return None
    fits = len(inner[0].invars) == len(equation.invars)
    return inner[0] if fits and "length" not in equation.params else None


def _stores(program: Program) -> Iterator[tuple[frozenset[int], int, bool]]:
    """Values that are stored: (what they are made of, value, whether in place)."""
    # What has to be read to compute a value; a stored one is just itself.
    sources = {value: frozenset([value]) for value in program.inputs}

    def stored(value: int) -> Iterator[tuple[frozenset[int], int, bool]]:
        if sources[value] != {value}:
            yield sources[value], value, True
            sources[value] = frozenset([value])

    for operation in program.operations:
        is_product = operation.name in _PRODUCTS
        if is_product:
            for value in operation.reads:
                yield from stored(value)
        made_of = frozenset().union(*(sources[value] for value in operation.reads))
        for value in operation.writes:
            if is_product or operation.name in _REDUCTIONS or operation.name == _RELU:
                yield made_of, value, not is_product
                sources[value] = frozenset([value])
            else:
                sources[value] = made_of
    for value in program.outputs:
        yield from stored(value)
