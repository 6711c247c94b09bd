"""The head of HRNetV2 in strips of rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from hrnet_jax.models import representations
from hrnet_jax.models.heads import PixelHead
from hrnet_jax.models.representations import Strips
from hrnet_jax.runtime import whole_operations

WIDTHS = (3, 4, 5, 6)


def branches(height: int, width: int, batch: int = 2) -> tuple[jax.Array, ...]:
    """Maps of four branches; the result has this size."""
    rng = np.random.default_rng(0)
    return tuple(
        jnp.asarray(
            rng.normal(size=(batch, -(-height // 2**k), -(-width // 2**k), channels))
        )
        for k, channels in enumerate(WIDTHS)
    )


@pytest.fixture
def small_strips(monkeypatch):
    # Sixteen rows of 32 pixels of two images.
    row_bytes = 4 * 2 * 32 * sum(WIDTHS)
    monkeypatch.setattr(representations, "_STRIP_BYTES", 23 * row_bytes)


def shapes_in(jaxpr) -> set[tuple[int, ...]]:
    """Of all arrays that a program makes, those of its loops included."""
    found = set()
    for equation in jaxpr.eqns:
        found |= {out.aval.shape for out in equation.outvars}
        for inner in jaxprs_in_params(equation.params):
            found |= shapes_in(inner)
    return found


def test_strips_equal_the_whole_and_never_build_it(small_strips, monkeypatch):
    maps, head = branches(48, 32), PixelHead(5)
    variables = jax.jit(head.init, static_argnums=2)(jax.random.key(0), maps, False)

    def computed():
        # A function of its own each time: traces of one are kept.
        def scores(maps):
            return head.apply(variables, maps, False)

        return jax.jit(scores)(maps), shapes_in(jax.make_jaxpr(scores)(maps).jaxpr)

    assert Strips(maps, sum(WIDTHS), "bilinear").rows == 16
    found, shapes = computed()
    monkeypatch.setattr(representations, "_STRIP_BYTES", 2**40)
    whole, all_shapes = computed()
    np.testing.assert_allclose(found, whole, rtol=0, atol=5e-6 * np.std(whole))
    result = (2, 48, 32, sum(WIDTHS))
    assert result in all_shapes and result not in shapes


@pytest.mark.parametrize(
    ("size", "upsample", "rows"),
    [
        ((48, 32), "bilinear", 16),
        ((16, 32), "bilinear", None),  # not larger than a strip
        ((88, 32), "bilinear", 8),  # eleven times eight
        ((44, 32), "bilinear", None),  # six coarsest rows
        ((48, 36), "bilinear", 16),  # columns need not be whole
        ((24, 32), "bilinear", 8),
        ((36, 32), "bilinear", None),  # five coarsest rows
        ((48, 32), "align_corners", None),
    ],
)
def test_strips_are_whole_pixels_of_all_maps(size, upsample, rows, small_strips):
    strips = Strips(branches(*size), sum(WIDTHS), upsample)
    assert strips.rows == rows
    if rows:
        assert strips.starts.tolist() == list(range(0, size[0], rows))


def test_training_other_platforms_and_onnx_see_the_whole(small_strips, monkeypatch):
    maps, head = branches(48, 32), PixelHead(5)
    variables = jax.jit(head.init, static_argnums=2)(jax.random.key(0), maps, False)
    result = (2, 48, 32, sum(WIDTHS))

    def shapes(train):
        def scores(maps):
            return head.apply(variables, maps, train, mutable=["batch_stats"])

        return shapes_in(jax.make_jaxpr(scores)(maps).jaxpr)

    assert result in shapes(True) and result not in shapes(False)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(representations, "is_only_for", lambda backend: False)
        assert result in shapes(False)
    # Where operations stay whole, loops have no place.
    monkeypatch.setattr(whole_operations, "are_kept", lambda: True)
    assert result in shapes(False)
