"""Settings shared by experiments on human pose, each written once."""

from types import SimpleNamespace
from typing import Any

import ml_collections

from hrnet_jax.experiment.defaults import make_debug
from hrnet_jax.experiment.recipes import from_imagenet, variant_of


def pose_network(choice: SimpleNamespace, default: str) -> dict[str, Any]:
    """A pose network, whose head is new when `model.init_from` names weights.

    A pose network lacks the last paths to lower resolutions, so it takes of other
    weights what it has.

    Args:
        choice: options of the experiment: `variant`, `debug`, `fast` where there is one.
        default: variant of the published recipe.
    """
    recipe = from_imagenet(f"pose/{variant_of(choice, default)}")
    recipe["model"]["init_partial"] = True
    return recipe


def published_pose(
    size: tuple[int, int],
    *,
    batch_size: int = 128,
    scale: float = 0.35,
    rotation: float = 45.0,
    half_body: float = 0.3,
) -> dict[str, Any]:
    """Optimizer, schedule, augmentation and test of the published recipe.

    deep-high-resolution-net.pytorch, `experiments/{coco,mpii}/hrnet/*.yaml`: Adam for 210
    epochs, a tenth of the rate after 170 and 200. Joints are coded between cells, and
    decoded by DARK; `as_published` codes them as there.

    Args:
        size: (height, width) of the crops; sigmas of the targets follow from it.
        batch_size: of all devices, four GPUs there.
        scale: see `PoseCropOptions`.
        rotation: there.
        half_body: there.
    """
    sigma = sigma_of(size)
    return {
        "batch_size": batch_size,
        "num_epochs": 210,
        "optimizer": {"name": "adam", "weight_decay": 0.0},
        "schedule": {
            "name": "step",
            "learning_rate": 1e-3,
            "boundaries": (170 / 210, 200 / 210),
            "decay": 0.1,
        },
        "loss": {"name": "joint_mse", "sigma": sigma},
        "dataset": {
            "augmentation": {
                "crop_size": size,
                "scale": scale,
                "rotation": rotation,
                "half_body": half_body,
            }
        },
        "eval": {
            "every_epochs": 1,
            "batch_size": 128,
            "inference": {"decoding": "dark", "dark_sigma": sigma, "flip": True},
        },
    }


def sigma_of(size: tuple[int, int]) -> float:
    """Sigma of published targets in cells: 2 for crops of 256 rows, 3 for 384."""
    return 3.0 if size[0] > 256 else 2.0


def as_published() -> dict[str, Any]:
    """Crops, targets and decoding of the published code, with all its quirks."""
    return {
        "dataset": {"augmentation": {"compat": "official"}},
        "eval": {"inference": {"decoding": "quarter", "flip_shift": True}},
    }


def make_debug_on_figures(config: ml_collections.ConfigDict, joints: str) -> None:
    """`make_debug` on generated persons: the set `figures_<joints>`."""
    config.dataset.name = f"figures_{joints}"
    config.dataset.train_split, config.dataset.eval_split = "train", "val"
    config.dataset.test_split = ""
    make_debug(config)
