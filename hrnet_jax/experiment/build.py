"""From a configuration to the network and the task that predicts with it."""

from typing import Any

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.model import Model
from hrnet_jax.registry import create_model, get_task, lanes_for
from hrnet_jax.tasks.protocol import Predicts


def build_model(config: TrainConfig, info: DatasetInfo) -> Model:
    """The network of a configuration, for a data set's classes or points."""
    options = config.model
    chosen: dict[str, Any] = {
        "representation": options.representation,
        "align_corners": options.align_corners,
        "upsample": options.upsample,
    }
    lanes = options.lanes
    if lanes is None:
        lanes = lanes_for(options.name, config.precision)
    norm = NormOptions(
        mode=options.norm,
        momentum=options.norm_momentum,
        epsilon=options.norm_epsilon,
        groups=options.norm_groups,
    )
    decided = {
        "norm": norm,
        "dtype": config.precision,
        "remat": options.remat,
        "lanes": lanes,
        **get_task(config.task).model_options(info),
        **{key: value for key, value in chosen.items() if value is not None},
    }
    twice = sorted(options.options.keys() & {"name", *decided})
    if twice:
        raise ConfigError(
            f"config key 'model.options.{twice[0]}' is decided elsewhere: number and "
            "names of outputs by the data set, all else by the other keys of 'model'"
        )
    return create_model(options.name, **decided, **options.options)


def build_for_inference(config: TrainConfig, info: DatasetInfo) -> Predicts:
    """The task of a configuration, to predict for single images."""
    # What a class takes besides its protocol is its own option classes.
    task_class: Any = get_task(config.task)
    options = inference_options(config)
    return task_class(build_model(config, info), info, **options)


def inference_options(config: TrainConfig) -> dict[str, Any]:
    """Arguments of the task for predicting and training, except the model."""
    if not config.model.name.startswith(f"{config.task}/"):
        raise ConfigError(
            f"config key 'model.name' must be a {config.task} model, "
            f"got {config.model.name!r}"
        )
    return {
        "augmentation": config.dataset.augmentation,
        "inference": config.eval.inference,
        "normalization": config.model.normalization,
    }
