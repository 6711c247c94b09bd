"""The configuration of a run, and how experiment files make one."""

import copy
import dataclasses
import json
from typing import Any

import ml_collections

from hrnet_jax.config.options import read_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.models.rematerialisation import remat_policy
from hrnet_jax.registry import get_spec, get_task
from hrnet_jax.training.optimizers import OptimizerOptions
from hrnet_jax.training.schedules import ScheduleOptions
from hrnet_jax.workdir.checkpoints import CheckpointOptions


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """The network and where its first weights come from.

    Attributes:
        name: for `create_model`, for example `segmentation/w18`.
        representation: `v1`, `v1h`, `v2`; None keeps the family's default.
        align_corners: of bilinear upsampling; None keeps the family's default.
        upsample: method inside the exchange, instead of `align_corners`.
        options: further attributes of the model (`head_bias`, `levels`, ...).
        normalization: of images, as the weights were trained.
        norm: batch-norm mode, `batch` or `frozen`.
        norm_momentum: weight of the new batch in the running statistics.
        norm_epsilon: added to the variance.
        remat: what the backward pass computes again to save memory: `none`,
            `modules`, `blocks` or `convolutions` (see `models.rematerialisation`);
            the booleans of earlier configurations mean `modules` and `none`.
        lanes: channels that narrow branches are packed to, 0 for none (see
            `models.packing`); None takes what the devices have.
        initializer: `he` or `official` (normal, standard deviation 0.001).
        init_from: a `.pth` or `.safetensors` file of any code base that
            `scripts/convert.py` reads, one of our work directories, or nothing.
        init_skip: patterns of parameter names to leave at their initial values.
        init_partial: take what has the right name and shape and report the rest,
            instead of failing where anything differs.
        init_inplace_abn: `init_from` was trained with InPlaceABN; None leaves it to
            the record of a released file and to the batch counters.
    """

    name: str = ""
    representation: str | None = None
    align_corners: bool | None = None
    upsample: str | None = None
    options: dict = dataclasses.field(default_factory=dict)
    normalization: Normalization = Normalization()
    norm: str = "batch"
    norm_momentum: float = 0.1
    norm_epsilon: float = 1e-5
    # Any: read with a message of its own, as earlier values were booleans.
    remat: Any = "none"
    lanes: int | None = None
    initializer: str = "he"
    init_from: str = ""
    init_skip: tuple[str, ...] = ()
    init_partial: bool = False
    init_inplace_abn: bool | None = None

    def __post_init__(self):
        object.__setattr__(self, "remat", remat_policy(self.remat))


@dataclasses.dataclass(frozen=True)
class DatasetOptions:
    """Where samples come from.

    Attributes:
        name: a prepared data set.
        data_dir: folder of all prepared data sets.
        train_split: split to train on.
        eval_split: split that ranks checkpoints during training.
        test_split: split reported once at the end; empty for `eval_split`.
        workers: worker processes; 0 reads in threads.
        threads: reading threads where `workers` is 0.
        augmentation: training transforms, a section of the task.
    """

    name: str = ""
    data_dir: str = "data"
    train_split: str = "train"
    eval_split: str = "val"
    test_split: str = ""
    workers: int = 0
    threads: int = 4
    augmentation: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Evaluation during and after training.

    Attributes:
        every_steps: distance between evaluations; 0 evaluates only at the end.
        batch_size: images per evaluation batch.
        pictures: predictions drawn at the end of training.
        inference: a section of the task.
    """

    every_steps: int = 1000
    batch_size: int = 4
    pictures: int = 8
    inference: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class MeshOptions:
    """How devices divide the batch; see `runtime.make_mesh`."""

    data: int = -1
    space: int = 1


@dataclasses.dataclass(frozen=True)
class LoggingOptions:
    """What a run tells while it goes on.

    Attributes:
        every_steps: distance between lines of `metrics.jsonl`.
        progress: show a progress bar.
        tensorboard: write TensorBoard events.
        tensorboard_pictures: predictions drawn into the events per evaluation.
        profile_start: first step of a profile; 0 for none.
        profile_steps: number of profiled steps.
    """

    every_steps: int = 50
    progress: bool = True
    tensorboard: bool = True
    tensorboard_pictures: int = 2
    profile_start: int = 0
    profile_steps: int = 5


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A whole run, read from a ConfigDict by `read_config`.

    Attributes:
        seed: of initial weights, order, augmentation and dropout.
        task: one of `registry.task_names()`.
        loss: a section of the task.
        batch_size: global, over all devices and micro-batches.
        num_epochs: passes over the training set, whole batches only.
        num_steps: updates; wins over `num_epochs` when positive.
        precision: compute type, `float32` or `bfloat16`.
    """

    seed: int = 0
    task: str = "segmentation"
    model: ModelOptions = ModelOptions()
    dataset: DatasetOptions = DatasetOptions()
    loss: dict = dataclasses.field(default_factory=dict)
    optimizer: OptimizerOptions = OptimizerOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    batch_size: int = 8
    num_epochs: int = 0
    num_steps: int = 0
    eval: EvalOptions = EvalOptions()
    checkpoint: CheckpointOptions = CheckpointOptions()
    mesh: MeshOptions = MeshOptions()
    precision: str = "float32"
    logging: LoggingOptions = LoggingOptions()

    def __post_init__(self):
        if self.precision not in ("float32", "bfloat16"):
            raise ConfigError(
                f"config key 'precision' must be float32 or bfloat16, "
                f"got {self.precision!r}"
            )
        if self.batch_size < 1 or self.batch_size % self.optimizer.accumulate:
            raise ConfigError(
                f"config key 'batch_size' must be a positive multiple of "
                f"optimizer.accumulate={self.optimizer.accumulate}, "
                f"got {self.batch_size}"
            )


# What may differ between the run that made a work directory and the one that
# goes on in it: places and reporting, nothing that changes the weights.
CHANGEABLE = (
    "checkpoint",
    "dataset.data_dir",
    "dataset.threads",
    "dataset.workers",
    "eval",
    "logging",
    "mesh",
    "model.lanes",
    "model.remat",
)


def read_config(config: Any) -> TrainConfig:
    """Checks a configuration.

    Args:
        config: a ConfigDict or nested dict with keys of `TrainConfig`.

    Raises:
        ConfigError: for a key that nobody reads or a value of the wrong type.
    """
    return read_options(TrainConfig, config)


def default_config(task: str) -> ml_collections.ConfigDict:
    """A complete, locked ConfigDict for an experiment file.

    Every key is there, the task's own sections included, so every key can be
    set from the command line. Values are those of the task's `recipe` where it has
    one, else the defaults of `TrainConfig`.
    """
    task_class = get_task(task)
    config = ml_collections.ConfigDict(dataclasses.asdict(TrainConfig(task=task)))
    config.loss = dataclasses.asdict(task_class.Loss())
    config.dataset.augmentation = dataclasses.asdict(task_class.Augmentation())
    config.eval.inference = dataclasses.asdict(task_class.Inference())
    # None would fix the type of the key to "nothing".
    config.model.align_corners = ml_collections.config_dict.placeholder(bool)
    config.model.lanes = ml_collections.config_dict.placeholder(int)
    config.model.init_inplace_abn = ml_collections.config_dict.placeholder(bool)
    config.model.representation = ml_collections.config_dict.placeholder(str)
    config.model.upsample = ml_collections.config_dict.placeholder(str)
    config.update_from_flattened_dict(task_class.recipe)
    return config.lock()


def parse_options(text: str, **defaults: Any) -> ml_collections.ConfigDict:
    """Reads the options after the colon of `--config=file.py:variant=w48,debug`.

    Args:
        text: comma-separated `key=value` or bare `key` (true).
        **defaults: the options there are; values give the types.

    Raises:
        ConfigError: for an unknown option or a value of the wrong type.
    """
    options = dict(defaults)
    for part in filter(None, (text or "").split(",")):
        key, _, value = part.partition("=")
        if key not in defaults:
            raise ConfigError(
                f"unknown experiment option {key!r}; "
                f"expected one of {', '.join(defaults)}"
            )
        kind = type(defaults[key])
        try:
            if kind is bool:
                options[key] = {"": True, "true": True, "false": False}[value.lower()]
            else:
                options[key] = kind(value)
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"experiment option {key}={value!r} is not a {kind.__name__}"
            ) from error
    return ml_collections.ConfigDict(options)


def shorten(
    config: ml_collections.ConfigDict, crop_size: tuple[int, int] = (64, 64)
) -> None:
    """Makes an experiment its own `debug` form, in place: four steps, small crops.

    Everything else stays as it is, so the run goes through the same code.
    """
    config.num_steps = 4
    config.schedule.warmup_steps = min(config.schedule.warmup_steps, 1)
    config.batch_size = 2
    size_option = get_spec(config.task).size_option
    if size_option:
        config.dataset.augmentation[size_option] = crop_size
    config.eval.batch_size = 2
    config.eval.every_steps = 2
    config.eval.pictures = 1
    config.logging.every_steps = 1


def to_json(config: Any) -> dict:
    """A configuration as plain JSON values (tuples become lists)."""
    plain = config.to_dict() if hasattr(config, "to_dict") else copy.deepcopy(config)
    return json.loads(json.dumps(plain))


def completed(config: dict) -> dict:
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


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Keys, outside `CHANGEABLE`, in which two JSON configurations differ."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        dotted = prefix + key
        if dotted in CHANGEABLE:
            continue
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, dotted + ".")
        elif a != b:
            found.append(f"{dotted}: {a!r} there, {b!r} here")
    return found


def override(config: dict, assignments: list[str]) -> dict:
    """Sets dotted keys of a JSON configuration, `eval.batch_size=1`.

    Values are JSON where they parse as JSON and text otherwise.

    Raises:
        ConfigError: for an assignment without `=` or a key that is not there.
    """
    config = copy.deepcopy(config)
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        *parents, key = dotted.split(".")
        section = config
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not equals or not isinstance(section, dict) or key not in section:
            raise ConfigError(
                f"cannot set {assignment!r}: expected KEY=VALUE with a key of the "
                "configuration, for example eval.batch_size=1"
            )
        try:
            section[key] = json.loads(text)
        except json.JSONDecodeError:
            section[key] = text
    return config
