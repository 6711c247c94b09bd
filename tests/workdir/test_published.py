"""Published folders of every family of models."""

import pytest

from hrnet_jax.errors import WeightsError
from hrnet_jax.experiment.build import build_model
from hrnet_jax.experiment.defaults import default_config, to_json
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import get_spec
from hrnet_jax.training.weights import flat_variables
from hrnet_jax.workdir.published import (
    WEIGHTS_FILE,
    PublishedRun,
    is_published,
    published_variables,
    read_published,
    write_published,
)
from hrnet_jax.workdir.variables import saved_info, saved_variables
from tests import tiny

OUTPUTS = 5
# Options of the heads, which names and shapes of the weights follow.
OPTIONS = {
    "segmentation/tiny": {"head_width": 24, "head_bias": False},
    "landmarks/tiny": {"representation": "v1h"},
}


def published(name: str) -> PublishedRun:
    """A run of a model that nobody trained."""
    spec = get_spec(name.partition("/")[0])
    config = default_config(spec.name)
    config.model.name = name
    for key, value in OPTIONS.get(name, {}).items():
        if key in config.model:
            config.model[key] = value
        else:
            with config.unlocked():
                config.model.options[key] = value
    info = spec.numbered_info("mine", OUTPUTS)
    return PublishedRun(to_json(config), info, 3, {}, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "classification/tiny",
        "landmarks/tiny",
        "pose/w18_small_v1",
        "pyramid/tiny",
        "segmentation/tiny",
        "segmentation/tiny_ocr",
    ],
)
def test_what_is_written_is_read(name, tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    run = published(name)
    variables = initial_variables(build_model(read_config(run.config), run.info), 1)
    assert not is_published(tmp_path)
    write_published(tmp_path, run, variables, "1.0")
    assert is_published(tmp_path)
    found = read_published(tmp_path)
    assert (found.step, found.info, found.config) == (3, run.info, run.config)
    expected = flat_variables(variables)
    for read in (published_variables(tmp_path), saved_variables(tmp_path, "best")):
        tiny.assert_equal_bits(flat_variables(read), expected)
    assert saved_info(tmp_path, "best") == run.info


@pytest.mark.slow
def test_weights_of_another_configuration_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    for name in ("segmentation/tiny", "landmarks/tiny"):
        run = published(name)
        model = build_model(read_config(run.config), run.info)
        folder = tmp_path / name.partition("/")[0]
        folder.mkdir()
        write_published(folder, run, initial_variables(model, 1), "1.0")
    wrong = tmp_path / "landmarks" / WEIGHTS_FILE
    wrong.write_bytes((tmp_path / "segmentation" / WEIGHTS_FILE).read_bytes())
    with pytest.raises(WeightsError, match=f"{WEIGHTS_FILE}: "):
        published_variables(tmp_path / "landmarks")
