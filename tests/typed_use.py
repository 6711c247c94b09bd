"""What type checkers and editors know of the public names; `make lint` reads this.

Nothing here is run. `assert_type` is a finding where the type is another one.
"""

import pathlib
from typing import Any, assert_type

import jax
import numpy as np
from flax import nnx

import hrnet_jax
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.export.check import Check
from hrnet_jax.export.exported import ExportedModel
from hrnet_jax.models.layers import Conv
from hrnet_jax.models.model import Model
from hrnet_jax.models.packing import Map


def runs(path: pathlib.Path, paths: list[pathlib.Path], image: np.ndarray) -> None:
    run = hrnet_jax.load_run(path)
    assert_type(run, hrnet_jax.LoadedRun)
    assert_type(run.predict("street.jpg"), dict[str, np.ndarray])
    assert_type(run.predict(path, probabilities=True), dict[str, np.ndarray])
    assert_type(run.predict(paths), list[dict[str, np.ndarray]])
    assert_type(run.predict(["a.jpg", image]), list[dict[str, np.ndarray]])
    assert_type(run.predict(image), Any)  # one image, or a stack of them
    assert_type(run.logits(path), np.ndarray)
    assert_type(run.logits(paths), list[np.ndarray])
    assert_type(run.features(path), tuple[np.ndarray, ...])
    assert_type(run.draw(path, run.predict(path)), np.ndarray)
    assert_type(run.info, DatasetInfo)
    assert_type(run.config, TrainConfig)
    assert_type(run.metrics, dict[str, float])
    predictor = hrnet_jax.load_pretrained("segmentation/w48", "hf://owner/name")
    assert_type(predictor, hrnet_jax.Predictor)
    exported = hrnet_jax.open_exported(path)
    assert_type(exported, ExportedModel)
    assert_type(exported.predict(path), dict[str, np.ndarray])
    assert_type(hrnet_jax.export_model(run, path), Check)


def networks(images: jax.Array, image: np.ndarray) -> None:
    model = hrnet_jax.create_model("segmentation/w48", num_classes=19)
    assert_type(model, Model)
    assert_type(model.min_size, int)
    variables = hrnet_jax.initial_variables(model)
    assert_type(hrnet_jax.to_nnx(model, variables), nnx.bridge.ToNNX)
    assert_type(hrnet_jax.normalize_images(images), jax.Array)
    assert_type(hrnet_jax.normalize_images(image), np.ndarray)
    state = hrnet_jax.pretrained.read_weights_file("weights.pth")
    assert_type(state, dict[str, np.ndarray])


def layers(images: jax.Array, maps: Map) -> None:
    assert_type(Conv(8)(images), jax.Array)
    assert_type(Conv(8)(maps), Map)


def data(folder: pathlib.Path) -> None:
    assert_type(hrnet_jax.prepare("shapes", folder), DatasetInfo)
    records = hrnet_jax.open_records("shapes", folder, "train")
    assert_type(records[0], dict[str, Any])
    assert_type(records[:3], list[dict[str, Any]])
    assert_type(hrnet_jax.train({}, folder), dict[str, float])
    assert_type(hrnet_jax.evaluate({}, folder), dict[str, float])
