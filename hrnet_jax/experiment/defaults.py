"""Default configurations, experiment literals, and comparison of configurations."""

import copy
import dataclasses
import functools
import json
import operator
from collections.abc import Mapping
from typing import Any

import ml_collections

from hrnet_jax.config.options import dotted_keys, unknown_key_message
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.registry import get_spec, get_task

# What may differ between the run that made a work directory and the one that resumes
# it: places and reporting, nothing that changes the weights.
CHANGEABLE = (
    "checkpoint",
    "dataset.data_dir",
    "dataset.cache_dir",
    "dataset.threads",
    "dataset.workers",
    "eval",
    "logging",
    "mesh",
    "model.lanes",
    "model.remat",
)

# None would fix the type of these keys to "nothing".
_NULLABLE = {
    "align_corners": bool,
    "lanes": int,
    "init_inplace_abn": bool,
    "representation": str,
    "upsample": str,
}


def default_config(task: str) -> ml_collections.ConfigDict:
    """A complete, locked ConfigDict for an experiment file.

    Every key is there, the task's own sections included, so every key can be
    set from the command line. Values are those of the task's `recipe` where it has
    one, else the defaults of `TrainConfig`. Models without a task have no sections of
    one.
    """
    spec = get_spec(task)  # first, as an edited file may have anything for a task
    config = ml_collections.ConfigDict(dataclasses.asdict(TrainConfig(task=task)))
    for key, value_type in _NULLABLE.items():
        config.model[key] = ml_collections.config_dict.placeholder(value_type)
    if spec.task is None:
        return config.lock()
    task_class = get_task(task)
    config.loss = dataclasses.asdict(task_class.Loss())
    config.dataset.augmentation = dataclasses.asdict(task_class.Augmentation())
    config.eval.inference = dataclasses.asdict(task_class.Inference())
    config.update_from_flattened_dict(task_class.recipe)
    return config.lock()


def experiment(
    task: str, *recipes: Mapping[str, Any], **sections: Any
) -> ml_collections.ConfigDict:
    """A configuration that is written as one nested literal.

        experiment("segmentation", adamw(1e-3), model={"name": "segmentation/w18"})

    Args:
        task: one of `registry.task_names()`; what is not given is as in `default_config`.
        *recipes: nested keys, as those of `experiment.recipes`.
        **sections: nested keys, which win over recipes.

    Raises:
        ConfigError: for a key that is not there or a value of another type.
    """
    config = default_config(task)
    for values in (*recipes, sections):
        update(config, values)
    return config


def update(
    config: ml_collections.ConfigDict,
    values: Mapping[str, Any],
    path: str = "",
    whole: ml_collections.ConfigDict | None = None,
) -> None:
    """Sets nested keys of a configuration in place.

    Args:
        config: a configuration, or a section of one.
        values: nested keys.
        path: dotted path of the section, for messages.
        whole: what the section belongs to, for messages.

    Raises:
        ConfigError: for a key that is not there or a value of another type.
    """
    whole = config if whole is None else whole
    for key, value in values.items():
        dotted = f"{path}.{key}" if path else key
        if key not in config:
            raise ConfigError(unknown_key_message(dotted, config, dotted_keys(whole)))
        present = config[key]
        # Sections whose keys are free are empty here.
        if isinstance(present, ml_collections.ConfigDict) and len(present):
            if not isinstance(value, Mapping):
                raise ConfigError(
                    f"config key {dotted!r} must be a section of keys, got {value!r}"
                )
            update(present, value, dotted, whole)
            continue
        try:
            config[key] = value
        except TypeError:
            expected = config.get_type(key).__name__
            raise ConfigError(
                f"config key {dotted!r} must be a value of type {expected}, "
                f"got {value!r}"
            ) from None


def value_of(config: ml_collections.ConfigDict, dotted: str) -> Any:
    """The value of a dotted key; sections as plain dicts."""
    value = functools.reduce(operator.getitem, dotted.split("."), config)
    return value.to_dict() if isinstance(value, ml_collections.ConfigDict) else value


def make_debug(
    config: ml_collections.ConfigDict, crop_size: tuple[int, int] = (64, 64)
) -> None:
    """Makes an experiment its own `debug` form, in place: four steps, small crops.

    A second phase has two steps. Batches are as small as the devices that are there
    when it runs allow. Everything else stays as it is, so the run goes through the same
    code.
    """
    config.num_steps = 4
    if config.extra.split:
        config.extra.num_steps = 2
    config.schedule.warmup_steps = min(config.schedule.warmup_steps, 1)
    config.batch_size = 2
    config.mesh.round_up_batch = True
    config.model.norm_groups = 1
    size_option = get_spec(config.task).size_option
    if size_option:
        config.dataset.augmentation[size_option] = crop_size
    config.eval.batch_size = 2
    config.eval.every_steps, config.eval.every_epochs = 2, 0
    config.eval.pictures = 1
    config.logging.every_steps = 1


def to_json(config: Any) -> dict:
    """A configuration as plain JSON values (tuples become lists)."""
    if isinstance(config, TrainConfig):
        config = dataclasses.asdict(config)
    plain = config.to_dict() if hasattr(config, "to_dict") else copy.deepcopy(config)
    return json.loads(json.dumps(plain))


def with_defaults(config: dict) -> dict:
    """A JSON configuration with every key; absent ones take their defaults.

    Work directories of earlier versions lack the keys that came later.
    """

    def over(defaults: dict, values: dict) -> dict:
        merged = dict(defaults)
        for key, value in values.items():
            nested = isinstance(value, dict) and isinstance(defaults.get(key), dict)
            merged[key] = over(defaults[key], value) if nested else value
        return merged

    return over(to_json(default_config(config.get("task", TrainConfig.task))), config)


def changed_keys(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Keys, outside `CHANGEABLE`, in which two JSON configurations differ."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        dotted = prefix + key
        if dotted in CHANGEABLE:
            continue
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += changed_keys(a, b, dotted + ".")
        elif a != b:
            found.append(f"{dotted}: {a!r} there, {b!r} here")
    return found
