"""Optimizers, built from optax."""

import functools
import re
from collections.abc import Collection

import jax
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
    decay = _decay(options) if options.weight_decay else optax.identity()
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


def _decay(options: OptimizerOptions) -> optax.GradientTransformation:
    """Adds to updates what the parameters decay by."""
    if options.decay_multipliers:
        return optax.stateless(functools.partial(_decayed, options))
    if options.decay_norms and options.decay_biases:
        return optax.add_decayed_weights(options.weight_decay)
    return optax.add_decayed_weights(
        options.weight_decay, functools.partial(_decays, options)
    )


def _decayed(options: OptimizerOptions, updates: dict, params: dict) -> dict:
    """Updates with the decay of parameters that decay by different factors."""
    multipliers = options.decay_multipliers
    flat = traverse_util.flatten_dict(params, sep="/")
    _check_patterns("optimizer.decay_multipliers", multipliers, flat)
    decays = traverse_util.flatten_dict(_decays(options, params), sep="/")
    factors = {
        name: options.weight_decay * _factor(multipliers, name) * decays[name]
        for name in flat
    }
    return jax.tree.map(
        lambda update, factor, value: update + factor * value,
        updates,
        traverse_util.unflatten_dict(factors, sep="/"),
        params,
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
        _check_patterns("optimizer.multipliers", multipliers, flat)
        biases = _biases(flat)
        scaled = {
            name: value
            * (_factor(multipliers, name) * (bias_rate if name in biases else 1.0))
            for name, value in flat.items()
        }
        return traverse_util.unflatten_dict(scaled, sep="/"), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _factor(multipliers: tuple[tuple[str, float], ...], name: str) -> float:
    """That of the first pattern which matches a name, 1 without any."""
    matches = (factor for pattern, factor in multipliers if re.search(pattern, name))
    return next(matches, 1.0)


def _check_patterns(
    key: str, multipliers: tuple[tuple[str, float], ...], names: Collection[str]
) -> None:
    """Checks that each pattern matches a parameter.

    Raises:
        ConfigError: naming one that does not.
    """
    for pattern, _ in multipliers:
        if not any(re.search(pattern, name) for name in names):
            raise ConfigError(f"{key}: no parameter matches {pattern!r}")
