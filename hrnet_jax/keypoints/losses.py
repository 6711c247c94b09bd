"""Heatmap losses over the whole (global) batch."""

import dataclasses
from typing import ClassVar

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

    names: ClassVar[tuple[str, ...]] = NAMES

    def __post_init__(self):
        for key, allowed in (
            ("name", self.names),
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


@dataclasses.dataclass(frozen=True)
class PoseLossOptions(LossOptions):
    """Options of targets and loss. Joints without annotation never count.

    Attributes:
        name: `joint_mse` (published), `mse` or `adaptive_wing`.
        sigma: of the Gaussian targets, in heatmap cells; published with 2 for crops of
            256 rows and 3 for 384.
        outside: the same as `hidden` for joints so far outside the crop that their
            Gaussian, three sigmas wide, does not reach into it.
        factor: of `joint_mse`; one half in the published code.
        hardest: of `joint_mse`: how many joints of each person count, those of largest
            error (online hard key point mining; 8 in the published code); 0 for all.
    """

    name: str = "joint_mse"
    sigma: float = 2.0
    outside: str = "mask"
    factor: float = 0.5
    hardest: int = 0

    names: ClassVar[tuple[str, ...]] = ("joint_mse", *NAMES)

    def __post_init__(self):
        super().__post_init__()
        if self.factor <= 0:
            raise ConfigError(
                f"config key 'loss.factor' must be positive, got {self.factor}"
            )
        if self.hardest < 0:
            raise ConfigError(
                f"config key 'loss.hardest' must not be negative, got {self.hardest}"
            )
        if self.hardest and self.name != "joint_mse":
            raise ConfigError(
                f"config key 'loss.hardest' is {self.hardest}, but goes with "
                f"loss.name=joint_mse, not {self.name!r}"
            )


def heatmap_loss(
    heatmaps: jax.Array,
    targets: jax.Array,
    weights: jax.Array | None,
    options: LossOptions,
) -> jax.Array:
    """The loss that the options name; arguments as for `heatmap_mse`."""
    if isinstance(options, PoseLossOptions) and options.name == "joint_mse":
        value = joint_mse(heatmaps, targets, weights, options.hardest)
        return options.factor * value
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


def joint_mse(
    heatmaps: jax.Array,
    targets: jax.Array,
    weights: jax.Array | None = None,
    hardest: int = 0,
) -> jax.Array:
    """Mean over all elements of the squares of weighted errors.

    Other than in `heatmap_mse`, joints of weight zero count among those that the mean
    is over. Source: deep-high-resolution-net.pytorch, `JointsMSELoss` and
    `JointsOHKMMSELoss` in `lib/core/loss.py`, there times one half and per GPU, here
    over all devices.

    Args:
        heatmaps: float [B, h, w, K].
        targets: float [B, h, w, K], in the same units.
        weights: float [B, K], which the errors are multiplied by; None for ones.
        hardest: how many joints of each example count, those of largest error; 0 for
            all.

    Returns:
        Scalar in the type of the heatmaps.

    Raises:
        ValueError: for shapes that differ, and more joints than there are.
    """
    _check_shapes(heatmaps, targets, weights)
    points = heatmaps.shape[-1]
    if not 0 <= hardest <= points:
        raise ValueError(f"the hardest {hardest} of {points} joints")
    errors = jnp.mean(_squared(heatmaps, targets.astype(heatmaps.dtype)), (1, 2))
    if weights is not None:
        errors *= jnp.square(weights.astype(heatmaps.dtype))
    if hardest:
        errors = jax.lax.top_k(errors, hardest)[0]
    return jnp.mean(errors)


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
    _check_shapes(heatmaps, targets, weights)
    errors = error(heatmaps, targets.astype(heatmaps.dtype))
    if weights is None:
        return jnp.mean(errors)
    _, height, width, _ = heatmaps.shape
    weights = weights.astype(heatmaps.dtype)
    total = jnp.sum(weights * jnp.sum(errors, (1, 2)))
    count = jnp.sum(weights)
    return total / (jnp.where(count > 0, count, 1) * (height * width))


def _check_shapes(
    heatmaps: jax.Array, targets: jax.Array, weights: jax.Array | None
) -> None:
    """Refuses what would broadcast silently."""
    if targets.shape != heatmaps.shape:
        raise ValueError(
            f"targets of shape {targets.shape} for heatmaps {heatmaps.shape}"
        )
    batch, _, _, points = heatmaps.shape
    if weights is not None and weights.shape != (batch, points):
        raise ValueError(
            f"weights of shape {weights.shape}, expected one for each of "
            f"{batch} x {points} points"
        )
