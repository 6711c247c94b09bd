"""Models and tasks by name."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from hrnet_jax.classification.heads import ClassificationHRNet
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.hrnet import HRNet
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.segmentation.heads import SegmentationHRNet
from hrnet_jax.segmentation.task import SegmentationTask

FAMILIES: dict[str, type[HRNet]] = {
    "classification": ClassificationHRNet,
    "segmentation": SegmentationHRNet,
}

TASKS = {"segmentation": SegmentationTask}


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
    return [f"{family}/{variant}" for family in FAMILIES for variant in VARIANTS]


def create_model(
    name: str,
    *,
    align_corners: bool | None = None,
    norm: NormOptions | str = NormOptions(),
    dtype: Any = jnp.float32,
    **options: Any,
) -> HRNet:
    """Creates a model by name, for example `segmentation/w48`.

    Args:
        name: `<family>/<variant>`; `model_names()` lists them.
        align_corners: whether bilinear upsampling aligns corners; None keeps
            what the family's official weights were trained with.
        norm: batch-norm options, or just the mode (`batch`, `frozen`).
        dtype: compute type; parameters and outputs stay float32.
        **options: attributes of the model: `num_classes`, `upsample`, `remat`.

    Raises:
        ConfigError: for an unknown name, option or dtype.
    """
    if name not in model_names():
        raise ConfigError(
            f"unknown model {name!r}; expected one of {', '.join(model_names())}"
        )
    family, variant = name.split("/")
    make: Callable[..., HRNet] = functools.partial(FAMILIES[family], variant)
    if align_corners is not None:
        if "upsample" in options:
            raise ConfigError("give either 'align_corners' or 'upsample', not both")
        options["upsample"] = "align_corners" if align_corners else "bilinear"
    known = set(FAMILIES[family].__dataclass_fields__) - {"name", "parent", "variant"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigError(
            f"model {name!r} has no option {unknown[0]!r}; "
            f"expected one of {', '.join(sorted(known | {'align_corners'}))}"
        )
    if isinstance(norm, str):
        norm = NormOptions(mode=norm)
    return make(norm=norm, dtype=_compute_type(dtype), **options)


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
