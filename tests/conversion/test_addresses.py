"""Files of weights opened and converted by their address, as if they lay here."""

import json

import numpy as np
import pytest
import safetensors.numpy

from hrnet_jax.conversion.importing import import_weights
from hrnet_jax.conversion.opening import load_pretrained, load_run
from hrnet_jax.errors import WeightsError
from hrnet_jax.experiment.sections import ModelOptions
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.pretrained.convert import to_torch
from hrnet_jax.registry import create_model
from hrnet_jax.training.weights import first_variables, flat_variables
from tests.pretrained.web_server import Page, serving

MODEL = "segmentation/w18_small_v1"


@pytest.fixture(scope="module")
def network():
    model = create_model(MODEL, num_classes=19)
    return model, initial_variables(model, 1)


@pytest.fixture(scope="module")
def web(network, tmp_path_factory):
    """A server with the file, and with one of another network."""
    model, variables = network
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HRNET_JAX_WEIGHTS", str(tmp_path_factory.mktemp("cache")))
        body = safetensors.numpy.save(to_torch(variables, model))
        server.pages["/w18.safetensors"] = Page(body)
        other = safetensors.numpy.save({"bert": np.zeros(3, np.float32)})
        server.pages["/bert.safetensors"] = Page(other)
        yield server


def test_training_starts_from_an_address(web, network):
    model, variables = network
    options = ModelOptions(name=MODEL, init_from=f"{web.address}/w18.safetensors")
    found, _ = first_variables(model, options, seed=2)
    expected = flat_variables(variables)
    for name, array in flat_variables(found).items():
        np.testing.assert_array_equal(array, expected[name])


def test_errors_name_the_address(web, network):
    address = f"{web.address}/bert.safetensors"
    with pytest.raises(WeightsError) as error:
        load_run(address)
    assert str(error.value).startswith(f"{address}: ")
    options = ModelOptions(name=MODEL, init_from=address)
    with pytest.raises(WeightsError) as error:
        first_variables(network[0], options, seed=2)
    assert str(error.value).startswith(f"model.init_from={address}: ")
    missing = f"{web.address}/none.pth"
    with pytest.raises(WeightsError, match="HTTP 404, no such file there"):
        load_run(missing)


@pytest.mark.slow
def test_a_file_is_opened_and_converted_by_its_address(web, network, tmp_path):
    address = f"{web.address}/w18.safetensors"
    predictor = load_pretrained(MODEL, address)
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    assert predictor.predict(image)["label"].shape == (32, 64)
    message = f"{address}: these are weights of {MODEL}, expected segmentation/w48"
    with pytest.raises(WeightsError, match=message):
        load_pretrained("segmentation/w48", address)
    import_weights(address, tmp_path / "run")
    written = json.loads((tmp_path / "run" / "weights.json").read_text())
    assert written["address"] == address
    assert written["file"] == "w18.safetensors"
