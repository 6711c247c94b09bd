"""Weights of classes that are counted in the data when a run begins."""

import dataclasses
import logging

from hrnet_jax.data.class_weights import RULES
from hrnet_jax.data.info import DatasetInfo, label_pixels
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.experiment.schema import TrainConfig, read_config
from hrnet_jax.tasks.protocol import WeighsClasses
from hrnet_jax.training.build import open_split

_log = logging.getLogger(__name__)


def with_class_weights(config: TrainConfig, begun: dict | None = None) -> TrainConfig:
    """Counts the weights of classes, where the options of the loss ask for it.

    Args:
        config: of a run.
        begun: JSON of the configuration that the run was begun with, if it was. The
            weights of then stay, whatever became of the data.

    Raises:
        ConfigError: if weights are given, and differ from what is counted.
        DataError: if the data set is not there, or has no pixels to count.
    """
    loss = config.loss
    if not isinstance(loss, WeighsClasses) or not loss.class_weights_from:
        return config
    rule, given = loss.class_weights_from, loss.class_weights
    before = read_config(begun).loss if begun is not None else None
    if isinstance(before, WeighsClasses) and before.class_weights_from == rule:
        return _with(config, before.class_weights)
    split = config.dataset.train_split
    found = counted(open_split(config, split).info, rule, split)
    if given not in ((), found):
        raise ConfigError(
            f"config key 'loss.class_weights_from' is {rule!r}, which counts "
            f"{found[:3]}... in split {split!r} of {config.dataset.name}, but "
            f"'loss.class_weights' is {given[:3]}...; expected one of them: "
            "--config.loss.class_weights='()' counts anew"
        )
    _log.info("loss.class_weights by %s: %s", rule, found)
    return _with(config, found)


def counted(info: DatasetInfo, rule: str, split: str) -> tuple[float, ...]:
    """Weights of classes by one of `data.class_weights.RULES`, to six digits.

    Raises:
        DataError: if nobody counted the pixels of the split, or there are none.
    """
    if not label_pixels(info, split).any():
        raise DataError(
            f"split {split!r} of data set {info.name!r} has no labelled pixels to count "
            "weights of classes from (loss.class_weights_from)"
        )
    return tuple(float(f"{weight:.6g}") for weight in RULES[rule](info, split))


def _with(config: TrainConfig, weights: tuple[float, ...]) -> TrainConfig:
    loss = dataclasses.replace(config.loss, class_weights=weights)
    return dataclasses.replace(config, loss=loss)
