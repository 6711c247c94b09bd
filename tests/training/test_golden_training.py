"""Three training steps equal the official code in double precision.

The runs themselves are in `golden_runs`.
"""

import jax
import numpy as np
import pytest

from hrnet_jax import runtime
from tests.goldens import official, synthetic_weights
from tests.tiers import fast_are
from tests.training import golden_runs

RTOL = 1e-8
# Strides of the inputs of those norms whose statistics the goldens hold whole.
STRIDES = {
    "bn1": 2,
    "bn2": 4,
    "layer1.0.bn1": 4,
    "layer1.0.downsample.1": 4,
    "transition1.0.1": 4,
    "transition3.3.0.1": 32,
    "stage2.0.fuse_layers.0.1.1": 8,
    "stage4.0.branches.3.0.bn2": 32,
    "stage4.0.fuse_layers.3.0.2.1": 32,
    "last_layer.1": 4,
}


# The loss that all have in common, on the smaller network.
FAST = ["seg_w18_small_v1_ce"]


@pytest.fixture(scope="module", params=fast_are(FAST, golden_runs.RUNS))
def run(request):
    with jax.enable_x64():
        return golden_runs.train(request.param)


def first8(value):
    """The first eight elements, padded like the goldens."""
    flat = value.ravel()[:8]
    return np.pad(flat, (0, 8 - flat.size))


def compared_parameters(run):
    """(index, name) of parameters whose gradient is not rounding noise."""
    for index, (name, shape) in enumerate(run.info["parameters"]):
        assert list(run.start[name].shape) == shape
        if name not in run.info["zero_gradient_parameters"]:
            yield index, name


def test_losses_and_gradient_norms_of_all_steps(run):
    np.testing.assert_allclose(run.losses, run.expected("losses"), rtol=RTOL)
    np.testing.assert_allclose(
        run.gradient_norms, run.expected("total_grad_norm"), rtol=RTOL
    )


def test_gradient_of_every_parameter_in_the_first_step(run):
    norms, elements = run.expected("grad_norm"), run.expected("grad_first8")
    projections = run.expected("grad_projection")
    for index, name in compared_parameters(run):
        value, scale = run.gradient[name], RTOL * norms[index]
        message = f"gradient of {name}"
        assert abs(np.linalg.norm(value) - norms[index]) <= scale, message
        projection = synthetic_weights.projections(value, 1)[0]
        assert abs(projection - projections[index]) <= scale, message
        np.testing.assert_allclose(
            first8(value), elements[index], rtol=RTOL, atol=scale, err_msg=message
        )


def test_parameters_and_their_changes_after_three_steps(run):
    norms = run.expected("param_norm_after3")
    changes = run.expected("param_change_norm_after3")
    elements = run.expected("param_first8_after3")
    for index, name in compared_parameters(run):
        value, message = run.after[2][name], f"parameter {name}"
        np.testing.assert_allclose(np.linalg.norm(value), norms[index], rtol=RTOL)
        change = np.linalg.norm(value - run.start[name])
        np.testing.assert_allclose(
            change, changes[index], rtol=RTOL, err_msg=f"change of {name}"
        )
        np.testing.assert_allclose(
            first8(value),
            elements[index],
            rtol=RTOL,
            atol=RTOL * changes[index],
            err_msg=message,
        )


def test_running_statistics_after_the_first_step(run):
    for layer in run.info["bn_layers"]:
        for leaf in ("running_mean", "running_var"):
            name = f"{layer}.{leaf}"
            expected = official.arrays(run.name)[f"bn_after1_float64_run/{name}"]
            np.testing.assert_allclose(
                run.after[0][name], expected, rtol=RTOL, atol=1e-10, err_msg=name
            )


def test_norms_of_all_running_statistics(run):
    for key, step in (("buffer_norm_after1", 0), ("buffer_norm_after3", 2)):
        norms = [np.linalg.norm(run.after[step][k]) for k in run.info["buffer_names"]]
        np.testing.assert_allclose(norms, run.expected(key), rtol=RTOL)


def test_output_in_evaluation_after_three_steps(run):
    strides = run.info["output_strides_float64_run"]
    got = synthetic_weights.subsample(run.eval_output, strides)
    expected = run.expected("eval_output_after3")
    np.testing.assert_allclose(got, expected, atol=RTOL * expected.std(), rtol=0)


def test_output_of_the_first_step_in_train_mode(run):
    strides = run.info["output_strides_float64_run"]
    got = synthetic_weights.subsample(run.first_output, strides)
    expected = run.expected("output_step1")
    np.testing.assert_allclose(got, expected, atol=RTOL * expected.std(), rtol=0)


def test_running_variances_without_the_correction_for_the_sample_size():
    name = "seg_w18_small_v1_ce"
    with jax.enable_x64():
        start, after = one_forward_pass(name, unbiased_variance=False)
    info = golden_runs.golden_info(name)
    assert set(STRIDES) == set(info["bn_layers"])
    arrays = official.arrays(f"training/{name}")
    batch, _, height, width = info["batch_shape"]
    for layer, stride in STRIDES.items():
        count = batch * (height // stride) * (width // stride)
        for leaf, factor in (
            ("running_mean", 1.0),
            ("running_var", (count - 1) / count),
        ):
            key = f"{layer}.{leaf}"
            # new = 0.99 old + 0.01 batch, and the batch's is what differs.
            kept = 0.99 * start[key]
            unbiased = arrays[f"bn_after1_float64_run/{key}"] - kept
            np.testing.assert_allclose(
                after[key] - kept, unbiased * factor, rtol=RTOL, atol=1e-12, err_msg=key
            )


def one_forward_pass(name, unbiased_variance):
    """Official names to arrays, before and after a pass in train mode."""
    kind = golden_runs.RUNS[name]
    model = golden_runs.make_model(kind, unbiased_variance)
    variables = golden_runs.initial_variables(name)
    images = next(golden_runs.batches(name))["image"]

    def forward(variables, images):
        _, state = model.apply(variables, images, train=True, mutable=["batch_stats"])
        return state["batch_stats"]

    example = golden_runs.on_device((variables, images))
    _, compiled = runtime.compile_ahead(runtime.jit(forward), *example)
    stats = jax.device_get(compiled(*example))
    return (
        golden_runs.official_arrays(kind, variables),
        golden_runs.official_arrays(kind, {**variables, "batch_stats": stats}),
    )
