"""Pixel losses over the whole (global) batch."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from hrnet_jax.errors import ConfigError
from hrnet_jax.segmentation.phases import at_pixels, is_large
from hrnet_jax.segmentation.region_losses import dice_loss, lovasz_softmax
from hrnet_jax.segmentation.weighing import is_labelled, pixel_weights, ratio

# Of `data.class_weights`, which tasks do not know.
_RULES = ("inverse", "median", "enet")

LOSSES = ("cross_entropy", "ohem", "focal", "dice", "lovasz")


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Options of the segmentation loss.

    Attributes:
        name: `cross_entropy`; `ohem` (online hard example mining); `focal` (less of
            what is easy); `dice` or `lovasz` (overlap of each class, so that small
            objects count as much as large ones).
        class_weights: one factor per class, or empty for none.
        ohem_threshold: pixels whose true class is at least this probable are
            easy and dropped ...
        ohem_min_kept: ... unless fewer than about this many would remain.
        aux_weight: factor of the loss of a model's auxiliary output, where it has
            one (`segmentation/<v>_ocr`); that is the cross-entropy, whatever the
            others are. Source: `LOSS.BALANCE_WEIGHTS` of
            HRNet-Semantic-Segmentation, branch HRNet-OCR.
        official_aux_mean: with `ohem`, take the mean of the auxiliary loss as the
            official code does: over all pixels, ignored ones counted as zero,
            and not divided by the class weights. Published OHEM figures contain
            that; without it the auxiliary loss is the plain cross-entropy.
        class_weights_from: counts `class_weights` in the training split when a run
            begins: `inverse` N / (K n), `median` of f over f (f is n over the pixels of
            images that show the class) or `enet` 1 / ln(1.02 + n / N), where n of N
            pixels are of the class, one of K (`data.class_weights`); empty takes what
            is given. A run that is resumed keeps those that it was begun with.
        focal_gamma: of the focal loss; 0 makes it the cross-entropy.
        focal_weight: factor of a focal loss that is added to the loss of `name`; 0
            for none.
        dice_weight: the same of a Dice loss.
        lovasz_weight: the same of a Lovasz-softmax loss.
    """

    name: str = "cross_entropy"
    class_weights: tuple[float, ...] = ()
    ohem_threshold: float = 0.9
    ohem_min_kept: int = 131072
    aux_weight: float = 0.4
    official_aux_mean: bool = False
    class_weights_from: str = ""
    focal_gamma: float = 2.0
    focal_weight: float = 0.0
    dice_weight: float = 0.0
    lovasz_weight: float = 0.0

    @property
    def added(self) -> dict[str, float]:
        """Factors of the losses that are added to the one called `name`."""
        return {
            "focal": self.focal_weight,
            "dice": self.dice_weight,
            "lovasz": self.lovasz_weight,
        }

    def __post_init__(self):
        if self.name not in LOSSES:
            raise ConfigError(
                f"unknown loss.name {self.name!r}; expected one of {', '.join(LOSSES)}"
            )
        if self.class_weights_from not in ("", *_RULES):
            raise ConfigError(
                f"config key 'loss.class_weights_from' is {self.class_weights_from!r}; "
                f"expected one of {', '.join(_RULES)}, or nothing"
            )
        factors = [f"{name}_weight" for name in ("focal", "dice", "lovasz", "aux")]
        for key in (*factors, "focal_gamma"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(
                    f"config key 'loss.{key}' must be a number of at least 0, "
                    f"got {value!r}"
                )
        if self.added.get(self.name):
            raise ConfigError(
                f"config key 'loss.{self.name}_weight' adds to another loss, but "
                f"loss.name is {self.name!r} itself; expected 0"
            )
        if self.official_aux_mean and self.name != "ohem":
            raise ConfigError(
                "config key 'loss.official_aux_mean' goes with loss.name='ohem' only, "
                f"got loss.name={self.name!r}; the official code has that mean only there"
            )


def segmentation_loss(
    outputs: jax.Array | dict[str, jax.Array],
    labels: jax.Array,
    options: LossOptions,
    upsample: str,
) -> jax.Array:
    """Loss of a model's outputs at any resolution against labels at theirs.

    With an auxiliary output the loss is aux_weight * loss(aux) + loss(logits), and
    OHEM looks for hard pixels in the second part only.
    Source: HRNet-Semantic-Segmentation, branch HRNet-OCR, `lib/core/criterion.py`.

    Args:
        outputs: logits, float [B, h, w, K], or `logits` and `aux`, both like that;
            resized to the labels first.
        labels: int [B, H, W]; 255 (outside 0..K-1) is ignored.
        options: which loss.
        upsample: `bilinear` or `align_corners`.

    Returns:
        Scalar, in the type of the logits.
    """
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs
    loss = _loss_called(options.name, logits, labels, options, upsample)
    for name, factor in options.added.items():
        if factor:
            loss += factor * _loss_called(name, logits, labels, options, upsample)
    if not isinstance(outputs, dict):
        return loss
    weighted = (outputs["aux"], labels, options.class_weights, upsample)
    if options.official_aux_mean:
        aux_loss = jnp.mean(pixel_cross_entropy(*weighted)[0])
    else:
        aux_loss = mean_cross_entropy(*weighted)
    return options.aux_weight * aux_loss + loss


def _loss_called(
    name: str,
    logits: jax.Array,
    labels: jax.Array,
    options: LossOptions,
    upsample: str,
) -> jax.Array:
    """One of `LOSSES`, of a main output."""
    if name == "ohem":
        return ohem_cross_entropy(logits, labels, options, upsample)
    weighted = (logits, labels, options.class_weights, upsample)
    if name == "focal":
        return focal_loss(*weighted, options.focal_gamma)
    losses = {
        "cross_entropy": mean_cross_entropy,
        "dice": dice_loss,
        "lovasz": lovasz_softmax,
    }
    return losses[name](*weighted)


def focal_loss(
    logits: jax.Array,
    labels: jax.Array,
    class_weights: tuple[float, ...],
    upsample: str,
    gamma: float,
) -> jax.Array:
    """Weighted mean of (1 - p)^gamma * -log p, p of the true class, by softmax.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5,
    with the weights of the classes for its alpha.

    Args:
        logits: as for `pixel_cross_entropy`, as the next three.
        labels: see there.
        class_weights: see there.
        upsample: see there.
        gamma: at least 0; 0 is `mean_cross_entropy`.

    Returns:
        Scalar, in the type of the logits; zero where no pixel is labelled.
    """
    plain, labels = _cross_entropy(logits, labels, upsample)
    weights = pixel_weights(labels, logits, class_weights)
    missing = -jnp.expm1(-plain)
    # The power has no gradient at 0 where gamma < 1, and there is nothing to learn.
    positive = missing > 0
    factor = jnp.where(positive, jnp.where(positive, missing, 1) ** gamma, 0)
    return ratio(jnp.sum(weights * factor * plain), jnp.sum(weights))


def mean_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    class_weights: tuple[float, ...],
    upsample: str,
) -> jax.Array:
    """Weighted mean over the labelled pixels, zero if there are none.

    Arguments as for `pixel_cross_entropy`.

    Returns:
        Scalar, in the type of the logits.
    """
    losses, weights = pixel_cross_entropy(logits, labels, class_weights, upsample)
    return ratio(jnp.sum(losses), jnp.sum(weights))


def pixel_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    class_weights: tuple[float, ...],
    upsample: str,
) -> tuple[jax.Array, jax.Array]:
    """Weighted softmax cross-entropy of every labelled pixel.

    Args:
        logits: float [B, h, w, K], resized to the labels.
        labels: int [B, H, W]; outside 0..K-1 is ignored, 255 and any other.
        class_weights: one factor per class, or empty for none.
        upsample: `bilinear` or `align_corners`.

    Returns:
        (losses, weights), two arrays of B * H * W values, in the order of the
        labels where the logits have their size; zero on ignored pixels. The mean
        PyTorch reports is sum(losses) / sum(weights).
    """
    losses, labels = _cross_entropy(logits, labels, upsample)
    weights = pixel_weights(labels, logits, class_weights)
    return losses * weights, weights


def _cross_entropy(
    logits: jax.Array, labels: jax.Array, upsample: str
) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy, zero on ignored pixels, and the labels in the same order."""
    large = is_large(logits, labels)
    return at_pixels(_at_labels, logits, labels, upsample, large)


def _at_labels(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`_cross_entropy` where every pixel has its logits."""
    labels = labels.astype(jnp.int32)
    # An out-of-range gather would clamp silently; compare instead. This
    # also avoids a scatter in the backward pass.
    one_hot = labels[..., None] == jnp.arange(logits.shape[-1])
    picked = jnp.sum(jnp.where(one_hot, logits, 0), axis=-1)
    losses = jax.nn.logsumexp(logits, axis=-1) - picked
    return jnp.where(is_labelled(labels, logits.shape[-1]), losses, 0), labels


def ohem_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    options: LossOptions,
    upsample: str,
) -> jax.Array:
    """Mean weighted loss over the hard pixels of the global batch.

    A pixel is hard if the probability of its true class is strictly below
    max(threshold, k-th smallest probability); k counts from zero and stops at
    the last pixel. Unlike the plain loss this divides by the number of kept
    pixels even with class weights.

    Source: HRNet-Semantic-Segmentation, `OhemCrossEntropy` in
    `lib/core/criterion.py`; there per GPU, here over all devices.
    """
    plain, labels = _cross_entropy(logits, labels, upsample)
    valid = is_labelled(labels, logits.shape[-1])
    losses = plain * pixel_weights(labels, logits, options.class_weights)
    probability = jax.lax.stop_gradient(jnp.where(valid, jnp.exp(-plain), jnp.inf))
    rank = jnp.minimum(options.ohem_min_kept, jnp.sum(valid) - 1)
    threshold = jnp.maximum(
        kth_smallest(probability, rank), jnp.asarray(options.ohem_threshold)
    ).astype(probability.dtype)
    kept = valid & (probability < threshold)
    return ratio(jnp.sum(jnp.where(kept, losses, 0)), jnp.sum(kept))


def kth_smallest(values: jax.Array, k: jax.Array) -> jax.Array:
    """The element of rank k (from zero) of non-negative floats, exactly.

    The bits of non-negative floats order like integers, so the answer is built
    bit by bit from counts. Counts are sums, which stay cheap on an array that
    is sharded over devices; a sort would gather it.

    Args:
        values: float array of any shape, no negative numbers, infinities last.
        k: integer scalar in [0, values.size).
    """
    integer = jnp.int64 if values.dtype == jnp.float64 else jnp.int32
    bits = jax.lax.bitcast_convert_type(values, integer)
    width = jnp.iinfo(integer).bits - 1

    def add_bit(index, low):
        candidate = low | (jnp.ones((), integer) << (width - 1 - index))
        return jnp.where(jnp.sum(bits < candidate) <= k, candidate, low)

    found = jax.lax.fori_loop(0, width, add_bit, jnp.zeros((), integer))
    return jax.lax.bitcast_convert_type(found, values.dtype)
