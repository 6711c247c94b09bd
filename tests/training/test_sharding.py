"""A run on eight devices is a run on one."""

import numpy as np
import pytest

from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.build import build_run
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.training.train import train
from tests import tiny
from tests.tiers import fast_are, with_detectors
from tests.tiny_runs import RUNS

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


def sharded(name="segmentation", **mesh):
    changes = {f"mesh__{axis}": count for axis, count in mesh.items()}
    # A small rate: rounding is not to grow from step to step.
    changes |= {"num_steps": 4, "schedule__learning_rate": 1e-3}
    return RUNS[name].config(**changes, batch_size=8, eval__batch_size=8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Work directories of the same run on several meshes, made when asked for."""
    made = {}

    def get(name="segmentation", **mesh):
        key = (name, *mesh.items())
        if key not in made:
            made[key] = tmp_path_factory.mktemp("run")
            train(sharded(name, **mesh), made[key])
        return made[key]

    return get


# What rounding may make of numbers: norms over few pixels, and classes and boxes that
# come from them, more than segmentation does.
TOLERANCES = dict.fromkeys(RUNS, 1e-3) | {"segmentation": 2e-5}
EIGHT, IN_ROWS = {"data": 8}, {"data": 4, "space": 2}
MESHES = [("segmentation", EIGHT), ("segmentation", IN_ROWS)]
MESHES += [(name, EIGHT) for name in ("landmarks", "pose", "classification")]
MESHES += [("mask_rcnn", EIGHT)]
MESHES += [with_detectors((name, EIGHT)) for name in ("fcos", "both_orientations")]


@pytest.mark.parametrize("case", fast_are(MESHES[:1], MESHES), ids=str)
def test_several_devices_train_like_one(case, runs):
    name, mesh = case
    one, many = runs(name, data=1), runs(name, **mesh)
    tolerance = TOLERANCES[name]
    for left, right in zip(tiny.learned(one), tiny.learned(many), strict=True):
        assert right == pytest.approx(left, rel=tolerance, abs=tolerance)
    first, second = tiny.state(one), tiny.state(many)
    assert first.keys() == second.keys()
    for key, array in first.items():
        np.testing.assert_allclose(
            second[key], array, rtol=tolerance, atol=min(tolerance, 1e-4), err_msg=key
        )


@pytest.mark.parametrize(("space", "reported"), [(1, False), (2, True)])
def test_rows_that_do_not_divide_evenly_are_reported(space, reported, caplog):
    build_run(read_config(sharded(data=1, space=space)))  # crops of 32 rows
    assert ("a multiple of 64 rows is faster" in caplog.text) is reported


NAMES = ["segmentation", "landmarks", "pose", with_detectors("mask_rcnn")]


@pytest.mark.parametrize("name", fast_are(["segmentation"], NAMES))
def test_a_checkpoint_of_eight_devices_scores_the_same_on_one(name, runs):
    with_eight = runs(name, data=8)
    expected = tiny.result(with_eight)["metrics"]
    found = evaluate(sharded(name, data=1), with_eight)
    assert found == pytest.approx(expected, rel=1e-5, abs=2e-5)


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
