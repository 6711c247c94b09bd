"""What a plan knows of data sets that are not prepared, and of those that are."""

import pytest

from hrnet_jax.data.sources import SOURCES, source_class
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.planning.datasets import PUBLISHED, facts_of
from tests import tiny

POINTS = {"w300": 68, "wflw": 98, "cofw": 29, "aflw": 19}
POINTS |= {"coco_keypoints": 17, "mpii": 16, "lsp": 14}


def facts(task, name, tmp_path, num_steps=0, **flags):
    config = default_config(task)
    config.dataset.name = name
    config.dataset.data_dir = str(tmp_path)
    config.num_epochs = 1
    config.num_steps = num_steps
    return facts_of(read_config(config), **flags)


def test_prepared_records_tell_everything():
    found = facts_of(read_config(tiny.config()), examples=99)
    assert found.counts == {"train": tiny.TRAIN_IMAGES, "val": tiny.VAL_IMAGES}
    assert found.info.max_size["val"] == (tiny.SIZE, tiny.SIZE)
    assert found.origin == f"the records in {tiny.data_dir()}"


def test_cityscapes_is_known_without_its_files(tmp_path):
    found = facts("segmentation", "cityscapes", tmp_path)
    assert found.counts["train"] == 2975 and found.counts["val"] == 500
    assert found.info.num_classes == 19
    assert found.info.max_size["val"] == (1024, 2048)
    assert found.origin.startswith("published: Cordts")


@pytest.mark.parametrize("name", POINTS)
def test_sets_of_points_are_known_without_their_files(name, tmp_path):
    found = facts("landmarks", name, tmp_path)
    assert len(found.info.point_names) == POINTS[name]
    assert found.counts == PUBLISHED[name].counts
    assert found.info.max_size == {}


@pytest.mark.parametrize(
    ("task", "name"),
    [("segmentation", "shapes"), ("landmarks", "faces"), ("pose", "figures")],
)
def test_generated_sets_have_the_size_of_their_default_options(task, name, tmp_path):
    options = source_class(name).Options()
    found = facts(task, name, tmp_path)
    images = {"train": options.train, "val": options.val}
    # Of images with several persons these are the examples.
    assert found.counts == (found.info.persons or images)
    assert all(found.counts[split] >= count for split, count in images.items())
    assert found.info.max_size["val"] == (options.image_size,) * 2


def test_every_standard_set_is_published():
    own = {"segmentation_folder", "landmarks_csv", "landmarks_coco"}
    own |= {f"segmentation_{form}" for form in ("coco", "panoptic", "cvat", "labelme")}
    own |= {"detection_coco", "voc", "yolo", "keypoints_coco"}
    own |= {"classification_folder", "classification_csv"}
    generated = {name for name in SOURCES if not source_class(name).needs_source}
    assert set(PUBLISHED) == set(SOURCES) - own - generated
    for name, published in PUBLISHED.items():
        origin = getattr(source_class(name), "origin", None)
        if origin is None:
            continue
        assert published.counts.items() >= origin.counts.items()
        for subset, parts in source_class(name).subsets.items():
            expected = sum(origin.counts[part] for part in parts)
            assert published.counts[subset] == expected


def test_the_number_of_examples_can_be_given(tmp_path):
    found = facts("segmentation", "cityscapes", tmp_path, examples=100)
    assert found.counts["train"] == 100 and found.counts["val"] == 500
    assert found.origin == "--examples=100"


def test_a_set_of_the_user_needs_outputs_and_examples(tmp_path):
    with pytest.raises(
        ConfigError, match="'my_set' is neither prepared .* --outputs=N"
    ):
        facts("segmentation", "my_set", tmp_path)
    with pytest.raises(
        ConfigError, match="'train' is not published: give --examples=N"
    ):
        facts("segmentation", "segmentation_folder", tmp_path, outputs=4)
    found = facts("segmentation", "my_set", tmp_path, outputs=4, examples=10)
    assert found.info.num_classes == len(found.info.class_names) == 4
    assert found.counts == {"train": 10}
    assert facts("landmarks", "my_set", tmp_path, num_steps=5, outputs=4).counts == {}


def test_a_data_set_has_to_be_named(tmp_path):
    with pytest.raises(ConfigError, match="'dataset.name' is empty"):
        facts("segmentation", "", tmp_path)
