"""Experiments as one literal, and the recipes that they share."""

import types

import pytest

import hrnet_jax
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment import recipes
from hrnet_jax.experiment.defaults import default_config, experiment, to_json, update
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.keypoints.task import InferenceOptions
from hrnet_jax.segmentation.losses import LossOptions

RECIPES = {
    "from_imagenet": recipes.from_imagenet("segmentation/w18", 0.01),
    "official_sgd_poly": recipes.official_sgd_poly(),
    "adamw": recipes.adamw(1e-3, weight_decay=0.01, warmup_steps=5, schedule="poly"),
    "of_any_size": recipes.of_any_size(),
    "adamw_cosine": recipes.adamw_cosine(1e-3, weight_decay=0.01, warmup_steps=5),
}


def test_a_literal_is_the_default_with_what_it_names():
    config = experiment(
        "segmentation",
        model={"name": "segmentation/w18", "options": {"head_bias": True}},
        dataset={"augmentation": {"crop_size": (64, 32)}},
        batch_size=16,
    )
    expected = default_config("segmentation")
    expected.model.name = "segmentation/w18"
    with expected.unlocked():
        expected.model.options = {"head_bias": True}
    expected.dataset.augmentation.crop_size = (64, 32)
    expected.batch_size = 16
    assert to_json(config) == to_json(expected)
    assert config.is_locked
    with pytest.raises(AttributeError):
        config.batchsize = 1


def test_later_recipes_win_and_sections_win_over_recipes():
    first = {"batch_size": 1, "seed": 1, "num_steps": 1}
    config = experiment("segmentation", first, {"seed": 2, "num_steps": 2}, num_steps=3)
    assert (config.batch_size, config.seed, config.num_steps) == (1, 2, 3)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"batchsize": 4}, "'batchsize' is not read.*; did you mean 'batch_size'"),
        (
            {"model": {"nam": "x"}},
            "'model.nam' is not read.*; did you mean 'model.name'",
        ),
        (
            {"dataset": {"augmentation": {"crop": 1}}},
            "'dataset.augmentation.crop' is not read",
        ),
        ({"model": "w18"}, "'model' must be a section of keys, got 'w18'"),
        ({"batch_size": "8"}, "'batch_size' must be a value of type int, got '8'"),
        ({"eval": {"inference": {"flip": 3}}}, "'eval.inference.flip' must be .* bool"),
    ],
)
def test_a_wrong_key_or_value_is_an_error_where_it_is_written(sections, message):
    with pytest.raises(ConfigError, match=message):
        experiment("segmentation", **sections)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_name_keys_of_every_task(name):
    for task in ("segmentation", "landmarks"):
        update(default_config(task), RECIPES[name])


def test_the_official_recipe_is_that_of_the_official_code():
    # TRAIN of `seg_hrnet_w48_train_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484.yaml`,
    # `adjust_learning_rate` and `train.py`.
    config = experiment("segmentation", recipes.official_sgd_poly())
    options = read_config(config)
    assert (options.optimizer.name, options.optimizer.momentum) == ("sgd", 0.9)
    assert options.optimizer.weight_decay == 0.0005 and options.optimizer.decay_norms
    assert not options.optimizer.nesterov and options.optimizer.ema_decay == 0
    assert (options.schedule.name, options.schedule.power) == ("poly", 0.9)
    assert options.schedule.learning_rate == 0.01 and options.schedule.official_offset
    assert options.schedule.warmup_steps == 0


@pytest.mark.parametrize(
    ("choice", "variant"),
    [
        ({"variant": "", "debug": False}, "w48"),
        ({"variant": "", "debug": True}, "w18_small_v1"),
        ({"variant": "w32", "debug": True}, "w32"),
        ({"variant": "", "debug": False, "fast": True}, "w18_small_v1"),
        ({"variant": "", "debug": False, "fast": False}, "w48"),
    ],
)
def test_laptops_get_a_small_variant_unless_one_is_named(choice, variant):
    assert recipes.variant_of(types.SimpleNamespace(**choice), "w48") == variant


def test_sections_of_the_task_are_read_with_everything_else():
    options = read_config({"task": "landmarks", "eval": {"inference": {"flip": True}}})
    assert options.eval.inference == InferenceOptions(flip=True)
    assert read_config(options) is options
    assert read_config({}).loss == LossOptions()
    assert to_json(options)["eval"]["inference"]["flip"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"nme": 1}}, "'loss.nme' is not read.*; did you mean 'loss.name'"),
        ({"eval": {"inference": {"flop": 1}}}, "'eval.inference.flop' is not read"),
        ({"dataset": {"augmentation": 3}}, "'dataset.augmentation' must be a section"),
    ],
)
def test_mistakes_in_sections_of_the_task_are_found_at_the_entry(changes, message):
    with pytest.raises(ConfigError, match=message):
        read_config(changes)


def test_notebooks_build_a_configuration_from_a_public_name():
    config = hrnet_jax.default_config("segmentation")
    assert to_json(config) == to_json(default_config("segmentation"))
