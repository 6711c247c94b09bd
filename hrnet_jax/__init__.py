"""HRNet, high-resolution representations for labeling pixels and regions, in JAX.

    model = hrnet_jax.create_model("segmentation/w48", num_classes=19)
    metrics = hrnet_jax.train(config, "runs/mine")
    prediction = hrnet_jax.load_run("runs/mine").predict(image)

Names are imported when first used, so that `import hrnet_jax` is quick and
benchmarks of the network need neither data nor checkpoint libraries.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "HRNetError": "hrnet_jax.errors",
    "LoadedRun": "hrnet_jax.inference.workdir",
    "Predictor": "hrnet_jax.inference.predictor",
    "create_model": "hrnet_jax.registry",
    "evaluate": "hrnet_jax.training.evaluate",
    "initial_variables": "hrnet_jax.models.initialization",
    "load_run": "hrnet_jax.inference.workdir",
    "model_names": "hrnet_jax.registry",
    "open_exported": "hrnet_jax.export.exported",
    "open_records": "hrnet_jax.data.records",
    "prepare": "hrnet_jax.data.registry",
    "pretrained": "hrnet_jax",
    "train": "hrnet_jax.training.train",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name] == __name__:
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
