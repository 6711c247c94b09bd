"""One traced function as a chain of programs, equal ones compiled once.

An HRNet says the same thing many times: four of the eight modules of W18 are
equal, three others are. A compiler that gets them as one program compiles each of
them, and XLA's CPU compiler takes more than twice as long for twice as many
operations; its cache, which looks for every operation in a list of all, takes even
longer to read them back. Cut at the modules, a train step compiles in little more
than half the time and comes out of the cache several times faster. A step takes as
long as before (figures: docs/speed.md).

On accelerators a function stays one program, so that the compiler can fuse and
overlap across modules, and no time goes into starting programs.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend import core

# Calls that hold fewer equations than this stay inside their surroundings.
MIN_EQUATIONS = 200


@dataclasses.dataclass(frozen=True)
class _Piece:
    """Consecutive equations that become one program.

    Attributes:
        jaxpr: the equations, with `inputs` and `outputs` as variables.
        key: equal for pieces that compute the same function.
        donated: positions of inputs whose memory the outputs may take over.
        dies_here: inputs whose last use is in this piece.
    """

    jaxpr: core.ClosedJaxpr
    key: Any
    donated: tuple[int, ...]
    dies_here: tuple[core.Var, ...]

    @property
    def inputs(self) -> Sequence[core.Var]:
        return self.jaxpr.jaxpr.invars

    @property
    def outputs(self) -> Sequence[core.Var]:
        return self.jaxpr.jaxpr.outvars


class PiecewiseProgram:
    """A traced function, compiled for one device and cut at its large calls.

    Large calls are those of jitted functions (`flax.linen.jit` for modules) at
    the top level. Calls of the same trace share one program. Donated arguments
    are given up after their last use, intermediate results as well.

    Args:
        traced: from `jax.jit(function).trace(...)`, without static arguments.
        compiler_options: for every program.
    """

    def __init__(self, traced: jax.stages.Traced, compiler_options: dict[str, str]):
        closed = traced.jaxpr
        donated = [info.donated for info in jax.tree.leaves(traced.args_info)]
        # Any: jaxlib has no types.
        self._in_tree: Any = jax.tree.structure(traced.args_info[0])
        self._out_tree = jax.tree.structure(traced.out_info)
        self._arguments = closed.jaxpr.invars
        self._results = closed.jaxpr.outvars
        self._constants = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
        donatable = {
            variable
            for variable, give in zip(self._arguments, donated, strict=True)
            if give
        }
        self._pieces = _pieces(closed.jaxpr, donatable)
        self._programs = _compile(self._pieces, compiler_options)

    @property
    def num_pieces(self) -> int:
        """Programs that a call runs, one after the other."""
        return len(self._pieces)

    @property
    def num_programs(self) -> int:
        """Different programs among them, each compiled once."""
        return len(set(map(id, self._programs)))

    def __call__(self, *arguments: Any) -> Any:
        """Runs the function; waits for nothing."""
        values = self._read(arguments)
        for piece, program in zip(self._pieces, self._programs, strict=True):
            results = program(*[values[variable] for variable in piece.inputs])
            for variable in piece.dies_here:
                del values[variable]
            values.update(zip(piece.outputs, results, strict=True))
        results = [
            result.val if isinstance(result, core.Literal) else values[result]
            for result in self._results
        ]
        return jax.tree.unflatten(self._out_tree, results)

    def _read(self, arguments: tuple) -> dict[core.Var, Any]:
        leaves, tree = jax.tree.flatten(arguments)
        if self._in_tree != tree:
            raise TypeError(
                f"compiled for arguments of structure {self._in_tree}, got {tree}"
            )
        return self._constants | dict(zip(self._arguments, leaves, strict=True))

    def memory_bytes(self) -> int:
        """Largest memory in use at a time, in bytes: arguments, values, temporaries."""
        given = (*self._arguments, *self._constants)
        sizes = {variable: bytes_of(variable) for variable in given}
        peak = held = sum(sizes.values())
        for piece, program in zip(self._pieces, self._programs, strict=True):
            needs = program.memory_analysis()
            new = {variable: bytes_of(variable) for variable in piece.outputs}
            peak = max(
                peak,
                held
                + needs.temp_size_in_bytes
                + needs.output_size_in_bytes
                - needs.alias_size_in_bytes,
            )
            sizes |= new
            held += sum(new.values()) - sum(
                sizes[variable] for variable in piece.dies_here
            )
        return peak


def inner_jaxprs(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    """The functions that an equation calls: loop bodies, jitted functions, ..."""
    for value in equation.params.values():
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value


def _count(jaxpr: core.Jaxpr) -> int:
    """Equations, those of inner functions included."""
    return sum(1 + sum(map(_count, inner_jaxprs(equation))) for equation in jaxpr.eqns)


def _called(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """The jitted function that an equation calls, if it is a large one."""
    if equation.primitive.name not in ("jit", "pjit"):
        return None
    closed = equation.params["jaxpr"]
    return closed if _count(closed.jaxpr) >= MIN_EQUATIONS else None


def _groups(jaxpr: core.Jaxpr) -> list[list[core.JaxprEqn]]:
    """Equations in order: large calls alone, all between two of them together."""
    groups: list[list[core.JaxprEqn]] = [[]]
    for equation in jaxpr.eqns:
        if _called(equation):
            groups += [[equation], []]
        else:
            groups[-1].append(equation)
    return [group for group in groups if group]


def _variables(atoms: Sequence[Any]) -> Iterator[core.Var]:
    return (atom for atom in atoms if not isinstance(atom, core.Literal))


def _pieces(jaxpr: core.Jaxpr, donatable: set[core.Var]) -> list[_Piece]:
    """Cuts a function.

    Args:
        jaxpr: the function.
        donatable: arguments whose memory may be reused.
    """
    groups = _groups(jaxpr)
    # Names of arguments and results would have to fit each piece.
    frame = jaxpr.replace(
        constvars=[], debug_info=jaxpr.debug_info.with_unknown_names()
    )
    last_use = {variable: -1 for variable in (*jaxpr.invars, *jaxpr.constvars)}
    for index, group in enumerate(groups):
        for equation in group:
            last_use |= dict.fromkeys(equation.outvars, -1)
            last_use |= dict.fromkeys(_variables(equation.invars), index)
    last_use |= dict.fromkeys(_variables(jaxpr.outvars), len(groups))
    return [
        _piece(frame, group, index, last_use, donatable)
        for index, group in enumerate(groups)
    ]


def _piece(
    frame: core.Jaxpr,
    group: list[core.JaxprEqn],
    index: int,
    last_use: dict[core.Var, int],
    donatable: set[core.Var],
) -> _Piece:
    made = [variable for equation in group for variable in equation.outvars]
    own = set(made)
    read = (v for equation in group for v in _variables(equation.invars))
    inputs = [variable for variable in dict.fromkeys(read) if variable not in own]
    outputs = [variable for variable in made if last_use[variable] > index]
    if not _called(group[0]):
        inputs = _in_order(inputs, frame.invars)
        outputs = _in_order(outputs, frame.outvars)
    dies_here = [variable for variable in inputs if last_use[variable] == index]
    donated = _donated(inputs, outputs, donatable.intersection(dies_here))
    key = _key(group, inputs, outputs)
    jaxpr = frame.replace(invars=inputs, outvars=outputs, eqns=group)
    return _Piece(
        core.ClosedJaxpr(jaxpr, []), (key, donated), donated, tuple(dies_here)
    )


def _in_order(variables: list[core.Var], order: Sequence[Any]) -> list[core.Var]:
    """Variables in an order, those that are not in it at the end.

    JAX hands the memory of donated inputs to outputs of the same form one after the
    other. In the order of the function's own arguments and results every parameter
    takes the place of its former value; in any other order, of a value that is still
    needed, which then has to be copied first.
    """
    places = {variable: place for place, variable in enumerate(_variables(order))}
    return sorted(variables, key=lambda v: places.get(v, len(places)))


def _key(group: list[core.JaxprEqn], inputs: list, outputs: list) -> Any:
    """Equal for calls of the same function with arguments in the same places."""
    called = _called(group[0]) if len(group) == 1 else None
    if called is None or any(isinstance(v, core.Literal) for v in group[0].invars):
        return object()
    places = tuple(inputs.index(variable) for variable in group[0].invars)
    kept = tuple(variable in outputs for variable in group[0].outvars)
    return id(called), places, kept


def _donated(inputs: list, outputs: list, donatable: set[core.Var]) -> tuple[int, ...]:
    """Positions of inputs that are no longer needed and fit an output's memory."""
    free: dict[tuple, int] = {}
    for variable in outputs:
        form = variable.aval.shape, variable.aval.dtype
        free[form] = free.get(form, 0) + 1
    positions = []
    for position, variable in enumerate(inputs):
        form = variable.aval.shape, variable.aval.dtype
        if variable in donatable and free.get(form):
            free[form] -= 1
            positions.append(position)
    return tuple(positions)


def _compile(pieces: list[_Piece], options: dict[str, str]) -> list[Any]:
    """Compiles each distinct piece."""
    lowered = {}
    for piece in pieces:
        if piece.key not in lowered:
            function = jax.jit(
                core.jaxpr_as_fun(piece.jaxpr),
                donate_argnums=piece.donated,
                compiler_options=options,
            )
            forms = [
                jax.ShapeDtypeStruct(array.shape, array.dtype)
                for array in map(array_of, piece.inputs)
            ]
            lowered[piece.key] = function.lower(*forms)
    compiled = {key: program.compile() for key, program in lowered.items()}
    return [compiled[piece.key] for piece in pieces]


def array_of(variable: core.Var) -> jax.core.ShapedArray:
    """Shape and type of what a variable of a program holds.

    Raises:
        TypeError: if that is no array.
    """
    if not isinstance(variable.aval, jax.core.ShapedArray):
        raise TypeError(f"{variable} holds {variable.aval}, expected an array")
    return variable.aval


def bytes_of(variable: core.Var) -> int:
    """Bytes of what a variable of a program holds."""
    array = array_of(variable)
    return array.size * array.dtype.itemsize
