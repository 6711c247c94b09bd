"""A run on eight devices is a run on one."""

import numpy as np
import pytest

from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.build import build_run
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.training.train import train
from tests import tiny

ONE_DEVICE = """
import sys
import cv2, jax, numpy as np
from tests import tiny
tiny.get_config()
import hrnet_jax
assert jax.device_count() == 1, jax.devices()
run = hrnet_jax.load_run(sys.argv[1])
image = cv2.imread(sys.argv[2])[..., ::-1]
np.savez(sys.argv[3], step=run.step, **run.predict(image))
"""


@pytest.fixture(scope="module", autouse=True)
def tiny_variant():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        yield


def sharded(**mesh):
    changes = {f"mesh__{axis}": count for axis, count in mesh.items()}
    # A small rate: rounding is not to grow from step to step.
    return tiny.config(
        **changes, eval__batch_size=8, num_steps=4, schedule__learning_rate=1e-3
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Work directories of the same run on several meshes, made when asked for."""
    made = {}

    def get(**mesh):
        key = tuple(mesh.items())
        if key not in made:
            made[key] = tmp_path_factory.mktemp("run")
            train(sharded(**mesh), made[key])
        return made[key]

    return get


@pytest.fixture(scope="module")
def alone(runs):
    """Work directory of the run on one device."""
    return runs(data=1)


@pytest.mark.parametrize(
    "mesh", [{"data": 8}, pytest.param({"data": 4, "space": 2}, marks=pytest.mark.slow)]
)
def test_several_devices_train_like_one(mesh, alone, runs):
    one, many = alone, runs(**mesh)
    for left, right in zip(tiny.learned(one), tiny.learned(many), strict=True):
        assert right == pytest.approx(left, rel=2e-5, abs=2e-5)
    first, second = tiny.state(one), tiny.state(many)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_allclose(
            second[name], array, rtol=2e-5, atol=2e-5, err_msg=name
        )


@pytest.mark.parametrize(("space", "reported"), [(1, False), (2, True)])
def test_rows_that_do_not_divide_evenly_are_reported(space, reported, caplog):
    build_run(read_config(sharded(data=1, space=space)))  # crops of 32 rows
    assert ("a multiple of 64 rows is faster" in caplog.text) is reported


def test_a_checkpoint_of_eight_devices_scores_the_same_on_one(runs):
    expected = tiny.result(runs(data=8))["metrics"]
    assert evaluate(sharded(data=1), runs(data=8)) == pytest.approx(expected, abs=2e-5)


def test_a_checkpoint_of_eight_devices_goes_on_on_one(runs, tmp_path):
    with_eight = runs(data=8)
    # The mesh may change: the finished run is recognised.
    assert train(sharded(data=1), with_eight) == tiny.result(with_eight)["metrics"]


@pytest.mark.slow
def test_a_checkpoint_of_eight_devices_opens_where_there_is_one(runs, tmp_path):
    import cv2

    import hrnet_jax

    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image[..., ::-1])
    process = tiny.run_python(
        ONE_DEVICE,
        str(runs(data=8)),
        str(tmp_path / "image.png"),
        str(tmp_path / "out.npz"),
        XLA_FLAGS="",
    )
    assert process.returncode == 0, process.stderr
    with np.load(tmp_path / "out.npz") as alone:
        run = hrnet_jax.load_run(runs(data=8))
        here = run.predict(image)
        assert alone["step"] == run.step
        np.testing.assert_array_equal(alone["label"], here["label"])
        np.testing.assert_allclose(
            alone["confidence"], here["confidence"], rtol=0, atol=1e-5
        )
