"""Configurations: every key is read, every wrong one is named."""

import ast
import dataclasses
import functools
import json
import pathlib

import ml_collections
import pytest
from absl import flags
from ml_collections import config_flags

import hrnet_jax
from hrnet_jax.config.assignments import with_overrides
from hrnet_jax.config.options import dotted_keys
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.build import build_for_inference
from hrnet_jax.experiment.defaults import (
    CHANGEABLE,
    changed_keys,
    default_config,
    experiment,
    to_json,
    value_of,
    with_defaults,
)
from hrnet_jax.experiment.description import describe
from hrnet_jax.experiment.schema import (
    TASK_SECTIONS,
    TrainConfig,
    keys_of_run,
    read_config,
)
from hrnet_jax.experiment.sections import OPTIMIZERS, SCHEDULES
from hrnet_jax.models.initialization import INITIALIZERS
from hrnet_jax.models.normalization import CHANNEL_ORDERS
from hrnet_jax.models.rematerialisation import POLICIES
from hrnet_jax.models.resize import EXCHANGE_METHODS
from hrnet_jax.registry import get_task, task_names
from hrnet_jax.training.build import build_task
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.training.train import train


def option_classes():
    """Every options dataclass of the configuration."""
    found, todo = [], [TrainConfig]
    for task in map(get_task, task_names()):
        todo += [getattr(task, name) for name in TASK_SECTIONS.values()]
    while todo:
        cls = todo.pop()
        if cls not in found:
            found.append(cls)
            types = (field.type for field in dataclasses.fields(cls))
            todo += [kind for kind in types if dataclasses.is_dataclass(kind)]
    return sorted(found, key=lambda cls: cls.__name__)


@functools.cache
def attributes_read():
    """Names read as attributes, outside the `__post_init__` that checks them."""
    names = set()
    for path in pathlib.Path(hrnet_jax.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "__post_init__":
                node.body = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names.add(node.attr)
    return names


def test_the_scan_finds_the_nested_options():
    names = {cls.__name__ for cls in option_classes()}
    assert {"TrainConfig", "ModelOptions", "LossOptions", "InferenceOptions"} <= names


@pytest.mark.parametrize("cls", option_classes(), ids=lambda cls: cls.__name__)
def test_every_key_is_read_somewhere(cls):
    keys = {field.name for field in dataclasses.fields(cls)}
    assert keys - attributes_read() == set()


@pytest.mark.parametrize("task", task_names())
def test_the_defaults_are_complete_and_readable(task):
    config = default_config(task)
    options = read_config(config)
    assert to_json(dataclasses.asdict(options)) == to_json(config)
    assert to_json(dataclasses.asdict(read_config(to_json(config)))) == to_json(config)
    for dotted, name in TASK_SECTIONS.items():
        section = config
        for key in dotted.split("."):
            section = section[key]
        expected = {
            field.name for field in dataclasses.fields(getattr(get_task(task), name))
        }
        assert set(section) == expected
    for field in dataclasses.fields(TrainConfig):
        assert field.name in config


# Keys that notebooks and outside checks set.
FIXED_KEYS = (
    "dataset.name",
    "dataset.data_dir",
    "model.name",
    "model.init_from",
    "batch_size",
    "num_epochs",
    "num_steps",
    "eval.every_steps",
    "checkpoint.every_steps",
    "mesh.data",
    "mesh.space",
    "precision",
    "seed",
)


@pytest.mark.parametrize("dotted", FIXED_KEYS)
def test_the_defaults_have_every_fixed_key(dotted):
    section = default_config("segmentation")
    for key in dotted.split("."):
        assert key in section
        section = section[key]


def test_an_experiment_cannot_invent_a_key():
    config = default_config("segmentation")
    with pytest.raises(AttributeError, match="batchsize"):
        config.batchsize = 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batchsize": 4}, "'batchsize' is not read.*did you mean 'batch_size'"),
        (
            {"lerning_rate": 4},
            "did you mean 'extra.learning_rate' or 'schedule.learning_rate'. .known keys",
        ),
        ({"eval": {"decay": 1}}, "'eval.decay' is .* you mean 'schedule.decay'. .kn"),
        ({"model": {"nam": "x"}}, "'model.nam' is not read.*did you mean 'model.name'"),
        ({"eval": {"batch": 1}}, "'eval.batch' is not read by anything"),
        ({"batch_size": "8"}, "'batch_size' must be a value of type int, got '8'"),
        ({"batch_size": 8.0}, "'batch_size' must be a value of type int, got 8.0"),
        ({"seed": True}, "'seed' must be a value of type int, got True"),
        ({"model": "w18"}, "'model' must be a section of keys, got 'w18'"),
        ({"model": {"remat": 1}}, "'model.remat' must be one of none, .*, got 1"),
        ({"model": {"remat": "block"}}, "'model.remat' must be one of .*, got 'block'"),
        ({"model": {"init_skip": "head"}}, "'model.init_skip' must be a tuple or list"),
        ({"precision": "float16"}, "'precision' must be float32 or bfloat16"),
        ({"batch_size": 0}, "'batch_size' must be a positive multiple"),
        (
            {"batch_size": 6, "optimizer": {"accumulate": 4}},
            "'batch_size' must be a positive multiple of optimizer.accumulate=4, got 6",
        ),
        ({"optimizer": {"name": "lion"}}, "optimizer.name 'lion'; expected one of sgd"),
        ({"schedule": {"name": "exp"}}, "schedule.name 'exp'; expected one of poly"),
    ],
)
def test_names_the_key_at_fault(changes, message):
    with pytest.raises(ConfigError, match=message):
        read_config(changes)


@pytest.mark.parametrize("task", task_names(trainable=True))
def test_every_key_has_a_meaning_and_a_value(task):
    config = default_config(task)
    for key in keys_of_run(task):
        assert key.meaning.endswith("."), f"{key.dotted} is not in the docstring"
        value_of(config, key.dotted)
    names = {key.dotted for key in keys_of_run(task)}
    sections = {name for name in dotted_keys(config) if f"{name}." in str(names)}
    assert set(dotted_keys(config)) == names | sections


def test_meanings_name_what_is_allowed():
    said = {key.dotted: key.meaning for key in keys_of_run("segmentation")}
    allowed = {
        "task": task_names(),
        "model.upsample": EXCHANGE_METHODS,
        "model.norm": ("batch", "frozen"),
        "model.initializer": INITIALIZERS,
        "model.normalization.channel_order": CHANNEL_ORDERS,
        "model.remat": POLICIES,
        "optimizer.name": OPTIMIZERS,
        "schedule.name": SCHEDULES,
    }
    for key, values in allowed.items():
        for value in values:
            assert f"`{value}`" in said[key], key


def test_a_configuration_is_described_key_by_key():
    config = experiment("landmarks", {"schedule": {"learning_rate": 0.5}})
    lines = describe(config).splitlines()
    place = lines.index("schedule.learning_rate: float = 0.5")
    assert lines[place + 1] == "    base rate."
    assert "model.lanes: int or None = None" in lines
    assert "loss.name: text = 'mse'" in lines
    assert "dataset.augmentation.crop_size: (int, int) = (256, 256)" in lines
    assert "optimizer.multipliers: list of (text, float) = ()" in lines
    assert max(map(len, lines)) <= 88


def test_unknown_task():
    with pytest.raises(
        ConfigError, match="unknown task 'depth'; expected one of cl.*, seg"
    ):
        default_config("depth")


def test_differences_names_keys_and_values():
    old = to_json(default_config("segmentation"))
    new = json.loads(json.dumps(old))
    assert changed_keys(old, new) == []
    new["batch_size"] = 3
    new["model"]["name"] = "segmentation/w48"
    del new["seed"]
    assert changed_keys(old, new) == [
        "batch_size: 8 there, 3 here",
        "model.name: '' there, 'segmentation/w48' here",
        "seed: 0 there, None here",
    ]


def test_keys_that_came_later_take_their_defaults():
    new = to_json(default_config("segmentation"))
    old = json.loads(json.dumps(new))
    del old["model"]["normalization"], old["loss"], old["eval"]["inference"]["flip"]
    assert changed_keys(with_defaults(old), with_defaults(new)) == []
    old["model"]["normalization"] = {"channel_order": "bgr"}
    assert changed_keys(with_defaults(old), new) == [
        "model.normalization.channel_order: 'bgr' there, 'rgb' here"
    ]


def test_places_and_reporting_may_change():
    old = to_json(default_config("segmentation"))
    new = with_overrides(
        old,
        [
            "dataset.data_dir=elsewhere",
            "dataset.workers=3",
            "eval.every_steps=7",
            "logging.every_steps=7",
            "mesh.data=2",
            "checkpoint.keep_best=3",
            "model.remat=true",
        ],
    )
    assert new != old and changed_keys(old, new) == []
    for dotted in CHANGEABLE:
        section = old
        for key in dotted.split("."):
            section = section[key]


@pytest.mark.parametrize(
    ("text", "policy"),
    [("blocks", "blocks"), ("true", "modules"), ("false", "none")],
)
def test_recomputation_is_chosen_as_a_word_or_as_the_boolean_it_was(text, policy):
    values, line = flags.FlagValues(), ["train.py", f"--config.model.remat={text}"]
    config_flags.DEFINE_config_dict(
        "config", default_config("segmentation"), flag_values=values, sys_argv=line
    )
    values(line)
    assert read_config(values.config).model.remat == policy
    saved = to_json(default_config("segmentation"))
    changed = with_overrides(saved, [f"model.remat={text}"])
    assert read_config(changed).model.remat == policy
    assert changed_keys(changed, saved) == []


def test_to_json_copies_plain_dictionaries_and_configs_alike():
    config = ml_collections.ConfigDict({"a": (1, 2), "b": {"c": None}})
    expected = {"a": [1, 2], "b": {"c": None}}
    assert to_json(config) == to_json(config.to_dict()) == expected


@pytest.mark.parametrize("task", ["pyramid"])
def test_tasks_that_only_predict_say_so(task, tmp_path):
    config = default_config(task)
    config.model.name = f"{task}/w18_small_v1"
    names = ("a", "b")
    info = DatasetInfo("x", 0, (), (), point_names=names, image_class_names=names)
    message = f"'task' is '{task}', which predicts but cannot be trained.*segmentation"
    with pytest.raises(ConfigError, match=message):
        build_task(read_config(config), info)
    # Before anything is said about data, which such a configuration does not name.
    for entry in (train, evaluate):
        with pytest.raises(ConfigError, match=message):
            entry(config, tmp_path)
    run = build_for_inference(read_config(config), info)
    assert run.model.output_kind == task
