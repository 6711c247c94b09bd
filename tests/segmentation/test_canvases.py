"""Images of many sizes through programs of a few shapes; options that are wrong."""

import cv2
import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.data.files.image_files import read_size
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.canvases import few_shapes
from hrnet_jax.inference.folder import find_images, predict_files
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.segmentation.options import InferenceOptions
from hrnet_jax.segmentation.windows import WindowOptions
from tests import tiny
from tests.compilations import compilations
from tests.segmentation.plain_protocol import made_image, task_with


def test_eval_transform_keeps_pixels_and_notes_the_size():
    image, label = made_image(48, 96), np.ones((48, 96), np.uint8)
    sample = {"image": image, "label": label, "image_id": "a", "boxes": 3}
    result = task_with().eval_transform(sample)
    np.testing.assert_array_equal(result["image"], image)
    np.testing.assert_array_equal(result["label"], label)
    assert result["size"].tolist() == [48, 96] and result["size"].dtype == np.int32
    assert result.keys() == {"image", "label", "size", "image_id"}
    del sample["label"]
    assert "label" not in task_with().eval_transform(sample)


def test_eval_transform_pads_with_black_and_the_ignore_label():
    image, label = made_image(48, 96), np.ones((48, 96), np.uint8)
    task = task_with(canvases=1).for_sizes(np.array([[48, 96], [64, 90], [50, 100]]))
    sample = {"image": image, "label": label, "image_id": "a"}
    result = task.eval_transform(sample)
    assert result["image"].shape == (64, 100, 3)
    np.testing.assert_array_equal(result["image"][:48, :96], image)
    np.testing.assert_array_equal(result["label"][:48, :96], label)
    assert not result["image"][48:].any() and not result["image"][:, 96:].any()
    assert (result["label"][48:] == 255).all() and (
        result["label"][:, 96:] == 255
    ).all()
    assert result["size"].tolist() == [48, 96]


def test_few_shapes_hold_all_sizes_and_pad_little():
    rng = np.random.default_rng(0)
    sizes = np.concatenate(
        [rng.integers((300, 600), (420, 641), (40, 2)), [[640, 427], [640, 400]]]
    )[:, None]
    groups, shapes = few_shapes(sizes, 4)
    assert len(shapes) == 4
    assert (shapes[groups] >= sizes).all()
    # Landscapes and portraits do not share a shape, nor do small and large ones.
    assert groups[-1] == groups[-2] and (groups[:-2] != groups[-1]).all()
    used = sizes.prod(-1).sum() / shapes[groups].prod(-1).sum()
    assert used > 0.85
    # Each of a few sizes has its own; the order of the images does not matter.
    groups, shapes = few_shapes(sizes[[0, 1, 0]], 4)
    np.testing.assert_array_equal(shapes[groups], sizes[[0, 1, 0]])
    other = few_shapes(sizes[::-1], 4)
    np.testing.assert_array_equal(other[1], few_shapes(sizes, 4)[1])


def test_twenty_sizes_take_four_programs():
    rng = np.random.default_rng(1)
    sizes = rng.integers((24, 40), (40, 64), (20, 2))
    assert len({tuple(size) for size in sizes}) == 20
    task = task_with(scales=(0.5, 1.0)).for_sizes(sizes)
    predict = jax.jit(task.predict)
    with compilations() as compiled:
        for size in sizes:
            image = made_image(*size)
            images, crops = task.to_network(image)
            found = jax.device_get(predict({}, task.network_batch(images, crops)))
            for name, maps in task.to_image(found, crops).items():
                assert maps.shape == image.shape[:2], name
    assert len(compiled) == 4


@pytest.mark.slow
def test_a_folder_of_twenty_sizes_takes_four_programs(tmp_path, monkeypatch):
    """From files to files, each with the labels of its image padded to its canvas."""
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    run = hrnet_jax.load_run(tiny.finished_run())
    for k in range(20):
        image = made_image(24 + k % 7, 40 + k)
        cv2.imwrite(str(tmp_path / f"{k}.png"), image[..., ::-1])
    images = find_images(tmp_path)
    sizes = np.array([read_size(path) for path in images])
    with compilations() as compiled:
        predict_files(run, images, tmp_path / "out", only=["label"], progress=False)
    assert len(compiled) <= 4
    task = run.for_sizes(sizes).task
    for path in images[::6]:
        image = cv2.imread(str(path))[..., ::-1]
        canvas = task._canvas(image.shape[:2]).image
        padded = np.zeros((*canvas, 3), np.uint8)
        padded[: len(image), : image.shape[1]] = image
        expected = run.predict(padded)["label"][: len(image), : image.shape[1]]
        label = cv2.imread(str(tmp_path / f"out/{path.stem}_label.png"), 0)
        np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, r"scales' must be one or more positive numbers, got \(\)"),
        ({"scales": (1.0, 0.0)}, r"scales' must be .* got \(1.0, 0.0\)"),
        ({"scales": (1.0, -0.5)}, r"scales' must be one or more positive"),
        ({"scales": (float("nan"),)}, r"scales' must be one or more positive"),
        ({"fusion": "sum"}, r"fusion' must be softmax, logits or exp, got 'sum'"),
        ({"base_size": -1}, r"base_size' must be a long side in pixels, or 0"),
        ({"image_size": (1, 2, 3)}, r"image_size' must be empty, a short side, or a"),
        ({"image_size": (0,)}, r"image_size' must be empty, .*got \(0,\)"),
        ({"multiple": 0}, r"multiple' must be at least 1, got 0"),
        ({"canvases": 0}, r"canvases' must be at least 1, got 0"),
        ({"keeps_padding": True}, r"keeps_padding' is True, but .*multiple' is 1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        InferenceOptions(**options)


def test_a_negative_largest_whole_scale_is_named():
    with pytest.raises(ConfigError, match=r"whole_up_to' must be a scale, .* got -1"):
        WindowOptions((8, 8), whole_up_to=-1)
