"""Generated scenes as objects: boxes and masks of what is in sight."""

import numpy as np

from hrnet_jax.data.generated.shapes import draw_scene
from hrnet_jax.imaging import run_lengths
from tests.data.object_files import prepare, read


def test_masks_are_the_pixels_of_each_object(tmp_path):
    info = prepare(
        "shapes_objects", None, tmp_path, train=6, val=2, image_size=64, max_objects=4
    )
    assert info.counts == {"train": 6, "val": 2} and info.object_masks
    assert info.max_objects == 4 and len(info.category_ids) == 6
    for index, sample in enumerate(read("shapes_objects", tmp_path, "train")):
        scene = draw_scene(0, "train", index, 64, 4)
        np.testing.assert_array_equal(sample["image"], scene.image)
        np.testing.assert_array_equal(sample["boxes"], scene.boxes)
        np.testing.assert_array_equal(sample["box_class"], scene.box_class)
        shown = np.zeros((64, 64), np.uint8)
        for k, text in enumerate(sample["masks"].split(" ")):
            mask = run_lengths.decode(text, (64, 64))
            x1, y1, x2, y2 = scene.boxes[k]
            assert run_lengths.bounds(text, (64, 64)) == (x1, y1, x2, y2)
            assert sample["box_area"][k] == mask.sum()
            assert (scene.label[mask == 1] == scene.box_class[k] + 1).all()
            shown += mask
        np.testing.assert_array_equal(shown, scene.label > 0)
