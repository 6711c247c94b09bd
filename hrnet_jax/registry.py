"""Models and tasks by name."""

from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh

from hrnet_jax import runtime
from hrnet_jax.classification.model import ClassificationHRNet
from hrnet_jax.classification.task import ClassificationTask
from hrnet_jax.detection.model import PyramidHRNet
from hrnet_jax.detection.task import PyramidTask
from hrnet_jax.errors import ConfigError
from hrnet_jax.keypoints.model import LandmarkHRNet, PoseHRNet
from hrnet_jax.keypoints.task import HeatmapTask, LandmarkTask
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.hrnet import HRNet
from hrnet_jax.models.model import Model
from hrnet_jax.models.resize import EXCHANGE_METHODS
from hrnet_jax.models.variants import VARIANTS, get_variant
from hrnet_jax.segmentation.model import SegmentationHRNet, SegmentationOCR
from hrnet_jax.segmentation.task import SegmentationTask

# Family -> what follows the variant in a name -> model.
FAMILIES: dict[str, dict[str, type[Model]]] = {
    "classification": {"": ClassificationHRNet},
    "features": {"": HRNet},
    "landmarks": {"": LandmarkHRNet},
    "pose": {"": PoseHRNet},
    "pyramid": {"": PyramidHRNet},
    "segmentation": {"": SegmentationHRNet, "_ocr": SegmentationOCR},
}

TASKS = {
    "classification": ClassificationTask,
    "landmarks": LandmarkTask,
    "pose": HeatmapTask,
    "pyramid": PyramidTask,
    "segmentation": SegmentationTask,
}


def get_task(name: str) -> type:
    """The class of a task, which carries its option classes.

    Raises:
        ConfigError: for an unknown task.
    """
    if name not in TASKS:
        raise ConfigError(f"unknown task {name!r}; expected one of {', '.join(TASKS)}")
    return TASKS[name]


def model_names() -> list[str]:
    """Every name that `create_model` takes."""
    return [
        f"{family}/{variant}{suffix}"
        for family, suffixes in FAMILIES.items()
        for suffix in suffixes
        for variant in VARIANTS
    ]


def create_model(
    name: str,
    *,
    align_corners: bool | None = None,
    norm: NormOptions | str = NormOptions(),
    dtype: Any = jnp.float32,
    **options: Any,
) -> Model:
    """Creates a model by name, for example `segmentation/w48`.

    Args:
        name: `<family>/<variant>`; `model_names()` lists them.
        align_corners: whether bilinear upsampling aligns corners; None keeps
            what the family's official weights were trained with.
        norm: batch-norm options, or just the mode (`batch`, `frozen`).
        dtype: compute type; parameters and outputs stay float32.
        **options: attributes of the model: `num_classes` or `num_points`,
            `representation`, `upsample`, `remat`, ...

    Raises:
        ConfigError: for an unknown name, option or dtype, or a representation
            that the family does not have.
    """
    family, variant = _find(name)
    if align_corners is not None:
        if "upsample" in options:
            raise ConfigError("give either 'align_corners' or 'upsample', not both")
        options["upsample"] = "align_corners" if align_corners else "bilinear"
    _check_options(name, family, options)
    if isinstance(norm, str):
        norm = NormOptions(mode=norm)
    return family.create(variant, norm=norm, dtype=_compute_type(dtype), **options)


def lanes_for(name: str, dtype: Any, mesh: Mesh | None = None) -> int:
    """Recommended `lanes` of `create_model` for these devices.

    Args:
        name: of the model.
        dtype: compute type.
        mesh: of the devices; those here if None.

    Raises:
        ConfigError: for an unknown name or dtype.
    """
    channels = get_variant(_find(name)[1]).branch_widths()[0]
    return runtime.lanes(channels, _compute_type(dtype), mesh)


def _find(name: str) -> tuple[type[Model], str]:
    """The model class behind a name, and the variant."""
    family, _, rest = name.partition("/")
    # Longest first: an empty suffix ends every name.
    for suffix in sorted(FAMILIES.get(family, {}), key=len, reverse=True):
        variant = rest.removesuffix(suffix) if suffix else rest
        if rest.endswith(suffix) and variant in VARIANTS:
            return FAMILIES[family][suffix], variant
    raise ConfigError(
        f"unknown model {name!r}; expected one of {', '.join(model_names())}"
    )


def _check_options(name: str, family: type[Model], options: dict[str, Any]) -> None:
    known = set(family.option_names())
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigError(
            f"model {name!r} has no option {unknown[0]!r}; "
            f"expected one of {', '.join(sorted(known | {'align_corners'}))}"
        )
    wanted = options.get("representation")
    if wanted is not None and wanted not in family.representations:
        having = [
            other
            for other, classes in FAMILIES.items()
            if any(wanted in kind.representations for kind in classes.values())
        ]
        raise ConfigError(
            f"model {name!r} has no representation {wanted!r}; expected one of "
            f"{', '.join(family.representations)}"
            + (f" ({wanted} exists in {', '.join(having)})" if having else "")
        )
    upsample = options.get("upsample", "bilinear")
    if upsample not in EXCHANGE_METHODS:
        raise ConfigError(
            f"unknown upsample method {upsample!r}; expected one of "
            f"{', '.join(EXCHANGE_METHODS)}"
        )


def _compute_type(dtype: Any) -> jnp.dtype:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise ConfigError(
            f"unknown dtype {dtype!r}; expected a floating type such as "
            "'float32' or 'bfloat16'"
        )
    return found
