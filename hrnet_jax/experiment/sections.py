"""Options of a run, section by section.

Apart from the code that acts on them, so that a configuration can be read on a machine
without optimizers, data readers and the like.
"""

import dataclasses
import math
from typing import Any

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.models.rematerialisation import remat_policy

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("poly", "cosine", "step", "constant")
WARMUPS = ("linear", "constant")
WANDB_MODES = ("online", "offline", "disabled")

# Value of an interval key that is not set, and the steps that then apply.
UNSET = -1
USUAL_STEPS = 1000


def _check_interval(section: str, steps: int, least: int, other: str, value: float):
    """Checks that not more than one of two interval keys is set."""
    if steps != UNSET and steps < least:
        raise ConfigError(
            f"config key '{section}.every_steps' must be at least {least}, or {UNSET} "
            f"where it is not set; got {steps}"
        )
    if value < 0:
        raise ConfigError(
            f"config key '{section}.{other}' must be positive, or 0 where it is not "
            f"set; got {value}"
        )
    if steps != UNSET and value:
        raise ConfigError(
            f"config keys '{section}.every_steps' ({steps}) and '{section}.{other}' "
            f"({value}) are both set; expected one of them: {section}.every_steps="
            f"{UNSET} or {section}.{other}=0 unsets the other"
        )


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """The network and where its first weights come from.

    Attributes:
        name: task and variant, for example `segmentation/w18`; `scripts/models.py`
            lists all.
        representation: `v1`, `v1h`, `v2`; None keeps the family's default.
        align_corners: of bilinear upsampling; None keeps the family's default.
        upsample: method inside the exchange, instead of `align_corners`: `bilinear`,
            `align_corners`, `nearest` or `bilinear_by_factor`.
        options: further attributes of the model (`head_bias`, `levels`, ...).
        normalization: of images, as the weights were trained.
        norm: batch-norm mode, `batch` or `frozen`.
        norm_momentum: weight of the new batch in the running statistics.
        norm_epsilon: added to the variance.
        norm_groups: parts of a training batch (of a micro-batch) with statistics of their
            own, as each GPU of the official code had; a multiple of the devices along
            `mesh.data` spares them their exchange. 1 for statistics of the whole batch.
        remat: what the backward pass computes again to save memory: `none`,
            `modules`, `blocks` or `convolutions` (see `models.rematerialisation`);
            the booleans of earlier configurations mean `modules` and `none`.
        lanes: channels that narrow branches are packed to, 0 for none (see
            `models.packing`); None takes what the devices have.
        initializer: `he` or `official` (normal, standard deviation 0.001).
        init_from: a `.pth` or `.safetensors` file of any code base that
            `scripts/convert.py` reads, its `https://` address, a name on the hub
            (`hf://OWNER/NAME`), one of our work directories, or nothing.
        init_skip: patterns of parameter names to leave at their initial values; those
            of heads (`HEAD_PATTERNS`, which published recipes skip) do not count where
            `init_from` is a run with the same head for the same classes or points.
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
    norm_groups: int = 1
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
        if self.norm_groups < 1:
            raise ConfigError(
                "config key 'model.norm_groups' must be at least 1, got "
                f"{self.norm_groups}"
            )


@dataclasses.dataclass(frozen=True)
class DatasetOptions:
    """Source of the samples.

    Attributes:
        name: a prepared data set.
        data_dir: folder of all prepared data sets, on a disk or in a bucket (`gs://`).
        cache_dir: folder for copies of what is in a bucket; empty for
            `~/.cache/hrnet_jax/data`.
        train_split: split to train on.
        eval_split: split that ranks checkpoints during training.
        test_split: split reported once at the end; empty for `eval_split`.
        workers: worker processes; 0 reads in threads.
        threads: reading threads where `workers` is 0.
        rare_classes: draws training images by the classes of their pixels, rare ones
            more often, at this temperature (see `data.stream.drawing`; 0.01 is
            usual); 0 shows each image once an epoch. All labels are read once first.
        augmentation: training transforms, options of the task.
    """

    name: str = ""
    data_dir: str = "data"
    cache_dir: str = ""
    train_split: str = "train"
    eval_split: str = "val"
    test_split: str = ""
    workers: int = 0
    threads: int = 4
    rare_classes: float = 0.0
    augmentation: Any = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not 0 <= self.rare_classes < math.inf:
            raise ConfigError(
                "config key 'dataset.rare_classes' must be a temperature, or 0 for "
                f"none; got {self.rare_classes}"
            )


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Options of the optimizer.

    Attributes:
        name: `sgd`, `adam` (L2 penalty in the gradient) or `adamw` (decoupled).
        momentum: of `sgd`.
        nesterov: of `sgd`.
        beta1: of `adam` and `adamw`.
        beta2: of `adam` and `adamw`.
        weight_decay: on the parameters that `decay_norms` selects.
        decay_norms: whether norms and biases decay too, as in the official
            code; otherwise only kernels do.
        decay_biases: whether biases of convolutions and dense layers decay where
            norms do. Those of norms go with their norm, here and in the next key.
        bias_rate: such biases learn at this many times the rate, times the factor of
            `multipliers`.
        clip_norm: largest global gradient norm; 0 for no clipping.
        accumulate: micro-batches per update; gradients are averaged.
        multipliers: (pattern, factor) pairs; parameters whose name matches the
            pattern learn at factor times the rate.
        decay_multipliers: such pairs for the weight decay, of parameters that decay.
        ema_decay: decay of an exponential moving average of the weights that
            evaluation then uses; 0 for none.
    """

    name: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 5e-4
    decay_norms: bool = True
    decay_biases: bool = True
    bias_rate: float = 1.0
    clip_norm: float = 0.0
    accumulate: int = 1
    multipliers: tuple[tuple[str, float], ...] = ()
    decay_multipliers: tuple[tuple[str, float], ...] = ()
    ema_decay: float = 0.0

    def __post_init__(self):
        if self.name not in OPTIMIZERS:
            raise ConfigError(
                f"unknown optimizer.name {self.name!r}; "
                f"expected one of {', '.join(OPTIMIZERS)}"
            )
        if self.accumulate < 1:
            raise ConfigError("config key 'optimizer.accumulate' must be at least 1")
        if self.bias_rate < 0:
            raise ConfigError(
                "config key 'optimizer.bias_rate' must not be negative; got "
                f"{self.bias_rate}"
            )


@dataclasses.dataclass(frozen=True)
class ScheduleOptions:
    """Options of the learning rate.

    Attributes:
        name: `poly`, `cosine`, `step` or `constant`.
        learning_rate: base rate.
        min_learning_rate: where `poly` and `cosine` end.
        power: exponent of `poly`.
        official_offset: `poly` lags one step, as in the official code.
        warmup: `linear` rises from `warmup_factor` times the rate to the rate,
            `constant` stays there until the warm-up ends.
        warmup_steps: length of the warm-up.
        warmup_factor: relative rate at step 0 of the warm-up.
        warmup_limit: largest part of the run that the warm-up takes; in a run of few
            steps it is shortened to that.
        boundaries: `step`: fractions of the run at which the rate drops.
        decay: `step`: factor at each boundary.
        reference_batch: images in a batch that the rates are stated for; other batches
            have rates in proportion. 0 takes them as they are.
    """

    name: str = "poly"
    learning_rate: float = 0.01
    min_learning_rate: float = 0.0
    power: float = 0.9
    official_offset: bool = False
    warmup: str = "linear"
    warmup_steps: int = 0
    warmup_factor: float = 0.001
    warmup_limit: float = 1.0
    boundaries: tuple[float, ...] = (0.667, 0.917)
    decay: float = 0.1
    reference_batch: int = 0

    def __post_init__(self):
        if self.reference_batch < 0:
            raise ConfigError(
                "config key 'schedule.reference_batch' must be a number of images, or "
                f"0; got {self.reference_batch}"
            )
        if self.name not in SCHEDULES:
            raise ConfigError(
                f"unknown schedule.name {self.name!r}; "
                f"expected one of {', '.join(SCHEDULES)}"
            )
        if self.warmup not in WARMUPS:
            raise ConfigError(
                f"unknown schedule.warmup {self.warmup!r}; "
                f"expected one of {', '.join(WARMUPS)}"
            )
        if not 0 <= self.warmup_limit <= 1:
            raise ConfigError(
                "config key 'schedule.warmup_limit' must be a part of the run, from 0 "
                f"to 1; got {self.warmup_limit}"
            )


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Evaluation during and after training.

    Attributes:
        every_steps: distance between evaluations; 0 evaluates only at the end, -1
            leaves it to the two keys below.
        every_epochs: distance between evaluations in epochs; 0 leaves it to the keys
            around it.
        least: where neither of both is set, evaluations of a run at least: every 1000
            steps, more often in a short run.
        batch_size: images per evaluation batch.
        pictures: predictions drawn at the end of training.
        inference: options of the task.
    """

    every_steps: int = UNSET
    every_epochs: int = 0
    least: int = 0
    batch_size: int = 4
    pictures: int = 8
    inference: Any = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        _check_interval("eval", self.every_steps, 0, "every_epochs", self.every_epochs)
        if self.least < 0:
            raise ConfigError(
                f"config key 'eval.least' must not be negative; got {self.least}"
            )


@dataclasses.dataclass(frozen=True)
class CheckpointOptions:
    """Options of the checkpoints.

    Attributes:
        every_steps: distance between saves; evaluated steps and the last step
            are saved as well. -1, not set: 1000, or what the next key says.
        every_minutes: distance between saves in minutes of training; 0: not set.
        keep_latest: number of newest checkpoints kept.
        keep_best: number of best evaluated checkpoints also kept.
        asynchronous: write in the background while training continues.
    """

    every_steps: int = UNSET
    every_minutes: float = 0.0
    keep_latest: int = 2
    keep_best: int = 1
    asynchronous: bool = True

    def __post_init__(self):
        steps, minutes = self.every_steps, self.every_minutes
        _check_interval("checkpoint", steps, 1, "every_minutes", minutes)
        if self.keep_latest < 1:
            raise ConfigError(
                "config key 'checkpoint.keep_latest' must be at least 1; got "
                f"{self.keep_latest}"
            )


@dataclasses.dataclass(frozen=True)
class MeshOptions:
    """Division of the batch among devices; see `runtime.make_mesh`.

    Attributes:
        data: devices along which the batch is divided; -1 for all that are left.
        space: devices along which the rows of every image are divided.
        round_up_batch: raise `batch_size` and `eval.batch_size` to the next multiples
            of the devices along `data`, instead of refusing others; so do the `debug`
            forms of experiments. A run keeps the `batch_size` that it was begun with.
    """

    data: int = -1
    space: int = 1
    round_up_batch: bool = False


@dataclasses.dataclass(frozen=True)
class LoggingOptions:
    """Logging during a run.

    Attributes:
        every_steps: distance between lines of `metrics.jsonl`.
        progress: show a progress bar; where standard error is no terminal, a line
            at each logging interval.
        tensorboard: write TensorBoard events.
        tensorboard_pictures: predictions drawn per evaluation, for TensorBoard and
            Weights & Biases.
        wandb: project of Weights & Biases to report to, `PROJECT` or `TEAM/PROJECT`;
            empty for none.
        wandb_name: of the run there; empty: that of the work directory.
        wandb_mode: `online`, `offline` (written for `wandb sync`) or `disabled`;
            empty: what `WANDB_MODE` says, else `online`.
        wandb_tags: of the run there.
        profile_start: first step of a profile; 0 for none.
        profile_steps: number of profiled steps.
    """

    every_steps: int = 50
    progress: bool = True
    tensorboard: bool = True
    tensorboard_pictures: int = 2
    wandb: str = ""
    wandb_name: str = ""
    wandb_mode: str = ""
    wandb_tags: tuple[str, ...] = ()
    profile_start: int = 0
    profile_steps: int = 5

    def __post_init__(self):
        if self.wandb_mode and self.wandb_mode not in WANDB_MODES:
            raise ConfigError(
                f"config key 'logging.wandb_mode' is {self.wandb_mode!r}; expected one "
                f"of {', '.join(WANDB_MODES)}, or nothing"
            )
