"""Operations of JAX that become operations of ONNX."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

from hrnet_jax.errors import ExportError
from hrnet_jax.export.onnx_file import to_onnx
from hrnet_jax.models.representations import pool
from hrnet_jax.models.resize import METHODS, resize
from tests.tiers import fast_are

SIZE = (8, 6)
WEIGHTS = np.random.default_rng(1).normal(size=(3, 3, 3, 5)).astype(np.float32)


def converted(function, channels_first=False):
    """Content of the model and a function that runs it."""
    content = to_onnx(
        lambda x: {"y": function(x)},
        SIZE,
        np.float32,
        channels_first=channels_first,
        metadata={},
    )
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda x: session.run(["y"], {"images": x})[0]


def convolve(x, **options):
    options = {"window_strides": (1, 1), "padding": ((1, 0), (2, 1))} | options
    return jax.lax.conv_general_dilated(
        x, WEIGHTS, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


def flat(x):
    """[B, 48, 3]."""
    return x.reshape(x.shape[0], -1, 3)


def best(x, count=5):
    """Indices [B, count]."""
    return jax.lax.top_k(flat(x)[..., 0], count)[1]


TABLE = np.random.default_rng(2).normal(size=(48, 4)).astype(np.float32)

FUNCTIONS = {
    "best": lambda x: jax.lax.top_k(flat(x)[..., 1], 7)[0],
    "rows of each image": lambda x: jnp.take_along_axis(flat(x), best(x)[..., None], 1),
    "rows of a table": lambda x: jnp.asarray(TABLE)[best(x)],
    "one value of each row": lambda x: jnp.take_along_axis(
        x, (best(x, 1) % 3)[:, None, None], -1
    ),
    "stacked": lambda x: jnp.stack([x[..., 0], 2 * x[..., 2]], 1),
    "window": lambda x: x[:, 1:7, :-1],
    "all of a row": lambda x: jnp.where((x > -1).all(-1), x[..., 0], 0),
    "repeated": lambda x: flat(jnp.broadcast_to(x.max(-1, keepdims=True), x.shape)),
    "repeated for images": lambda x: jnp.concatenate(
        [flat(x), jnp.broadcast_to(TABLE[:, :3], flat(x).shape)], 1
    ),
    "finite": lambda x: jnp.where(jnp.isfinite(jnp.where(x > 0, x, -jnp.inf)), x, 2),
    "remainder": lambda x: ((x * 5).astype(int) % 3 + (x * 5).astype(int) // 2) * x,
    "roots": lambda x: jax.lax.rsqrt(jnp.square(x) + 1) * x**3,
    "clamped": lambda x: jax.lax.clamp(jnp.float32(-0.5), x, jnp.float32(0.5)),
    "uneven padding": convolve,
    "stride and dilation": lambda x: convolve(
        x, window_strides=(2, 1), rhs_dilation=(1, 2)
    ),
    "bias read twice": lambda x: (y := convolve(x)) * (y + jnp.arange(5.0)),
    "bias": lambda x: jnp.arange(5.0) + convolve(x),
    "softmax": lambda x: jax.nn.softmax(convolve(x), -1),
    "softmax over pixels": lambda x: jax.nn.softmax(x, (1, 2)),
    "products": lambda x: jnp.einsum("bhwc,bvwc->bhvw", x, 2 * x),
    "gathered": lambda x: jnp.einsum("bhwk,bhwc->bkc", x, x * 2),
    "mean": lambda x: convolve(x).mean((1, 2)) @ np.ones((5, 2), np.float32),
    "transposed": lambda x: x.transpose(0, 2, 1, 3) + 1,
    "flat": lambda x: convolve(x).reshape(x.shape[0], -1),
    "mirrored": lambda x: convolve(x)[:, :, ::-1],
    "one row": lambda x: convolve(x)[:, 2],
    "new axis": lambda x: x.max((1, 2))[:, None, None] - x,
    "joined": lambda x: jnp.concatenate([resize(x, (7, 7)), convolve(x)], -1),
    "chosen": lambda x: jnp.where(x > 0.5, x, -2 * x),
    "not quite a ReLU": lambda x: jnp.where(x <= 0, 0.0, x + 1),
    "average": lambda x: pool(convolve(x), 2, "average"),
    "largest": lambda x: pool(x, 4, "max"),
    **{
        f"{method} to {size}": lambda x, m=method, s=size: resize(x, s, m)
        for method in METHODS
        for size in ((16, 24), (24, 6), (5, 13), (8, 12), (1, 1))
    },
}


@pytest.mark.parametrize("channels_first", fast_are([True], [False, True]))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_computes_the_same(name, channels_first):
    function = FUNCTIONS[name]
    _, run = converted(function, channels_first)
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(size=(batch, *SIZE, 3))
        x = x.astype(np.float32)
        got = run(x.transpose(0, 3, 1, 2) if channels_first else x)
        if channels_first and got.ndim == 4:
            got = got.transpose(0, 2, 3, 1)
        np.testing.assert_allclose(got, function(x), atol=2e-5, rtol=1e-5)


def test_a_value_that_two_read_is_kept_once():
    content, _ = converted(lambda x: jax.nn.relu(x + 1) * (x + 1) * jnp.float32(1))
    graph = onnx.load_from_string(content).graph
    assert len(graph.initializer) <= 3
    assert len({i.name for i in graph.initializer}) == len(graph.initializer)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (jnp.cumsum, "'cumsum' has no counterpart in ONNX"),
        (lambda x: jnp.fft.fft(x).real, "'fft' has no counterpart"),
        (lambda x: convolve(x, lhs_dilation=(2, 2)), "transposed convolutions"),
    ],
)
def test_an_operation_without_counterpart_is_named(function, message):
    with pytest.raises(ExportError, match=message):
        converted(function)


def test_nothing_stays_behind_for_later_traces():
    function = FUNCTIONS["bilinear to (5, 13)"]
    converted(function)
    assert "resize" not in str(jax.make_jaxpr(function)(jnp.ones((1, *SIZE, 3))))
    assert not jax.config.jax_disable_jit
