"""RoIAlign: features of regions of a pyramid, on a grid of bins.

A bin is the mean of bilinear samples on a regular grid (He et al., "Mask R-CNN"). What
a sample takes of a cell is a factor along y times one along x, and so is the mean: the
features of a region are Wy F Wx^T, F being the cells around it on its level. The sum
over equally spaced samples of a function of straight pieces has a closed form, so the
number of samples may be as large as the region wants without a bound or a loop.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection import roi_chunks, roi_loops
from hrnet_jax.detection.boxes import MODERN, Conventions
from hrnet_jax.detection.roi_axes import ALIGNMENTS, Layout, place_regions, roi_levels
from hrnet_jax.errors import ConfigError
from hrnet_jax.runtime.mesh import on_own_images
from hrnet_jax.runtime.target import per_target, target
from hrnet_jax.runtime.whole_operations import whole

Levels = tuple[jax.Array, ...]


def roi_align(
    levels: Sequence[jax.Array],
    rois: jax.Array,
    roi_valid: jax.Array,
    size: int,
    conventions: Conventions = MODERN,
    finest: float = 56,
    strides: Sequence[int] = (4, 8, 16, 32),
) -> jax.Array:
    """Features of regions, each read from the level that fits its size.

    Takes images together; do not `vmap` over them. No gradient reaches `rois`, as
    published.

    Args:
        levels: float [B, h, w, C] of every level, finest first, or [h, w, C] for one
            image.
        rois: [B, R, 4] in pixels of the image, or [R, 4].
        roi_valid: bool [B, R], or [R]; features of other regions are 0.
        size: bins along each side.
        conventions: `roi_align`, `roi_samples` and `plus_one` matter.
        finest: regions of up to twice this side, in pixels, belong to the first level,
            of up to four times to the second, and so on; `roi_levels`.
        strides: pixels per cell, one a level.

    Returns:
        [B, R, size, size, C], or [R, size, size, C], of the dtype of the levels.

    Raises:
        ConfigError: if there is not one stride a level, or for an unknown way of
            aligning.
    """
    _check(len(levels), strides, conventions)
    levels = tuple(jnp.asarray(level) for level in levels)
    rois, roi_valid = jnp.asarray(rois), jnp.asarray(roi_valid)
    if rois.ndim == 2:
        one = tuple(level[None] for level in levels)
        return roi_align(
            one, rois[None], roi_valid[None], size, conventions, finest, strides
        )[0]

    def of_images(rois: jax.Array, valid: jax.Array, levels: Levels) -> jax.Array:
        layout = Layout(
            shapes=tuple(level.shape for level in levels),
            strides=tuple(strides),
            dtype=np.dtype(levels[0].dtype),
            size=size,
            finest=finest,
            conventions=conventions,
        )
        return _pool_whole(layout, levels, rois, valid)

    pooled: jax.Array = on_own_images(of_images)(
        jax.lax.stop_gradient(rois), roi_valid, levels
    )
    return pooled


def _pool_whole(
    layout: Layout, levels: Levels, rois: jax.Array, valid: jax.Array
) -> jax.Array:
    """`_pool`, or one operation where a format has it."""
    conventions, size = layout.conventions, layout.size
    shape = (*rois.shape[:2], size, size, levels[0].shape[-1])
    (pooled,) = whole(
        "roi_align",
        lambda rois, valid, _, *levels: (_pool(layout, levels, rois, valid),),
        rois,
        valid,
        # Where it is one operation, that has no rule of its own for levels.
        roi_levels(rois, len(levels), layout.finest, conventions.plus_one),
        *levels,
        shapes=(jax.ShapeDtypeStruct(shape, layout.dtype),),
        size=size,
        strides=layout.strides,
        alignment=conventions.roi_align,
        samples=conventions.roi_samples,
    )
    return pooled


def _check(levels: int, strides: Sequence[int], conventions: Conventions) -> None:
    if levels != len(strides):
        raise ConfigError(
            f"strides: expected one for each of {levels} levels, got "
            f"{len(strides)}: {', '.join(map(str, strides))}"
        )
    if conventions.roi_align not in ALIGNMENTS:
        raise ConfigError(
            f"roi_align: unknown way {conventions.roi_align!r}; expected one of "
            f"{', '.join(ALIGNMENTS)}"
        )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pool(
    layout: Layout, levels: Levels, rois: jax.Array, valid: jax.Array
) -> jax.Array:
    """Features of regions; the form depends on the target."""

    def pool(rois: jax.Array, valid: jax.Array, *levels: jax.Array) -> jax.Array:
        regions = place_regions(layout, rois, valid)
        return _form().pool(layout, levels, regions)

    return per_target(pool, rois, valid, *levels)


def _form():
    """Loops over regions where one at a time is fastest, chunks elsewhere."""
    return roi_loops if target() == "cpu" else roi_chunks


def _pool_forward(layout, levels, rois, valid):
    # The features are not needed for their own gradient: they need not be kept.
    return _pool(layout, levels, rois, valid), (rois, valid)


def _pool_backward(layout, kept, gradient):
    def spread(rois: jax.Array, valid: jax.Array, gradient: jax.Array) -> Levels:
        regions = place_regions(layout, rois, valid)
        return _form().spread(layout, gradient, regions)

    return per_target(spread, *kept, gradient), None, None


_pool.defvjp(_pool_forward, _pool_backward)
