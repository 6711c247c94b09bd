"""Images predicted in windows: places, averages, and the published protocols."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import from_torch
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.task import InferenceOptions, SegmentationTask
from hrnet_jax.segmentation.windows import (
    AVERAGES,
    ENDS,
    WindowOptions,
    places,
    windowed_logits,
)
from tests import tiny
from tests.goldens import official, synthetic_weights

NUMERIC = "numeric/segmentation"
NETWORK = "segmentation/hrnet_w18_small_v1_cityscapes19_v11"


@pytest.mark.parametrize(
    ("side", "length", "stride", "ends", "starts", "extent"),
    [
        (128, 64, 42, "beyond", (0, 42, 84), 148),
        (128, 64, 42, "inside", (0, 42, 64), 128),
        (148, 64, 42, "inside", (0, 42, 84), 148),
        (149, 64, 42, "inside", (0, 42, 84, 85), 149),
        (128, 64, 64, "beyond", (0, 64), 128),
        (40, 64, 42, "beyond", (0,), 64),
        (40, 64, 42, "inside", (0,), 40),
        (64, 64, 42, "beyond", (0,), 64),
        (65, 64, 42, "beyond", (0, 42), 106),
    ],
)
def test_places_of_windows(side, length, stride, ends, starts, extent):
    found = places(side, length, stride, ends, blend=False)
    assert (found.starts, found.extent) == (starts, extent)
    # Every pixel of the image lies in a window.
    assert found.total.min() >= 1 and len(found.total) == extent >= side


def test_blended_weights_fall_linearly_to_the_borders():
    found = places(9, 5, 4, "inside", blend=True)
    np.testing.assert_allclose(found.weights * 3, [1, 2, 3, 2, 1])
    np.testing.assert_allclose(found.total * 3, [1, 2, 3, 2, 2, 2, 3, 2, 1])


def made_up_score(images):
    """Logits [B, h, w, 3] that depend on the place in the window too."""
    down = jnp.arange(images.shape[1])[:, None, None] / 7
    right = jnp.arange(images.shape[2])[:, None] / 5
    return images / 60 + jnp.sin(down) - jnp.cos(right)


def by_hand(images, size, stride, ends, average, blend):
    """The definition, window by window, in NumPy and double precision."""
    batch, height, width, _ = images.shape
    sums, total = np.zeros((batch, 400, 400, 3)), np.zeros((400, 400, 1))
    canvas = np.zeros((batch, 400, 400, 3))
    canvas[:, :height, :width] = images
    lengths = [
        min(a, b) if ends == "inside" else a
        for a, b in zip(size, (height, width), strict=True)
    ]
    rows, columns = (
        [
            min(index * step, side - length) if ends == "inside" else index * step
            for index in range(max(0, math.ceil((side - length) / step)) + 1)
        ]
        for side, length, step in zip((height, width), lengths, stride, strict=True)
    )
    ramps = [np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in lengths]
    weight = np.outer(*ramps)[..., None] if blend else np.ones((*lengths, 1))
    for row, column in itertools.product(rows, columns):
        at = np.s_[row : row + lengths[0], column : column + lengths[1]]
        logits = np.asarray(made_up_score(canvas[:, *at]), np.float64)
        values = logits if average == "logits" else np.exp(logits)
        if average == "probabilities":
            values = values / values.sum(-1, keepdims=True)
        sums[:, *at] += values * weight
        total[at] += weight
    means = (sums / np.maximum(total, 1e-9))[:, :height, :width]
    return means if average == "logits" else np.log(means)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("blend", [False, True])
def test_windows_are_averaged_as_defined(ends, average, blend):
    images = np.random.default_rng(0).integers(0, 256, (2, 53, 90, 3)).astype(np.uint8)
    options = WindowOptions((20, 33), (15, 22), ends, average, blend)
    got = windowed_logits(made_up_score, jnp.asarray(images), options)
    expected = by_hand(images, (20, 33), (15, 22), ends, average, blend)
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_the_stride_is_two_thirds_of_the_window_unless_told():
    images = jnp.asarray(np.random.default_rng(1).integers(0, 256, (1, 50, 64, 3)))
    options = WindowOptions((32, 32), average="logits")
    expected = by_hand(
        np.asarray(images), (32, 32), (21, 21), "inside", "logits", False
    )
    got = windowed_logits(made_up_score, images, options)
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_a_class_that_no_window_gives_a_chance_stays_finite():
    def sure(images):
        likely = images[..., 0].astype(jnp.float32)
        return jnp.stack([likely, likely - 500], -1)

    images = jnp.ones((1, 4, 9, 3), jnp.uint8)
    got = windowed_logits(sure, images, WindowOptions((4, 4)))
    assert jnp.isfinite(got).all() and (jnp.argmax(got, -1) == 0).all()


def test_exponentials_of_large_logits_do_not_overflow():
    images = jnp.full((1, 4, 9, 3), 200, jnp.uint8)
    options = WindowOptions((4, 4), average="exp")
    got = windowed_logits(lambda images: images.astype(jnp.float32), images, options)
    np.testing.assert_allclose(got, 200, rtol=1e-6)


def published(options):
    """Sums over scales as the official test scripts make them, [1, H, W, K]."""
    record = official.info(NETWORK)
    model = create_model(
        "segmentation/w18_small_v1", num_classes=19, upsample="bilinear"
    )
    variables = from_torch(official.state_dict(NETWORK), model)
    seed = int(official.arrays(NUMERIC)["inference/image_seed"])
    image = synthetic_weights.make_image_nchw((1, 3, 64, 128), seed)[0]
    image = image.transpose(1, 2, 0)
    info = DatasetInfo("any", 19, tuple(map(str, range(19))), ())
    assert record["weight_seed"] == 0
    task = SegmentationTask(model, info, inference=options)
    # The golden's image is normalised already; black has to stay black.
    mean, std = np.float64([0.485, 0.456, 0.406]), np.float64([0.229, 0.224, 0.225])
    pixels = jnp.asarray((image * std + mean) * 255, jnp.float32)
    return np.asarray(jnp.exp(jax.jit(task.logits)(variables, pixels[None])))


BASE = {
    "scales": (0.5, 0.75, 1.0, 1.5),
    "window": WindowOptions((64, 64), ends="beyond", average="exp"),
}
CITYSCAPES = {
    "scales": (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
    "window": WindowOptions((64, 128), (64, 128), average="exp", whole_up_to=1),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "protocol", "flip"),
    [
        ("base_multi_scale", BASE, False),
        ("base_multi_scale_flip", BASE, True),
        ("cityscapes_multi_scale", CITYSCAPES, False),
        ("cityscapes_multi_scale_flip", CITYSCAPES, True),
        ("plain", {"scales": (1.0,)}, False),
        ("flip", {"scales": (1.0,)}, True),
    ],
)
def test_scales_and_windows_of_the_published_test_scripts(name, protocol, flip):
    options = InferenceOptions(**protocol, base_size=128, fusion="exp", flip=flip)
    got = published(options).transpose(0, 3, 1, 2)
    golden = official.arrays(NUMERIC)
    std = golden[f"inference/{name}_statistics"][1]
    expected = golden[f"inference/{name}_subsample"]
    error = np.abs(got[:, ::2, ::4, ::4] - expected).max() / std
    assert error <= official.TOLERANCE, f"{error:.1e}"
    projections = np.array(synthetic_weights.projections(got))
    expected = golden[f"inference/{name}_projections"]
    assert np.abs(projections - expected).max() / std <= official.TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 1.75], ids=["whole", "windows"])
def test_one_of_the_published_scales(scale):
    options = {**CITYSCAPES, "scales": (scale,)}
    got = published(InferenceOptions(**options, base_size=128, fusion="exp", flip=True))
    projections = np.array(synthetic_weights.projections(got.transpose(0, 3, 1, 2)))
    golden = official.arrays(NUMERIC)["inference/cityscapes_per_scale_flip_projections"]
    expected = golden[CITYSCAPES["scales"].index(scale)]
    assert np.abs(projections - expected).max() / got.std() <= official.TOLERANCE


def task_with(window, name="segmentation/tiny"):
    model = create_model(name, num_classes=3)
    info = DatasetInfo("any", 3, tuple("abc"), ())
    options = InferenceOptions(window=window)
    return SegmentationTask(model, info, inference=options)


@pytest.fixture
def _tiny(monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny", tiny.VARIANT)


@pytest.mark.usefixtures("_tiny")
def test_an_image_inside_the_window_is_predicted_whole():
    whole, windows = task_with(WindowOptions()), task_with(WindowOptions((64, 64)))
    variables = hrnet_jax.initial_variables(whole.model, 0)
    images = np.random.default_rng(2).integers(0, 256, (1, 48, 64, 3)).astype(np.uint8)
    np.testing.assert_array_equal(
        whole.logits(variables, images), windows.logits(variables, images)
    )


@pytest.mark.usefixtures("_tiny")
def test_windows_bound_the_memory_of_the_network():
    def temporaries(window):
        task = task_with(window)
        variables = hrnet_jax.initial_variables(task.model, 0)
        batch = {"image": jax.ShapeDtypeStruct((1, 1024, 1024, 3), jnp.uint8)}
        compiled = jax.jit(task.predict).lower(variables, batch).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole, windows = (
        temporaries(WindowOptions()),
        temporaries(WindowOptions((256, 256))),
    )
    assert windows < whole / 2, (windows, whole)


def test_a_run_predicts_in_windows_when_told(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    workdir = tiny.finished_run()
    changes = ["eval.inference.window.size=24,32"]
    run = hrnet_jax.load_run(workdir, changes=changes)
    image = np.random.default_rng(3).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    whole = hrnet_jax.load_run(workdir)
    got = run.predict(image, probabilities=True)["probabilities"]
    # Corners lie in one window alone, and see nothing else.
    for row, column in itertools.product((0, 24), (0, 32)):
        part = image[row : row + 24, column : column + 32]
        alone = whole.predict(part, probabilities=True)["probabilities"]
        corner = (-1 if row else 0, -1 if column else 0)
        np.testing.assert_allclose(got[corner], alone[corner], atol=1e-5)
    whole = whole.predict(image, probabilities=True)["probabilities"]
    assert np.abs(whole - got).max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (64,)}, r"window\.size' must be empty or two positive .*\(64,\)"),
        ({"size": (64, 0)}, r"window\.size' must be .* got \(64, 0\)"),
        (
            {"size": (64, 64), "stride": (1, 2, 3)},
            r"window\.stride' must be empty or two",
        ),
        ({"size": (64, 64), "stride": (64, 65)}, r"stride' must not be larger .* gaps"),
        ({"stride": (64, 64)}, r"window\.stride' is \(64, 64\), but .*size' is empty"),
        ({"blend": True}, r"window\.blend' is True, but .*size' is empty.*512,1024"),
        ({"ends": "outside"}, r"ends' must be one of inside, beyond, got 'outside'"),
        (
            {"average": "mean"},
            r"average' must be one of probabilities, logits, exp, got",
        ),
    ],
)
def test_wrong_windows_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        WindowOptions(**changes)
