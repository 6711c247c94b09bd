"""What is exported, and how."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.inference.workdir import LoadedRun
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.registry import get_spec
from hrnet_jax.tasks.spec import TaskSpec

INPUTS = ("uint8", "float32")
LAYOUTS = ("nhwc", "nchw")
PLATFORMS = ("cpu", "cuda", "tpu", "rocm")
SUPPRESSION = ("operator", "caller")


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Inputs and outputs of an exported file.

    Attributes:
        input: `uint8` images, normalised inside, or `float32` normalised ones.
        size: (height, width) of the images; None for any (StableHLO alone, and not of
            tasks whose files hold predictions).
        upsample: whether logits of segmentation come at the size of the image
            instead of a quarter; None does so.
        auxiliary: whether outputs that only a loss looks at are kept.
        layout: `nhwc` or `nchw` (ONNX alone), of images and maps.
        nms: `operator` where the file suppresses doubles among what it found, `caller`
            where its reader does; of tasks whose files hold predictions.
        platforms: that a StableHLO file runs on; `cpu` among them, where it is
            checked.
    """

    input: str = "uint8"
    size: tuple[int, int] | None = None
    upsample: bool | None = None
    auxiliary: bool = False
    layout: str = "nhwc"
    nms: str = "operator"
    platforms: tuple[str, ...] = ("cpu", "cuda", "tpu")

    def __post_init__(self):
        for key, value, known in (
            ("input", self.input, INPUTS),
            ("layout", self.layout, LAYOUTS),
            ("nms", self.nms, SUPPRESSION),
            *(("platforms", platform, PLATFORMS) for platform in self.platforms),
        ):
            if value not in known:
                raise ConfigError(
                    f"export option {key!r} is {value!r}; expected one of "
                    f"{', '.join(known)}"
                )
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"export option 'size' is {self.size}; expected pixels")
        if "cpu" not in self.platforms:
            raise ConfigError(
                "export option 'platforms' needs 'cpu': the file is checked there"
            )


@dataclasses.dataclass(frozen=True)
class ExportSource:
    """A network to export, with all that describes it.

    Attributes:
        name: of the model, for example `segmentation/w48`.
        model: the model itself.
        variables: {"params", "batch_stats"}.
        info: classes, colours, points.
        step: of the checkpoint.
        normalization: of images, as the weights were trained.
        inference: options of the task's predictions, `eval.inference`.
        augmentation: `dataset.augmentation`, which says how boxes are cut out.
    """

    name: str
    model: Model
    variables: Mapping
    _: dataclasses.KW_ONLY
    normalization: Normalization
    inference: Mapping[str, Any]
    augmentation: Mapping[str, Any]
    info: DatasetInfo | None = None
    step: int | None = None

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.spec.name

    @property
    def spec(self) -> TaskSpec:
        """The description of the task."""
        return get_spec(self.name)


def source_of(run: LoadedRun) -> ExportSource:
    """The network of a run."""
    return ExportSource(
        name=run.config.model.name,
        model=run.task.model,
        variables=run.variables,
        info=run.info,
        step=run.step,
        normalization=run.config.model.normalization,
        inference=dataclasses.asdict(run.config.eval.inference),
        augmentation=dataclasses.asdict(run.config.dataset.augmentation),
    )


def model_options(model: Model) -> dict[str, Any]:
    """Options with which `create_model` builds this network again."""
    set_elsewhere = ("norm", "dtype", "remat")
    return {
        name: getattr(model, name)
        for name in model.option_names()
        if name not in set_elsewhere
    }
