"""The one train step."""

import collections
import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from hrnet_jax import runtime
from hrnet_jax.runtime import layouts
from hrnet_jax.tasks.teachers import TEACHER
from hrnet_jax.training.state import TrainState

LossFn = Callable[[dict, dict, dict], tuple[jax.Array, tuple[Any, dict]]]


class StepFn(jax.stages.Wrapped, Protocol):
    """A jitted step: `(state, batch) -> state, scalars`.

    With a teacher it takes its variables as well.
    """

    def __call__(
        self, state: TrainState, batch: dict, *teacher: dict
    ) -> tuple[TrainState, dict[str, jax.Array]]: ...


# Arrays of fewer values are joined before their squares are summed.
_SMALL = 4096


def make_train_step(
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    schedule: Callable,
    mesh: Mesh,
    *,
    seed: int = 0,
    accumulate: int = 1,
    ema_decay: float = 0.0,
    free_layout: bool = False,
    has_teacher: bool = False,
) -> StepFn:
    """Builds the compiled function (state, batch) -> (state, scalars).

    The state is replicated and donated; batches are sharded over the mesh, so
    every sum in the loss and every norm statistic is global. Randomness is a
    function of (seed, step).

    Args:
        loss_fn: (variables, batch, rngs) -> (loss, (batch_stats, scalars)).
        optimizer: from `make_optimizer`.
        schedule: rate by step, for the log.
        mesh: from `runtime.make_mesh`.
        seed: of dropout and the like.
        accumulate: micro-batches per update. Each sees its own batch statistics
            and its own mean loss; gradients are averaged.
        ema_decay: decay of the weight average, 0 for none.
        free_layout: the compiler may choose the layout of the state in a GPU's memory.
            The function then has to be compiled ahead, and the state brought to
            that layout by `layouts.with_layout_of`.
        has_teacher: the step is called with the variables of a teacher as well, whole
            on every device; the loss finds them as `variables[TEACHER]`.
    """

    def train_step(state: TrainState, batch: dict, *teacher: dict):
        gradients = _gradients_of(loss_fn, {TEACHER: teacher[0]} if teacher else {})
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        grads, stats, scalars = _accumulated(gradients, state, batch, key, accumulate)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if ema_decay:
            variables = {"params": params, "batch_stats": stats}
            ema = _averaged(ema, variables, ema_decay, state.step)
        scalars |= {
            "learning_rate": jnp.asarray(schedule(state.step), jnp.float32),
            "gradient_norm": _norm(grads),
        }
        return TrainState(state.step + 1, params, stats, opt_state, ema), scalars

    whole = runtime.replicated(mesh)
    kept = layouts.auto_layout(whole) if free_layout else whole
    return runtime.jit(
        train_step,
        mesh,
        donate_argnums=0,
        in_shardings=(kept, None, *([whole] if has_teacher else [])),
        out_shardings=(kept, whole),
    )


def _gradients_of(loss_fn: LossFn, fixed: dict) -> Callable:
    """(params, batch_stats, batch, rngs) -> gradients, batch_stats, scalars.

    Args:
        loss_fn: as for `make_train_step`.
        fixed: further variables, which nothing is differentiated by.
    """

    def gradients(params, batch_stats, batch, rngs):
        def loss(params):
            variables = {"params": params, "batch_stats": batch_stats, **fixed}
            return loss_fn(variables, batch, rngs)

        (value, (stats, scalars)), grads = jax.value_and_grad(loss, has_aux=True)(
            params
        )
        return grads, stats, {"loss": value, **scalars}

    return gradients


def _averaged(average, new, decay: float, step: jax.Array):
    """The moving average after update number `step` (from 0)."""
    # Young averages follow faster, or they would remember the start.
    kept = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda old, x: kept * old + (1 - kept) * x, average, new)


def _accumulated(gradients, state: TrainState, batch: dict, key, count: int):
    """Averages gradients and scalars over `count` micro-batches.

    Example b goes to micro-batch b % count, so every device keeps its share.
    """
    if count == 1:
        rngs = {"dropout": key}
        return gradients(state.params, state.batch_stats, batch, rngs)
    micro = jax.tree.map(
        lambda x: jnp.moveaxis(
            x.reshape((x.shape[0] // count, count) + x.shape[1:]), 1, 0
        ),
        batch,
    )

    def body(carry, inputs):
        total, stats = carry
        part, index = inputs
        grads, stats, scalars = gradients(
            state.params, stats, part, {"dropout": jax.random.fold_in(key, index)}
        )
        return (jax.tree.map(jnp.add, total, grads), stats), scalars

    zeros = jax.tree.map(jnp.zeros_like, state.params)
    (total, stats), scalars = jax.lax.scan(
        body, (zeros, state.batch_stats), (micro, jnp.arange(count))
    )
    grads = jax.tree.map(lambda x: x / count, total)
    return grads, stats, jax.tree.map(jnp.mean, scalars)


def _norm(tree) -> jax.Array:
    """Square root of the sum of squares of all leaves.

    Three quarters of an HRNet's parameter arrays hold 3 % of the values: scales
    and biases of norms, kernels of narrow branches (W18). They are joined first,
    as separate sums take a CPU's compiler a second longer. Of arrays of one shape the
    squares are added up first: sums of single ones are two kernels each on a GPU.
    """
    leaves = jax.tree.leaves(tree)
    groups = collections.defaultdict[tuple[int, ...], list](list)
    for leaf in leaves:
        if leaf.size >= _SMALL:
            groups[leaf.shape].append(leaf)
    small = [jnp.ravel(leaf) for leaf in leaves if leaf.size < _SMALL]
    if small:
        joined = jnp.concatenate(small)
        groups[joined.shape].append(joined)
    squares = (
        functools.reduce(jnp.add, map(jnp.square, group)) for group in groups.values()
    )
    return jnp.sqrt(sum(map(jnp.sum, squares)))
