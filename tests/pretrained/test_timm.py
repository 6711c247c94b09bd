"""timm's own models with random weights give the same logits through conversion.

Needs the extra `[convert]`: `make test-convert`.
"""

import numpy as np
import pytest
import torch

from hrnet_jax import runtime
from hrnet_jax.conversion.importing import import_weights
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.pretrained import from_torch, recognize, to_torch
from hrnet_jax.registry import create_model

pytestmark = [
    pytest.mark.convert,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

TOLERANCE = 5e-5  # of the standard deviation of the logits

MODELS = {
    "hrnet_w18": "classification/w18",
    "hrnet_w18_small": "classification/w18_small_v1",
    "hrnet_w18_small_v2": "classification/w18_small_v2",
    "hrnet_w48": "classification/w48",
    "hrnet_w18_ssld": "classification/w18",
}


def random_timm_model(name: str) -> torch.nn.Module:
    """timm's model; its norms get statistics that are not the initial ones."""
    timm = pytest.importorskip("timm", reason="needs the extra [convert]")
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return model


def random_images(batch: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, height, width, 3), np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_timm(name):
    theirs = random_timm_model(name)
    state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    found = recognize({k: v for k, v in state.items() if "num_batches" not in k})
    assert found.model == MODELS[name]
    assert found.options["head_bias"] == (not name.endswith("_ssld"))
    ours = create_model(found.model, **found.options)
    variables = from_torch(state, ours)
    images = random_images(2, 96, 64)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    got = np.asarray(runtime.jit(ours.apply)(variables, images))
    error = np.abs(got - expected).max() / expected.std()
    assert error <= TOLERANCE, f"{error:.1e}"
    back = to_torch(variables, ours)
    theirs.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in back.items()})


def test_a_safetensors_file_of_the_hub_becomes_a_run(tmp_path):
    from safetensors.torch import save_file

    theirs = random_timm_model("hrnet_w18_small")
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    imported = import_weights(tmp_path / "model.safetensors", tmp_path / "run")
    assert imported.model == "classification/w18_small_v1"
    image = np.random.default_rng(1).integers(0, 256, (300, 260, 3), np.uint8)
    prediction = load_run(tmp_path / "run").predict(image)
    assert prediction["probabilities"].shape == (1000,)
    assert prediction["probabilities"].sum() == pytest.approx(1, abs=1e-4)
