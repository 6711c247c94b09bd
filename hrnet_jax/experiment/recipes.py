"""Settings shared by several experiments, each written once.

Recipes are nested keys for `experiment`; they name every key they rely on, equal to
the default or not.
"""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import experiment, make_debug
from hrnet_jax.pretrained import HEAD_PATTERNS

# `last_layer` of the official networks; `cls`, `aux` and `ocr` of those with OCR.
SEGMENTATION_HEADS = "^(head|aux|ocr)/"

# Small enough for a laptop's processor.
CPU_VARIANT = "w18_small_v1"


def variant_of(choice: SimpleNamespace, default: str) -> str:
    """The variant asked for, or the default one, on laptops a small one.

    Args:
        choice: options of the experiment, from `parse_options`: `variant`, `debug`,
            and `fast` where there is one.
        default: variant of the published recipe.
    """
    laptop = choice.debug or getattr(choice, "fast", False)
    return choice.variant or (CPU_VARIANT if laptop else default)


def from_imagenet(name: str, norm_momentum: float | None = None) -> dict[str, Any]:
    """A model whose head is new when `model.init_from` names weights.

    Of a run for the same classes or points it takes the head as well.

    Args:
        name: of the model.
        norm_momentum: of the running statistics; None keeps the task's.
    """
    model: dict[str, Any] = {"name": name, "init_skip": HEAD_PATTERNS}
    if norm_momentum is not None:
        model["norm_momentum"] = norm_momentum
    return {"model": model}


def official_sgd_poly(
    learning_rate: float = 0.01, weight_decay: float = 5e-4, head_rate: float = 1.0
) -> dict[str, Any]:
    """Optimizer and schedule of HRNet-Semantic-Segmentation (`lib/config/default.py`).

    Args:
        learning_rate: at the beginning.
        weight_decay: of all parameters.
        head_rate: the heads learn at this many times the rate (`NONBACKBONE_MULT`).
    """
    multipliers = ((SEGMENTATION_HEADS, head_rate),) if head_rate != 1 else ()
    return {
        "optimizer": {
            "name": "sgd",
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": weight_decay,
            "decay_norms": True,
            "multipliers": multipliers,
        },
        "schedule": {
            "name": "poly",
            "learning_rate": learning_rate,
            "power": 0.9,
            "official_offset": True,
        },
    }


def segmenter(
    choice: SimpleNamespace,
    default: str = "w48",
    *,
    norm_momentum: float,
    align_corners: bool | None = None,
) -> dict[str, Any]:
    """The model that an experiment with labels is asked for, from ImageNet weights.

    Args:
        choice: options of the experiment: `variant`, `debug`, `ocr` and, where there
            is one, `representation`.
        default: variant of the published recipe.
        norm_momentum: of the running statistics.
        align_corners: of bilinear upsampling; None keeps the family's default.
    """
    ocr = "_ocr" if choice.ocr else ""
    recipe = from_imagenet(
        f"segmentation/{variant_of(choice, default)}{ocr}", norm_momentum
    )
    if align_corners is not None:
        recipe["model"]["align_corners"] = align_corners
    if getattr(choice, "representation", ""):
        recipe["model"]["representation"] = choice.representation
    return recipe


def published_ohem(choice: SimpleNamespace) -> dict[str, Any]:
    """Hard example mining, as published, if an experiment is asked for it.

    Args:
        choice: options of the experiment: `ohem`, `ocr`.
    """
    if not choice.ohem:
        return {"loss": {"name": "cross_entropy"}}
    return {"loss": {"name": "ohem", "official_aux_mean": choice.ocr}}


def published_windows(
    side: int, short_side: int = 0, *, keeps_padding: bool = False
) -> dict[str, Any]:
    """The test of `base_dataset.multi_scale_inference`, at one scale.

    Images of a long side of 520 pixels, windows two thirds of their side apart, black
    beyond the image, exponentials added, averaged with the mirror image.

    Args:
        side: of a window, in pixels.
        short_side: to which images are brought before, and then padded to multiples of
            8, as in branch HRNet-OCR; 0 for neither.
        keeps_padding: whether labels keep that padding, as there for ADE20K.
    """
    window = {"size": (side, side), "ends": "beyond", "average": "exp"}
    inference = {"flip": True, "fusion": "exp", "base_size": 520, "window": window}
    if short_side:
        inference |= {"image_size": (short_side,), "multiple": 8}
        inference["keeps_padding"] = keeps_padding
    return {"eval": {"inference": inference}}


def adamw(
    learning_rate: float,
    *,
    weight_decay: float,
    warmup_steps: int,
    schedule: str,
    ema_decay: float = 0.0,
) -> dict[str, Any]:
    """AdamW that leaves norms and biases alone, with a linear warm-up."""
    return {
        "optimizer": {
            "name": "adamw",
            "weight_decay": weight_decay,
            "decay_norms": False,
            "ema_decay": ema_decay,
        },
        "schedule": {
            "name": schedule,
            "learning_rate": learning_rate,
            "warmup_steps": warmup_steps,
        },
    }


def adamw_cosine(learning_rate: float, **options: Any) -> dict[str, Any]:
    """`adamw` with a cosine to zero."""
    return adamw(learning_rate, schedule="cosine", **options)


def of_any_size() -> dict[str, Any]:
    """For data of one's own: a run of few steps is evaluated and warms up in time."""
    return {
        "schedule": {"warmup_limit": 0.1},
        "eval": {"least": 10},
    }


def dark_and_flip() -> dict[str, Any]:
    """Heatmaps decoded by DARK, averaged over image and mirror image."""
    return {"eval": {"inference": {"decoding": "dark", "flip": True}}}


def make_debug_on_shapes(config: ml_collections.ConfigDict) -> None:
    """`make_debug` on the generated set `shapes`, for sets that are hard to come by."""
    config.dataset.name = "shapes"
    config.dataset.train_split, config.dataset.eval_split = "train", "val"
    config.dataset.test_split = ""
    make_debug(config)
    augmentation = config.dataset.augmentation
    for key in ("short_side", "base_size", "base_short_side"):
        augmentation[key] = min(augmentation[key], 64)
    if augmentation.resize_to:
        augmentation.resize_to = (64, 64)
    inference = config.eval.inference
    if inference.window.size:
        inference.window.size = (48, 48)
    inference.base_size = min(inference.base_size, 64)
    inference.image_size = (64,) * len(inference.image_size)


def make_debug_on_faces(config: ml_collections.ConfigDict, num_points: int) -> None:
    """`make_debug` on generated faces: the set `faces_<num_points>`."""
    config.dataset.name = f"faces_{num_points}"
    config.dataset.eval_split = "val"
    make_debug(config)


def small_detector(
    detector: str,
    variant: str,
    *,
    finest: float,
    anchor_scale: float = 4.0,
    class_agnostic: bool = False,
) -> dict[str, Any]:
    """A detector for small images that trains from random weights on two CPU cores.

    A quarter of the published width, fewer regions, norms of the batch (frozen ones
    stand for weights of ImageNet).

    Args:
        detector: `faster_rcnn` and the like.
        variant: of the network.
        finest: side of regions, in pixels, that are read from the second level.
        anchor_scale: side of anchors in strides of their level.
        class_agnostic: whether all classes share the box of a region, for sets with
            few objects of some.
    """
    options: dict[str, Any] = {"features": 64}
    regions: dict[str, Any] = {}
    if detector != "fcos":
        options |= {"head_width": 256, "finest": finest, "anchor_scale": anchor_scale}
        if class_agnostic:
            options["class_agnostic"] = True
        regions = {
            "loss": {"proposals": 300, "candidates": 300, "regions": 128},
            "eval": {"inference": {"proposals": 300, "candidates": 300}},
        }
    return {
        "model": {
            "name": f"detection/{detector}_{variant}",
            "norm": "batch",
            "options": options,
        },
        "optimizer": {"clip_norm": 10.0},
        **regions,
    }


# Epochs, and fractions of a run after which the rate falls to a tenth. `2x_late` is the
# paper's (and MaskRCNN-Benchmark's), `2x` that of mmdetection.
DETECTION_SCHEDULES = {
    "1x": (12, (8 / 12, 11 / 12)),
    "2x": (24, (16 / 24, 22 / 24)),
    "2x_late": (24, (20 / 24, 23 / 24)),
    "20e": (20, (16 / 20, 19 / 20)),
}


def official_detection(
    schedule: str,
    *,
    learning_rate: float = 0.02,
    clip_norm: float = 0.0,
    bias_rate: float = 1.0,
    decay_biases: bool = True,
    constant_warmup: Collection[str] = (),
) -> dict[str, Any]:
    """Optimizer and schedule of mmdetection 3.3 (`configs/_base_/schedules`).

    The rate is that of batches of 16; smaller ones learn at rates in proportion.

    Args:
        schedule: one of `DETECTION_SCHEDULES`.
        learning_rate: for 16 images.
        clip_norm: largest global gradient norm; 0 for no clipping.
        bias_rate: of biases, see `OptimizerOptions`.
        decay_biases: see there.
        constant_warmup: schedules that begin at a third of the rate for the steps of
            the warm-up, instead of rising from a thousandth.

    Raises:
        ConfigError: for another schedule.
    """
    if schedule not in DETECTION_SCHEDULES:
        raise ConfigError(
            f"unknown schedule {schedule!r}; expected one of "
            f"{', '.join(DETECTION_SCHEDULES)}"
        )
    epochs, boundaries = DETECTION_SCHEDULES[schedule]
    is_constant = schedule in constant_warmup
    return {
        "num_epochs": epochs,
        "batch_size": 16,
        "optimizer": {
            "name": "sgd",
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "decay_norms": True,
            "decay_biases": decay_biases,
            "bias_rate": bias_rate,
            "clip_norm": clip_norm,
        },
        "schedule": {
            "name": "step",
            "learning_rate": learning_rate,
            "reference_batch": 16,
            "boundaries": boundaries,
            "decay": 0.1,
            "warmup": "constant" if is_constant else "linear",
            "warmup_steps": 500,
            "warmup_factor": 1 / 3 if is_constant else 0.001,
        },
    }


def coco_detector(
    options: str, detector: str, schedule: str, **recipe: Any
) -> ml_collections.ConfigDict:
    """A detector on COCO as published.

    Args:
        options: of the experiment: `variant`; `schedule`, one of `DETECTION_SCHEDULES`;
            `norm`, `frozen` (published) or `batch`, statistics of all devices;
            `scales`, `one`, `ms` of mmdetection's FCOS, `det` and `crop` of the paper's
            fork; `debug`.
        detector: `faster_rcnn` and the like.
        schedule: if none is asked for.
        **recipe: for `official_detection`.

    Raises:
        ConfigError: for an option that is not there, or a value that it cannot have.
    """
    choice = parse_options(
        options,
        variant="",
        schedule=schedule,
        norm="frozen",
        scales="one",
        debug=False,
    )
    augmentations: dict[str, dict[str, Any]] = {
        "one": {},
        "ms": {"scales": ((1333, 640), (1333, 800))},
        "det": {"scales": ((1600, 1000), (1000, 600), (1333, 800))},
        "crop": {
            "crop": "resize",
            "scales": ((1400, 600), (1400, 800), (1400, 1000)),
            "crop_size": (800, 1200),
        },
    }
    if choice.scales not in augmentations:
        raise ConfigError(
            f"unknown scales {choice.scales!r}; expected one of "
            f"{', '.join(augmentations)}"
        )
    name = f"detection/{detector}_{variant_of(choice, 'w18')}"
    config = experiment(
        "detection",
        from_imagenet(name),
        official_detection(choice.schedule, **recipe),
        {"model": {"norm": choice.norm}},
        dataset={
            "name": "coco_detection",
            "augmentation": augmentations[choice.scales],
        },
        precision="bfloat16",
        eval={"every_epochs": 1, "batch_size": 16},
    )
    if choice.debug:
        make_debug_detector(config)
    return config


def make_debug_detector(config: ml_collections.ConfigDict) -> None:
    """The `debug` form of a detector, in place: small images and heads, few regions."""
    make_debug(config)
    size = 96, 96
    config.dataset.augmentation.update(
        scales=(size,),
        test_scale=size,
        canvases=(size,),
        test_canvases=(size,),
        crop="",
        photometric=False,
    )
    config.model.options = {"features": 32}
    if "fcos" not in config.model.name:
        config.model.options = {"features": 32, "head_width": 64}
        config.loss.update(candidates=64, proposals=64, regions=32, anchors=64)
    config.eval.inference.update(candidates=64, proposals=64, count=20)
