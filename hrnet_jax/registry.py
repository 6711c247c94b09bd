"""Tasks and models by name.

    registry.register(SPEC)   # a task of another folder, in this process

A package that is installed offers its tasks to every script by an entry point:

    [project.entry-points."hrnet_jax.tasks"]
    brightness = "my_package.brightness:SPEC"
"""

import functools
import importlib
import importlib.metadata
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh

from hrnet_jax import runtime
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.model import Model
from hrnet_jax.models.options import check_options, compute_type
from hrnet_jax.models.variants import VARIANTS, get_variant
from hrnet_jax.tasks.protocol import Predicts
from hrnet_jax.tasks.spec import TaskSpec

# Task -> its spec, imported when first asked for.
_PLACES = {
    "classification": "hrnet_jax.classification:SPEC",
    "detection": "hrnet_jax.detection:SPEC",
    "features": "hrnet_jax.tasks.features:SPEC",
    "landmarks": "hrnet_jax.keypoints:LANDMARKS",
    "pose": "hrnet_jax.keypoints:POSE",
    "pyramid": "hrnet_jax.detection:PYRAMID",
    "segmentation": "hrnet_jax.segmentation:SPEC",
}
_ENTRY_POINTS = "hrnet_jax.tasks"

_registered: dict[str, TaskSpec] = {}


def register(spec: TaskSpec) -> None:
    """Adds a task of another package, for this process.

    Raises:
        ConfigError: if another task has the name.
    """
    if spec.name in _PLACES or _registered.get(spec.name, spec) != spec:
        raise ConfigError(f"there is a task {spec.name!r} already; choose another name")
    _registered[spec.name] = spec


def family_names() -> list[str]:
    """First parts of model names: of this package, entry points and `register`."""
    return sorted({*_PLACES, *_installed(), *_registered})


def task_names(*, trainable: bool = False) -> list[str]:
    """Every task, or those that can be trained."""
    specs = map(get_spec, family_names())
    return [spec.name for spec in specs if spec.task and spec.trainable >= trainable]


def get_spec(name: str) -> TaskSpec:
    """The description of a task.

    Args:
        name: of the task, or of one of its models (`segmentation/w18`).

    Raises:
        ConfigError: for an unknown task.
    """
    if not isinstance(name, str):  # in a file that was edited
        raise _unknown_task(name)
    name = name.partition("/")[0]
    if name in _registered:
        return _registered[name]
    place = _PLACES.get(name) or _installed().get(name)
    if place is None:
        raise _unknown_task(name)
    return _load(name, place)


def get_task(name: str) -> type[Predicts]:
    """The class of a task, which carries its option classes.

    Raises:
        ConfigError: for an unknown task; models without a task are none.
    """
    spec = get_spec(name)
    if spec.task is None:
        raise ConfigError(
            f"{name!r} models have no task of their own: they start a run of another "
            f"(model.init_from); expected one of {', '.join(task_names())}"
        )
    return spec.task_class


def _unknown_task(name: str) -> ConfigError:
    return ConfigError(
        f"unknown task {name!r}; expected one of {', '.join(task_names())}"
    )


@functools.cache
def _installed() -> dict[str, str]:
    """Tasks of installed packages -> place."""
    found = importlib.metadata.entry_points(group=_ENTRY_POINTS)
    return {entry.name: entry.value for entry in found}


@functools.cache
def _load(name: str, place: str) -> TaskSpec:
    module, _, attribute = place.partition(":")
    try:
        spec = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"task {name!r} cannot be read from {place}: {error}"
        ) from error
    if spec.name != name:
        raise ConfigError(
            f"{place} is listed as the task {name!r}, but calls itself {spec.name!r}"
        )
    return spec


def model_names() -> list[str]:
    """Every name that `create_model` takes."""
    return [
        f"{task}/{_joined(part, variant)}"
        for task in family_names()
        for part in get_spec(task).models
        for variant in VARIANTS
    ]


def _joined(part: str, variant: str) -> str:
    """`w48_ocr` of the part `_ocr`, `faster_rcnn_w48` of `faster_rcnn_`."""
    return part + variant if part.endswith("_") else variant + part


def create_model(
    name: str,
    /,
    *,
    align_corners: bool | None = None,
    norm: NormOptions | str | None = None,
    dtype: Any = jnp.float32,
    **options: Any,
) -> Model:
    """Creates a model by name, for example `segmentation/w48`.

    Args:
        name: `<family>/<variant>`; `model_names()` lists them.
        align_corners: whether bilinear upsampling aligns corners; None keeps
            what the family's official weights were trained with.
        norm: batch-norm options, or just the mode (`batch`, `frozen`); None: the mode
            that the family's official weights were trained with.
        dtype: compute type; parameters and outputs stay float32.
        **options: attributes of the model: `num_classes` or `num_points`,
            `representation`, `upsample`, `remat`, ...

    Raises:
        ConfigError: for an unknown name, option or dtype, or a representation
            that the family does not have.
    """
    cls, variant = _find(name)
    if align_corners is not None:
        if "upsample" in options:
            raise ConfigError("give either 'align_corners' or 'upsample', not both")
        options["upsample"] = "align_corners" if align_corners else "bilinear"
    check_options(name, cls, options, _families_with)
    norm = cls.norm_default if norm is None else norm
    if isinstance(norm, str):
        norm = NormOptions(mode=norm)
    return cls.create(variant, norm=norm, dtype=compute_type(dtype), **options)


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
    return runtime.lanes(channels, compute_type(dtype), mesh)


def model_class(name: str) -> type[Model]:
    """The class of a model.

    Raises:
        ConfigError: for an unknown name.
    """
    return _find(name)[0]


def _find(name: str) -> tuple[type[Model], str]:
    """The model class behind a name, and the variant."""
    task, _, rest = name.partition("/")
    models = get_spec(task).models if task in family_names() else {}
    for part, cls in models.items():
        for variant in VARIANTS:
            if rest == _joined(part, variant):
                return cls, variant
    raise ConfigError(
        f"unknown model {name!r}; expected one of {', '.join(model_names())}"
    )


def _families_with(representation: str) -> list[str]:
    """Families that have a model with this representation."""
    return [
        name
        for name in family_names()
        if any(
            representation in m.representations for m in get_spec(name).models.values()
        )
    ]
