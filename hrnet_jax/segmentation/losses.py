"""Pixel losses over the whole (global) batch."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.resize import resize, size_of
from hrnet_jax.runtime.target import target
from hrnet_jax.segmentation.phases import grows_by_whole_factor, over_phases

# Resized logits of more values than this are never made as a whole. Measured on two
# CPU cores, loss with gradient: 19 classes at 512x1024 take as long either way and a
# third of the memory, 150 classes at 4x512x512 a fifth less time as well; small maps
# (4x128x128) are three times slower phase by phase. A GPU makes only the gradient as a
# whole, everything else while it reads, and phases are many small kernels to it.
_LARGE = 2**22
_LARGE_ON_GPU = 2**28


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Options of the segmentation loss.

    Attributes:
        name: `cross_entropy` or `ohem` (online hard example mining).
        class_weights: one factor per class, or empty for none.
        ohem_threshold: pixels whose true class is at least this probable are
            easy and dropped ...
        ohem_min_kept: ... unless fewer than about this many would remain.
        aux_weight: factor of the loss of a model's auxiliary output, where it has
            one (`segmentation/<v>_ocr`). Source: `LOSS.BALANCE_WEIGHTS` of
            HRNet-Semantic-Segmentation, branch HRNet-OCR.
        official_aux_mean: with `ohem`, take the mean of the auxiliary loss as the
            official code does: over all pixels, ignored ones counted as zero,
            and not divided by the class weights. Published OHEM figures contain
            that; without it the auxiliary loss is the plain cross-entropy.
    """

    name: str = "cross_entropy"
    class_weights: tuple[float, ...] = ()
    ohem_threshold: float = 0.9
    ohem_min_kept: int = 131072
    aux_weight: float = 0.4
    official_aux_mean: bool = False

    def __post_init__(self):
        if self.name not in ("cross_entropy", "ohem"):
            raise ConfigError(
                f"unknown loss.name {self.name!r}; expected cross_entropy or ohem"
            )
        if not (math.isfinite(self.aux_weight) and self.aux_weight >= 0):
            raise ConfigError(
                "config key 'loss.aux_weight' must be a number of at least 0, "
                f"got {self.aux_weight!r}"
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
    if options.name == "ohem":
        loss = ohem_cross_entropy(logits, labels, options, upsample)
    else:
        loss = mean_cross_entropy(logits, labels, options.class_weights, upsample)
    if not isinstance(outputs, dict):
        return loss
    weighted = (outputs["aux"], labels, options.class_weights, upsample)
    if options.official_aux_mean:
        aux_loss = jnp.mean(pixel_cross_entropy(*weighted)[0])
    else:
        aux_loss = mean_cross_entropy(*weighted)
    return options.aux_weight * aux_loss + loss


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
    return _ratio(jnp.sum(losses), jnp.sum(weights))


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
    weights = _weights(labels, logits, class_weights)
    return losses * weights, weights


def _cross_entropy(
    logits: jax.Array, labels: jax.Array, upsample: str
) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy, zero on ignored pixels, and the labels in the same order."""
    _, height, width = labels.shape
    size = height, width
    largest = _LARGE_ON_GPU if target() == "gpu" else _LARGE
    is_large = labels.size * logits.shape[-1] > largest
    if is_large and grows_by_whole_factor(size_of(logits), size):
        return over_phases(_at_labels, logits, labels, upsample == "align_corners")
    logits = resize(logits, size, upsample)
    return _at_labels(logits, labels)


def _at_labels(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`_cross_entropy` where every pixel has its logits."""
    labels = labels.astype(jnp.int32)
    # An out-of-range gather would clamp silently; compare instead. This
    # also avoids a scatter in the backward pass.
    one_hot = labels[..., None] == jnp.arange(logits.shape[-1])
    picked = jnp.sum(jnp.where(one_hot, logits, 0), axis=-1)
    losses = jax.nn.logsumexp(logits, axis=-1) - picked
    return jnp.where(_is_valid(labels, logits), losses, 0), labels


def _is_valid(labels: jax.Array, logits: jax.Array) -> jax.Array:
    return (labels >= 0) & (labels < logits.shape[-1])


def _weights(
    labels: jax.Array, logits: jax.Array, class_weights: tuple[float, ...]
) -> jax.Array:
    """Weight of every pixel, in the type of the logits."""
    weights = _is_valid(labels, logits).astype(logits.dtype)
    if class_weights:
        factors = jnp.asarray(class_weights, logits.dtype)
        one_hot = labels[..., None] == jnp.arange(logits.shape[-1])
        weights = weights * jnp.sum(jnp.where(one_hot, factors, 0), axis=-1)
    return weights


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
    valid = _is_valid(labels, logits)
    losses = plain * _weights(labels, logits, options.class_weights)
    probability = jax.lax.stop_gradient(jnp.where(valid, jnp.exp(-plain), jnp.inf))
    rank = jnp.minimum(options.ohem_min_kept, jnp.sum(valid) - 1)
    threshold = jnp.maximum(
        kth_smallest(probability, rank), jnp.asarray(options.ohem_threshold)
    ).astype(probability.dtype)
    kept = valid & (probability < threshold)
    return _ratio(jnp.sum(jnp.where(kept, losses, 0)), jnp.sum(kept))


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


def _ratio(total: jax.Array, count: jax.Array) -> jax.Array:
    """total / count, and zero where nothing counts."""
    return total / jnp.where(count > 0, count, 1).astype(total.dtype)
