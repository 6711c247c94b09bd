"""Heatmap losses over the whole (global) batch."""

import dataclasses

import jax
import jax.numpy as jnp

from hrnet_jax.errors import ConfigError

NAMES = ("mse", "adaptive_wing")
# What becomes of a point whose place the network cannot see.
TREATMENTS = ("keep", "mask", "zero")


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Options of targets and loss. Points without annotation never count.

    Attributes:
        name: `mse` or `adaptive_wing`.
        sigma: of the Gaussian targets, in heatmap cells.
        hidden: occluded points: `keep` their targets, `mask` them out of the loss, or
            expect `zero` maps.
        outside: the same for points outside the crop; `keep` leaves the tails of the
            Gaussian that reach into it.
        alpha: of `adaptive_wing`; must exceed 1.
        omega: of `adaptive_wing`.
        epsilon: of `adaptive_wing`.
        theta: of `adaptive_wing`.
        foreground: of `adaptive_wing`: how many times more cells near a point count;
            0 weights all alike, the paper's weighted loss map takes 10.

    Raises:
        ConfigError: naming the key whose value is out of range.
    """

    name: str = "mse"
    sigma: float = 1.5
    hidden: str = "keep"
    outside: str = "zero"
    alpha: float = 2.1
    omega: float = 14.0
    epsilon: float = 1.0
    theta: float = 0.5
    foreground: float = 0.0

    def __post_init__(self):
        for key, allowed in (
            ("name", NAMES),
            ("hidden", TREATMENTS),
            ("outside", TREATMENTS),
        ):
            if getattr(self, key) not in allowed:
                raise ConfigError(
                    f"config key 'loss.{key}' must be one of {', '.join(allowed)}, "
                    f"got {getattr(self, key)!r}"
                )
        for key in ("sigma", "omega", "epsilon", "theta"):
            if getattr(self, key) <= 0:
                raise ConfigError(
                    f"config key 'loss.{key}' must be positive, "
                    f"got {getattr(self, key)}"
                )
        if self.alpha <= 1:
            raise ConfigError(
                f"config key 'loss.alpha' must be larger than 1, got {self.alpha}"
            )
        if self.foreground < 0:
            raise ConfigError(
                "config key 'loss.foreground' must not be negative, "
                f"got {self.foreground}"
            )


def heatmap_loss(
    heatmaps: jax.Array,
    targets: jax.Array,
    weights: jax.Array | None,
    options: LossOptions,
) -> jax.Array:
    """The loss that the options name; arguments as for `heatmap_mse`."""
    if options.name == "mse":
        return heatmap_mse(heatmaps, targets, weights)
    return adaptive_wing(heatmaps, targets, weights, options)


def heatmap_mse(
    heatmaps: jax.Array, targets: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
    """Mean squared error over all elements of all heatmaps.

    Source: HRNet-Facial-Landmark-Detection, `torch.nn.MSELoss(size_average=True)`
    in `tools/train.py`, which weights nothing; there per GPU, here over all
    devices.

    Args:
        heatmaps: float [B, h, w, K].
        targets: float [B, h, w, K], in the same units.
        weights: float [B, K], not negative; zero for points without
            annotation. None weights all points alike.

    Returns:
        Scalar in the type of the heatmaps: the sum of the weighted errors
        divided by that of the weights of all elements. Points of weight zero
        count nowhere, and the loss is zero where all are.

    Raises:
        ValueError: for shapes that differ, which would broadcast silently.
    """
    return _weighted_mean(_squared, heatmaps, targets, weights)


def adaptive_wing(
    heatmaps: jax.Array,
    targets: jax.Array,
    weights: jax.Array | None = None,
    options: LossOptions = LossOptions(),
) -> jax.Array:
    """Adaptive wing loss, averaged as in `heatmap_mse`.

    With d = |target - heatmap| and p = alpha - target: omega ln(1 + (d / epsilon)^p)
    for d below theta, and the straight line that continues it smoothly above. Errors on
    a peak (p near 1) keep a gradient when they are small, those on the background
    (p near 2) lose it.
    Source: Wang, Bo, Fuxin, "Adaptive wing loss for robust face alignment via heatmap
    regression", ICCV 2019, equations 3 and 4, and section 4.3 for the weighted map.

    Args:
        heatmaps: float [B, h, w, K].
        targets: float [B, h, w, K], peak 1.
        weights: float [B, K], not negative.
        options: the constants.
    """

    def error(heatmaps, targets):
        distance = jnp.abs(targets - heatmaps)
        power = options.alpha - targets
        # At theta, the curve's value and slope.
        base = jnp.power(options.theta / options.epsilon, power)
        slope = options.omega * power * base / (options.theta * (1 + base))
        height = options.omega * jnp.log1p(base)
        # The branch not taken must not make the gradient infinite.
        small = jnp.minimum(distance, options.theta)
        curve = options.omega * jnp.log1p(jnp.power(small / options.epsilon, power))
        line = height + slope * (distance - options.theta)
        value = jnp.where(distance < options.theta, curve, line)
        if options.foreground:
            value *= 1 + options.foreground * _near_points(targets)
        return value

    return _weighted_mean(error, heatmaps, targets, weights)


def _near_points(targets: jax.Array) -> jax.Array:
    """1 where a target, dilated by 3 x 3 cells, is at least 0.2, else 0."""
    window = (1, 3, 3, 1)
    dilated = jax.lax.reduce_window(
        targets, -jnp.inf, jax.lax.max, window, (1, 1, 1, 1), "SAME"
    )
    return (dilated >= 0.2).astype(targets.dtype)


def _squared(heatmaps: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.square(heatmaps - targets)


def _weighted_mean(error, heatmaps, targets, weights) -> jax.Array:
    """Mean of `error(heatmaps, targets)`; see `heatmap_mse`."""
    if targets.shape != heatmaps.shape:
        raise ValueError(
            f"targets of shape {targets.shape} for heatmaps {heatmaps.shape}"
        )
    errors = error(heatmaps, targets.astype(heatmaps.dtype))
    if weights is None:
        return jnp.mean(errors)
    batch, height, width, points = heatmaps.shape
    if weights.shape != (batch, points):
        raise ValueError(
            f"weights of shape {weights.shape}, expected one for each of "
            f"{batch} x {points} points"
        )
    weights = weights.astype(heatmaps.dtype)
    total = jnp.sum(weights * jnp.sum(errors, (1, 2)))
    count = jnp.sum(weights)
    return total / (jnp.where(count > 0, count, 1) * (height * width))
