"""`compat="official"` of pose: the published code, number for number.

Each check compares some arrays of one golden file; that of the metrics are compared
beside them.
"""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.keypoints import geometry
from hrnet_jax.keypoints.decoding import mirror_heatmaps
from hrnet_jax.keypoints.losses import joint_mse
from hrnet_jax.keypoints.official import persons
from hrnet_jax.keypoints.persons import PoseCropOptions
from hrnet_jax.keypoints.pose import PoseInferenceOptions, PoseLossOptions, PoseTask
from hrnet_jax.registry import create_model
from tests.goldens import official as goldens
from tests.goldens import synthetic_weights

NAME = "numeric/pose"
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
PAIRS = tuple((k, k + 1) for k in range(1, 17, 2))
SIZE = (256, 192)
READ: set[str] = set()


def golden(key):
    """One array, remembered as read."""
    READ.add(key)
    return goldens.arrays(NAME)[key]


@functools.cache
def heatmaps(kind, seed):
    """float32 [3, 64, 48, 17], as the descriptions of the arrays say."""
    shape = (3, 17, 64, 48)
    maps = synthetic_weights.make_heatmaps_nchw(shape, seed).astype(np.float64)
    maps += synthetic_weights.noise(kind, shape, 0.02, 0)
    if kind == "pose/hm":
        maps[0, 5] = -0.5
    return maps.astype(np.float32).transpose(0, 2, 3, 1)


def first_maps():
    return heatmaps("pose/hm", 91)


def second_maps():
    return heatmaps("pose/hm2", 95)


def task_of(size=SIZE, sigma=2.0, decoding="quarter"):
    info = DatasetInfo(
        "golden",
        0,
        (),
        (),
        point_names=tuple(f"joint {k}" for k in range(17)),
        point_flip_pairs=PAIRS,
    )
    return PoseTask(
        create_model("pose/w18_small_v1", num_points=17),
        info,
        PoseCropOptions(crop_size=size, compat="official"),
        PoseLossOptions(sigma=sigma),
        PoseInferenceOptions(decoding=decoding),
    )


def check_targets(size, sigma, name):
    joints, visible = golden("target/joints"), golden("target/visible")
    points = joints[:, :2] * (size[1] / 192)
    sample = persons.PersonSample(np.zeros(0), points, np.zeros(2))
    batch = {
        "points": jnp.asarray(4 * sample.cells(), jnp.float32)[None],
        "annotated": jnp.asarray(visible[:, 0])[None],
        "visible": jnp.ones((1, 17)),
    }
    cells = size[0] // 4, size[1] // 4
    make = jax.jit(task_of(size, sigma).targets, static_argnums=1)
    maps, weights = make(batch, cells)
    expected = golden(f"target/{name}_heatmaps")
    got = np.asarray(maps)[0].transpose(2, 0, 1)
    np.testing.assert_array_equal(got == 0, expected == 0)
    np.testing.assert_array_equal(got == 1, expected == 1)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    np.testing.assert_array_equal(
        np.asarray(weights)[0], golden(f"target/{name}_weight")[:, 0]
    )


def check_boxes():
    corners = golden("box/xywh").copy()
    corners[:, 2:] += corners[:, :2]
    centers, scales = geometry.box_center_scale(corners, SIZE, 1.25)
    np.testing.assert_allclose(centers, golden("box/center"), **CLOSE)
    np.testing.assert_allclose(scales, golden("box/scale")[:, 0], **CLOSE)
    # Boxes are extended to the shape of the crop, so one number tells both sides.
    np.testing.assert_allclose(4 / 3 * scales, golden("box/scale")[:, 1], **CLOSE)


def check_matrices():
    rows = zip(golden("box/center"), golden("box/scale"), strict=True)
    for index, (center, scale) in enumerate(rows):
        for turn, rotation in enumerate(golden("box/rotations")):
            got = persons.affine_matrix(center, scale[0], SIZE, rotation)
            expected = golden("box/affine_192x256")[index, turn]
            np.testing.assert_allclose(got, expected, **CLOSE)
        got = persons.affine_matrix(center, scale[0], (64, 48), invert=True)
        expected = golden("box/affine_48x64_inverse")[index]
        np.testing.assert_allclose(got, expected, **CLOSE)
        matrix = persons.affine_matrix(center, scale[0], SIZE, 30.0)
        got = geometry.apply(matrix, golden("box/points"))
        np.testing.assert_allclose(got, golden("box/points_affine")[index], **CLOSE)


def check_warp():
    image = synthetic_weights.make_uint8_image_hwc((300, 260, 3), 90)
    center, scale = golden("box/center")[0], golden("box/scale")[0, 0]
    points = np.zeros((17, 2))
    made = persons.sample(image, points, center, scale, SIZE, rotation=30.0)
    np.testing.assert_array_equal(made.image[::4, ::4], golden("box/warp_subsample"))
    got = synthetic_weights.statistics(made.image)
    np.testing.assert_allclose(got, golden("box/warp_statistics"), rtol=1e-12)


def check_mirrored_points():
    """A crop of 256x192 that shows the image as it is, but for the mirroring."""
    visible = golden("target/visible")[:, 0]
    center = np.array([191 - 96, 128])
    made = persons.sample(
        np.zeros((256, 192, 3), np.uint8),
        golden("target/joints")[:, :2],
        center,
        192 / 200,
        SIZE,
        flip=True,
        pairs=PAIRS,
    )
    order = geometry.mirrored_order(17, PAIRS)
    np.testing.assert_array_equal(visible[order], golden("flip/visible")[:, 0])
    got = made.points * visible[order][:, None]
    np.testing.assert_allclose(got, golden("flip/joints")[:, :2], **CLOSE)


def check_flip():
    back = mirror_heatmaps(second_maps(), PAIRS)
    mean = (first_maps() + mirror_heatmaps(second_maps(), PAIRS, shift=True)) / 2
    for name, got in (("flip_back", back), ("average_shifted", mean)):
        got = np.asarray(got).transpose(0, 3, 1, 2)
        expected = golden(f"flip/{name}_subsample")
        np.testing.assert_allclose(got[:, :, ::4, ::4], expected, **CLOSE)
        got = synthetic_weights.projections(got)
        np.testing.assert_allclose(got, golden(f"flip/{name}_projections"), rtol=1e-5)


def check_decoding(decoding):
    task = task_of(decoding=decoding)
    decode = jax.jit(task.decode, static_argnums=1)
    outputs = decode({"heatmaps": jnp.asarray(first_maps())}, SIZE)
    np.testing.assert_array_equal(
        outputs["scores"], golden("decode/max_values")[..., 0]
    )
    cells = np.asarray(outputs["points"]) / 4
    peaks = golden("decode/max_preds")
    moved = {0.0} if decoding == "argmax" else {-0.25, 0.0, 0.25}
    assert set(np.unique(cells - peaks)) == moved
    placed = task.to_image(
        {key: np.asarray(value) for key, value in outputs.items()},
        {
            "boxes": np.zeros((3, 4)),
            "centers": golden("box/center")[:3],
            "scales": golden("box/scale")[:3, 0],
        },
    )
    name = f"decode/final_preds_post_process_{decoding == 'quarter'}"
    np.testing.assert_allclose(placed["points"], golden(name), **CLOSE)


def check_losses():
    weights = golden("loss/target_weight")[..., 0]
    for name, chosen, hardest in (
        ("joints_mse_weighted", weights, 0),
        ("joints_mse", None, 0),
        ("ohkm8_weighted", weights, 8),
    ):
        loss = jax.jit(functools.partial(joint_mse, hardest=hardest))
        value = loss(first_maps(), second_maps(), chosen)
        np.testing.assert_allclose(0.5 * value, golden(f"loss/{name}"), rtol=1e-5)


CHECKS = {
    "targets-2": lambda: check_targets(SIZE, 2.0, "sigma2_192x256"),
    "targets-3": lambda: check_targets((384, 288), 3.0, "sigma3_288x384"),
    "boxes": check_boxes,
    "matrices": check_matrices,
    "warp": check_warp,
    "mirrored": check_mirrored_points,
    "flip": check_flip,
    "decode-quarter": lambda: check_decoding("quarter"),
    "decode-argmax": lambda: check_decoding("argmax"),
    "losses": check_losses,
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_it_is_the_published_code(check):
    check()


def test_no_array_of_this_part_is_left_out():
    stored = set(goldens.arrays(NAME))
    assert stored == set(goldens.info(NAME)["arrays"])
    READ.clear()
    for check in CHECKS.values():
        check()
    # Weights of single joints and the accuracy of training batches are not offered, as
    # no published figure depends on them.
    unused = {"target/sigma2_weighted_weight", "accuracy/pck", "accuracy/mean_count"}
    left = {key for key in stored - READ - unused if not key.startswith("oks/")}
    assert not left, f"no test compares {sorted(left)}"


def test_crops_of_a_task_are_those_of_its_samples():
    """Prediction and evaluation cut in one way, that of `cv2` and the golden matrix."""
    image = synthetic_weights.make_uint8_image_hwc((300, 260, 3), 90)
    box = np.array([40.0, 30, 160, 230])
    task = task_of()
    crops, placement = task.to_network(image, box[None])
    sample = {
        "image": image,
        "image_id": "a",
        "points": np.full((17, 2), 100.0),
        "visible": np.ones(17, np.uint8),
        "annotated": np.ones(17, np.uint8),
        "box": box,
    }
    evaluated = task.eval_transform(sample)
    np.testing.assert_array_equal(crops[0], evaluated["image"])
    np.testing.assert_allclose(placement["centers"][0], evaluated["center"])
    matrix = persons.affine_matrix(placement["centers"][0], 1.25 * 150 / 200, SIZE)
    expected = cv2.warpAffine(image, matrix, SIZE[::-1], flags=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(crops[0], expected)
