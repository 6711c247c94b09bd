"""Configurations of runs edited by hand, and changes as users type them."""

import pytest
from hypothesis import strategies

from hrnet_jax.config import assignments, experiment_flags
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, HRNetError
from hrnet_jax.experiment.build import build_for_inference
from hrnet_jax.experiment.defaults import default_config, to_json
from hrnet_jax.experiment.loading import load_config
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.registry import get_spec
from hrnet_jax.training.train import check_workdir
from hrnet_jax.workdir.files import CONFIG_FILE
from hrnet_jax.workdir.opening import read_run_config
from tests.damaging import json_files
from tests.foreign import COUNTS, only_our_errors

TASKS = {"segmentation": "w18_small_v1", "landmarks": "w18", "pose": "w32"}


def document(task: str) -> dict:
    """The configuration of a run of a task, as it is stored."""
    config = default_config(task)
    config.model.name = f"{task}/{TASKS[task]}"
    if task == "segmentation":
        config.model.options = {"head_bias": True}
    return to_json(config)


def info_of(task: str) -> DatasetInfo:
    return get_spec(task).numbered_info("made_up", 4)


# Fewer than of a reader that is done where it has read: each builds a network.
SOME = [40, pytest.param(500, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", SOME, ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_an_edited_configuration_is_built_or_named(task, count, tmp_path):
    """To predict, evaluate, resume, and repeat with `--config=RUN/config.json`."""
    path = tmp_path / CONFIG_FILE
    info, whole = info_of(task), document(task)

    def predict() -> None:
        build_for_inference(read_config(read_run_config(tmp_path)), info)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for way in (
            predict,
            lambda: load_config(path),
            lambda: check_workdir(tmp_path, whole),
        ):
            try:
                way()
            except HRNetError as error:
                assert "\n" not in str(error)

    only_our_errors(read, json_files(document(task)), count)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 3}, "'model.options.num_classes' is decided elsewhere"),
        ({"norm": "frozen"}, "'model.options.norm' is decided elsewhere"),
        ({"name": "x"}, "'model.options.name' is decided elsewhere"),
        ({"head_bias": "no"}, "'head_bias' of .* must be of type bool, got 'no'"),
        ({"a.b": 1}, "has no option 'a.b'"),
    ],
)
def test_an_option_of_the_model_that_cannot_be_is_named(options, message):
    values = document("segmentation")
    values["model"]["options"] = options
    with pytest.raises(ConfigError, match=message):
        build_for_inference(read_config(values), info_of("segmentation"))


KEYS = ["batch_size", "model.name", "eval.inference.flip", "schedule.boundaries"]
KEYS += ["model.options", "loss", "mesh.space", "model.lanes", "seed", "", ".", "eval."]
KEYS += ["schedule..decay", "model.options.stride", "optimizer.multipliers", "a=b"]
VALUES = [
    "",
    "1",
    "-1",
    "1e999",
    "nan",
    "None",
    "null",
    "true",
    "True",
    "[1,2]",
    "(1,)",
]
VALUES += ["{}", '{"a": 1}', "{1, 2}", "b'x'", "'\\d'", "1" * 5000, "[" * 3000, "\0"]
VALUES += ["x=y", " 3 ", "0x10", "1_000", "\u0663", "...", "f'{x}'", "lambda: 0", "3j"]


def typed() -> strategies.SearchStrategy:
    """`KEY=VALUE` as it may be typed, known keys and not."""
    free = strategies.text("a.=-_1e+,:'\"[]{}()\\ \u00e9", max_size=8)
    keys = strategies.one_of(strategies.sampled_from(KEYS), free)
    values = strategies.one_of(strategies.sampled_from(VALUES), free)
    equals = strategies.sampled_from(["=", "=", "=", "", "=="])
    return strategies.tuples(keys, equals, values).map("".join)


@pytest.mark.parametrize("count", COUNTS, ids=str)
def test_a_change_of_a_configuration_is_made_or_named(count):
    """`evaluate.py --config.KEY=VALUE`, and free options of `convert.py`."""
    plain = document("segmentation")

    def read(change: str) -> None:
        try:
            assignments.parse([change], "model option")
        finally:
            read_config(assignments.with_overrides(plain, [change]))

    only_our_errors(read, typed(), count)


# Fewer: each defines some ninety flags anew.
FLAGS = [40, pytest.param(1_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", FLAGS, ids=str)
def test_a_flag_of_a_configuration_is_set_or_named(count):
    """`train.py --config.KEY=VALUE`."""

    def read(change: str) -> None:
        config = default_config("segmentation")
        read_config(experiment_flags.with_changes(config, [f"--config.{change}"]))

    only_our_errors(read, typed(), count)


EXPERIMENT = """
from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import default_config

def get_config(text=None):
    options = parse_options(text, variant="w18", debug=False, rate=0.1, classes=(1, 2))
    return default_config("segmentation")
"""
OPTIONS = ["debug", "variant=w48", "rate=1", "rate=x", "debug=maybe", "=", ",", "x", ""]
OPTIONS += ["classes=1", "classes=0-9", ":", "rate=nan", "variant", "\0", "\u00e9=1"]


@pytest.mark.parametrize("count", SOME, ids=str)
def test_a_name_of_an_experiment_is_loaded_or_named(count, tmp_path):
    (tmp_path / "a.py").write_text(EXPERIMENT)
    (tmp_path / "b.json").write_text("{}")
    names = [
        "a.py",
        "a.py:",
        "b.json",
        "b.json:x",
        "a",
        "",
        ".",
        "c.py",
        "a.py/b",
        "\0",
    ]
    names += ["x" * 300, "a.txt", "..", ":", "a.py::debug"]
    options = strategies.lists(strategies.sampled_from(OPTIONS), max_size=3)
    inputs = strategies.tuples(strategies.sampled_from(names), options.map(",".join))

    def read(one: tuple[str, str]) -> None:
        load_config(f"{tmp_path}/{one[0]}" + f":{one[1]}" * bool(one[1]))

    only_our_errors(read, inputs, count)
