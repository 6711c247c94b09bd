"""Optimizers, built from optax."""

import functools
import re
from collections.abc import Collection

import jax.numpy as jnp
import optax
from flax import traverse_util

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.sections import OptimizerOptions
from hrnet_jax.training.schedules import Schedule


def make_optimizer(
    options: OptimizerOptions, schedule: Schedule
) -> optax.GradientTransformation:
    """One gradient transformation for all parameters.

    SGD is PyTorch's: v <- momentum * v + (g + decay * w); w <- w - rate * v.
    The rate stays outside the momentum buffer, so it acts at once when it
    changes.
    """
    all_decay = options.decay_norms and options.decay_biases
    decay = (
        optax.add_decayed_weights(
            options.weight_decay,
            None if all_decay else functools.partial(_decays, options),
        )
        if options.weight_decay
        else optax.identity()
    )
    adam = optax.scale_by_adam(options.beta1, options.beta2)
    steps = {
        "sgd": (decay, optax.trace(options.momentum, options.nesterov)),
        "adam": (decay, adam),
        "adamw": (adam, decay),
    }[options.name]
    clip = (
        optax.clip_by_global_norm(options.clip_norm)
        if options.clip_norm
        else optax.identity()
    )
    return optax.chain(
        clip,
        *steps,
        _multiply(options.multipliers, options.bias_rate),
        optax.scale_by_learning_rate(schedule),
    )


def _decays(options: OptimizerOptions, params: dict) -> dict:
    """Which parameters decay, a tree of booleans."""
    flat = traverse_util.flatten_dict(params, sep="/")
    biases = set() if options.decay_biases else _biases(flat)
    kept = {
        name: (options.decay_norms or jnp.ndim(leaf) > 1) and name not in biases
        for name, leaf in flat.items()
    }
    return traverse_util.unflatten_dict(kept, sep="/")


def _biases(names: Collection[str]) -> set[str]:
    """Those of biases beside a kernel; a norm's own has none."""
    return {
        name
        for name in names
        if name.split("/")[-1] == "bias"
        and name.removesuffix("bias") + "kernel" in names
    }


def _multiply(
    multipliers: tuple[tuple[str, float], ...], bias_rate: float
) -> optax.GradientTransformation:
    """Scales the updates of parameters by the first pattern that matches.

    Those of biases by `bias_rate` as well.
    """
    if not multipliers and bias_rate == 1:
        return optax.identity()

    def update(updates, state, params=None):
        del params
        flat = traverse_util.flatten_dict(updates, sep="/")
        for pattern, _ in multipliers:
            if not any(re.search(pattern, name) for name in flat):
                raise ConfigError(
                    f"optimizer.multipliers: no parameter matches {pattern!r}"
                )
        biases = _biases(flat)
        scaled = {
            name: value * (_factor(name) * (bias_rate if name in biases else 1.0))
            for name, value in flat.items()
        }
        return traverse_util.unflatten_dict(scaled, sep="/"), state

    def _factor(name: str) -> float:
        matches = (
            factor for pattern, factor in multipliers if re.search(pattern, name)
        )
        return next(matches, 1.0)

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
