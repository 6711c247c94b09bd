"""Abstract batches and states are those of real runs."""

import jax
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.data.stream.batches import eval_batches, train_batches
from hrnet_jax.data.stream.feeding import device_part, to_global
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.planning import abstract
from hrnet_jax.planning.datasets import facts_of
from hrnet_jax.planning.experiment import build_experiment
from hrnet_jax.registry import task_names
from hrnet_jax.training.build import build_run, open_split
from hrnet_jax.training.state import create_state
from tests import (
    tiny,
    tiny_classification,
    tiny_detection,
    tiny_landmarks,
    tiny_pose,
)


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def segmentation():
    return tiny.config()


def landmarks():
    config = tiny_landmarks.get_config()
    config.dataset.data_dir = str(tiny_landmarks.data_dir())
    return config


def official_landmarks():
    config = landmarks()
    config.dataset.augmentation.compat = "official"
    return config


def detection():
    return tiny_detection.config("mask_rcnn")


def pose():
    config = tiny_pose.get_config()
    config.dataset.data_dir = str(tiny_pose.data_dir())
    return config


CONFIGS = {
    "classification": tiny_classification.config,
    "pose": pose,
    "detection": detection,
    "segmentation": segmentation,
    "landmarks": landmarks,
    "landmarks, official": official_landmarks,
}


def experiment(name, mesh):
    config = read_config(CONFIGS[name]())
    facts = facts_of(config)
    return facts, build_experiment(config, facts, mesh)


def told(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.sharding.spec), tree)


def test_every_trainable_task_is_tried():
    tried = {name.partition(",")[0] for name in CONFIGS}
    assert tried == set(task_names(trainable=True))


@pytest.mark.slow
def test_epochs_of_images_of_two_shapes_are_those_of_the_run():
    """Three images of each shape in batches of two: two batches of each."""
    changes = {"num_steps": 0, "num_epochs": 3}
    changes |= {"eval__every_steps": -1, "eval__every_epochs": 1}
    config = read_config(tiny_detection.config("fcos,both_orientations", **changes))
    planned = build_experiment(config, facts_of(config), runtime.make_mesh(1, 1))
    run = build_run(config)
    assert (planned.num_steps, planned.epoch_steps) == (12, 4)
    assert (run.num_steps, run.epoch_steps) == (12, 4)


@pytest.mark.parametrize("space", [1, 2])
@pytest.mark.parametrize("name", CONFIGS)
def test_batches_are_those_that_the_pipeline_feeds(name, space):
    mesh = runtime.make_mesh(data=2, space=space)
    facts, made = experiment(name, mesh)
    records = open_split(made.config, "train")
    batches = train_batches(records, made.task.train_transform, batch_size=4, seed=0)
    real = device_part(to_global(next(batches), mesh, made.task.map_keys))
    batches.close()
    assert told(abstract.train_batch(made.task, 4, mesh)) == told(real)
    records = open_split(made.config, "val")
    batches = eval_batches(records, made.task.eval_transform, batch_size=2)
    real = device_part(to_global(next(batches), mesh, made.task.map_keys))
    batches.close()
    size = facts.info.max_size["val"]
    assert told(abstract.eval_batch(made.task, size, 2, mesh)) == told(real)


def test_values_are_those_of_an_empty_image_with_a_size():
    mesh = runtime.make_mesh(data=2)
    _, made = experiment("detection", mesh)
    values = abstract.train_values(made.task, 4, mesh)
    assert told(values) == told(abstract.train_batch(made.task, 4, mesh))
    assert (np.asarray(values["image_size"]) == tiny_detection.SIZE).all()
    assert np.asarray(values["example_valid"]).all()


@pytest.mark.parametrize("ema", [False, True])
def test_the_state_is_that_of_a_run(ema):
    mesh = runtime.make_mesh(data=2)
    _, made = experiment("segmentation", mesh)
    variables = initial_variables(made.task.model)
    real = create_state(variables, made.optimizer, ema=ema)
    found = abstract.train_state(made.task, made.optimizer, mesh, ema=ema)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), found) == jax.tree.map(
        lambda leaf: (np.shape(leaf), leaf.dtype), real
    )
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(found))


def test_bytes_are_those_of_one_device():
    mesh = runtime.make_mesh(data=2, space=2)
    _, made = experiment("segmentation", mesh)
    batch = abstract.train_batch(made.task, 4, mesh)
    # Half the images, half the rows; uint8 pixels and labels; one flag an image.
    label = batch["label"].dtype.itemsize
    assert abstract.device_bytes(batch) == 2 * 16 * 32 * (3 + label) + 2


def test_what_does_not_divide_is_refused():
    mesh = runtime.make_mesh(data=2, space=4)
    _, made = experiment("segmentation", mesh)
    with pytest.raises(ConfigError, match="3 images do not divide over data:2"):
        abstract.train_batch(made.task, 3, mesh)
    with pytest.raises(ConfigError, match="height of 'image', 62 pixels, .* space:4"):
        abstract._batch({"image": np.zeros((62, 64, 3), np.uint8)}, 2, mesh)
