"""HRNet, high-resolution representations for labeling pixels and regions, in JAX.

    model = hrnet_jax.create_model("segmentation/w48", num_classes=19)
    config = hrnet_jax.load_config("experiments/quickstart.py", num_steps=100)
    metrics = hrnet_jax.train(config, "runs/mine")
    prediction = hrnet_jax.load_run("runs/mine").predict(image)

Names are imported when first used, so that `import hrnet_jax` is quick and
benchmarks of the network need neither data nor checkpoint libraries.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers
    from hrnet_jax import pretrained
    from hrnet_jax.conversion.opening import load_pretrained, load_run
    from hrnet_jax.data.records import open_records
    from hrnet_jax.data.registry import prepare
    from hrnet_jax.errors import HRNetError
    from hrnet_jax.experiment.defaults import default_config
    from hrnet_jax.experiment.loading import load_config
    from hrnet_jax.export.exported import open_exported
    from hrnet_jax.export.writing import export_model
    from hrnet_jax.inference.predictor import Predictor
    from hrnet_jax.inference.workdir import LoadedRun
    from hrnet_jax.keypoints.face_finder import find_faces
    from hrnet_jax.models.initialization import initial_variables
    from hrnet_jax.models.nnx_bridge import to_nnx
    from hrnet_jax.models.normalization import normalize_images
    from hrnet_jax.registry import create_model, model_names
    from hrnet_jax.training.evaluate import evaluate
    from hrnet_jax.training.train import train

__version__ = "0.1.0"

_HOMES = {
    "HRNetError": "hrnet_jax.errors",
    "LoadedRun": "hrnet_jax.inference.workdir",
    "Predictor": "hrnet_jax.inference.predictor",
    "create_model": "hrnet_jax.registry",
    "default_config": "hrnet_jax.experiment.defaults",
    "evaluate": "hrnet_jax.training.evaluate",
    "export_model": "hrnet_jax.export.writing",
    "find_faces": "hrnet_jax.keypoints.face_finder",
    "initial_variables": "hrnet_jax.models.initialization",
    "load_config": "hrnet_jax.experiment.loading",
    "load_pretrained": "hrnet_jax.conversion.opening",
    "load_run": "hrnet_jax.conversion.opening",
    "model_names": "hrnet_jax.registry",
    "normalize_images": "hrnet_jax.models.normalization",
    "open_exported": "hrnet_jax.export.exported",
    "open_records": "hrnet_jax.data.records",
    "prepare": "hrnet_jax.data.registry",
    "pretrained": "hrnet_jax",
    "to_nnx": "hrnet_jax.models.nnx_bridge",
    "train": "hrnet_jax.training.train",
}

__all__ = [
    "HRNetError",
    "LoadedRun",
    "Predictor",
    "create_model",
    "default_config",
    "evaluate",
    "export_model",
    "find_faces",
    "initial_variables",
    "load_config",
    "load_pretrained",
    "load_run",
    "model_names",
    "normalize_images",
    "open_exported",
    "open_records",
    "prepare",
    "pretrained",
    "to_nnx",
    "train",
]

# Package of `_HOMES` -> the extra that brings what it needs.
_EXTRAS = {
    "conversion": "predict",
    "data": "prepare",
    "experiment": "predict",
    "export": "predict",
    "inference": "predict",
    "keypoints": "faces",
    "training": "train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    try:
        if home == __name__:
            value = importlib.import_module(f"{__name__}.{name}")
        else:
            value = getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(home.split(".")[1] if "." in home else "")
        if extra is None or (error.name or "").startswith(__name__):
            raise
        from hrnet_jax.errors import how_to_install

        raise ImportError(
            f"hrnet_jax.{name} needs the package {error.name}, which is not installed; "
            + how_to_install(extra)
        ) from error
    globals()[name] = value  # found at once next time
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
