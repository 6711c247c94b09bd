"""Losses a phase at a time are those of resized logits, and never resize them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.models.resize import resize
from hrnet_jax.runtime.pieces import inner_jaxprs
from hrnet_jax.segmentation import phases
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.segmentation.phases import grows_by_whole_factor, over_phases
from tests.tiers import fast_are

SHAPE, FACTOR, CLASSES = (2, 5, 7), 4, 6


def case():
    """Logits [2, 5, 7, 6], labels four times as large, some ignored."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, (2, 20, 28))
    labels[rng.random(labels.shape) < 0.1] = 255
    return 2 * rng.standard_normal((*SHAPE, CLASSES)), labels.astype(np.int32)


@pytest.mark.parametrize("align_corners", [False, True])
def test_every_pixel_comes_once_and_as_resized(align_corners):
    logits, _ = case()
    places = np.arange(2 * 20 * 28).reshape(2, 20, 28)
    with jax.enable_x64():
        pixels, order = over_phases(
            lambda x, place: (jnp.sum(x * x, -1), place),
            jnp.asarray(logits),
            jnp.asarray(places),
            align_corners,
        )
        method = "align_corners" if align_corners else "bilinear"
        whole = resize(jnp.asarray(logits), (20, 28), method)
    assert order.shape == (FACTOR**2, *SHAPE)
    assert sorted(np.ravel(order)) == list(range(places.size))
    expected = np.square(whole).sum(-1).ravel()[np.ravel(order)]
    np.testing.assert_allclose(np.ravel(pixels), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        LossOptions(),
        LossOptions(class_weights=(1.0, 0.5, 2.0, 0.0, 3.0, 1.0)),
        LossOptions("ohem", ohem_threshold=0.2, ohem_min_kept=50),
        LossOptions(
            "ohem", (1.0, 0.5, 2.0, 0.0, 3.0, 1.0), 0.2, 50, official_aux_mean=True
        ),
        pytest.param(
            LossOptions(focal_weight=1.0, dice_weight=1.0, lovasz_weight=1.0),
            marks=pytest.mark.slow,  # Op by op, sorting takes seconds to compile.
        ),
    ],
)
@pytest.mark.parametrize(
    "upsample", fast_are(["align_corners"], ["bilinear", "align_corners"])
)
def test_loss_and_gradient_are_those_of_resized_logits(options, upsample, monkeypatch):
    logits, labels = case()
    outputs = {"logits": jnp.asarray(logits), "aux": jnp.asarray(logits[::-1])}
    results = []
    for large in (0, 10**9):
        monkeypatch.setattr(phases, "LARGE", large)
        with jax.enable_x64():
            args = jax.tree.map(lambda x: x.astype(jnp.float64), outputs)
            results.append(
                jax.value_and_grad(segmentation_loss)(args, labels, options, upsample)
            )
    (value, gradient), (expected, expected_gradient) = results
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for name, got in gradient.items():
        np.testing.assert_allclose(got, expected_gradient[name], atol=1e-14)


def largest_floats(jaxpr) -> int:
    """Values of the largest float array that a traced function makes."""
    sizes = [
        variable.aval.size
        for equation in jaxpr.eqns
        for variable in equation.outvars
        if jnp.issubdtype(variable.aval.dtype, jnp.floating)
    ]
    inner = [largest_floats(j) for eqn in jaxpr.eqns for j in inner_jaxprs(eqn)]
    return max([*sizes, *inner, 0])


@pytest.mark.parametrize(
    "options",
    [LossOptions(name) for name in ("cross_entropy", "ohem", "focal", "lovasz")],
)
def test_large_logits_are_never_resized_as_a_whole(options, monkeypatch):
    logits, labels = case()

    def largest() -> int:
        # A function of its own each time, or JAX takes the trace it has.
        gradient = jax.grad(lambda x: segmentation_loss(x, labels, options, "bilinear"))
        return largest_floats(jax.make_jaxpr(gradient)(jnp.asarray(logits)).jaxpr)

    assert largest() == labels.size * CLASSES
    monkeypatch.setattr(phases, "LARGE", labels.size * CLASSES - 1)
    # One class, so to say: the losses and what counts them.
    assert largest() == labels.size


@pytest.mark.parametrize(
    ("size", "goal", "whole"),
    [
        ((5, 7), (20, 28), True),
        ((5, 7), (20, 27), False),
        ((5, 7), (10, 28), False),
        ((9, 13), (33, 49), False),
    ],
)
def test_phases_need_one_whole_factor(size, goal, whole):
    assert grows_by_whole_factor(size, goal) is whole
