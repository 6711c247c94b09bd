"""A classifier learns from another one, which is neither trained nor saved."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from hrnet_jax import runtime
from hrnet_jax.conversion.saving import save_converted
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.records import open_records
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.experiment.sections import OptimizerOptions
from hrnet_jax.models.folding import fold_batch_norm
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import to_torch
from hrnet_jax.registry import create_model
from hrnet_jax.runtime.placement import replicate
from hrnet_jax.training.build import build_task
from hrnet_jax.training.interruption import EndedEarly
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step
from hrnet_jax.training.teacher import with_teacher
from hrnet_jax.training.train import train
from hrnet_jax.training.weights import flat_variables
from tests import tiny, tiny_classification

INFO = DatasetInfo("things", 0, (), (), image_class_names=("a", "b", "c"))


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


@functools.cache
def weights(classes=3):
    """Of the teacher; other than what a run is begun with."""
    return initial_variables(
        create_model("classification/tiny", num_classes=classes), 5
    )


def config_of(teacher, task="classification", **loss):
    config = default_config(task)
    config.model.name = f"{task}/tiny"
    config.loss.update(teacher=str(teacher), **loss)
    return read_config(config)


def work_directory(folder, info=INFO):
    config = default_config("classification")
    config.model.name = "classification/tiny"
    save_converted(folder, config, weights(len(info.image_class_names)), info)
    return folder


def weights_file(folder, classes):
    """A network as a PyTorch file, and its variables."""
    path = folder / "teacher.pth"
    model = create_model("classification/w18_small_v1", num_classes=classes)
    variables = initial_variables(model, 5)
    tensors = to_torch(variables, model)
    torch.save({key: torch.tensor(value) for key, value in tensors.items()}, path)
    return path, model, variables


def opened(config, info=INFO):
    return with_teacher(build_task(config, info), config, info)


@pytest.mark.slow
def test_a_file_of_weights_teaches_as_well(tmp_path):
    source, model, variables = weights_file(tmp_path, 3)
    _, teacher = opened(config_of(source))
    _, expected = fold_batch_norm(model, variables)
    tiny.assert_equal_bits(flat_variables(teacher), flat_variables(expected))
    other = dataclasses.replace(INFO, image_class_names=("a", "b"))
    expected = "it has num_classes=3, the data set 'things' has 2"
    with pytest.raises(ConfigError, match=expected):
        opened(config_of(source), other)


@pytest.mark.slow
def test_its_weights_are_folded_and_have_the_compute_type(tmp_path):
    config = config_of(work_directory(tmp_path))
    config = dataclasses.replace(config, precision="bfloat16")
    _, teacher = opened(config)
    assert teacher.keys() == {"params"}
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(teacher)} == {"bfloat16"}


OTHER = dataclasses.replace(INFO, name="others", image_class_names=("a", "b", "d"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("nothing", r"'loss\.teacher': {}.*no such"),
        ("classes", "trained on the classes of 'others', not on those of 'things'"),
        ("task", r"it is segmentation/tiny; expected a model of classification"),
    ],
)
def test_a_teacher_that_cannot_teach_is_named(kind, expected, tmp_path):
    source = tmp_path / "teacher"
    if kind == "classes":
        work_directory(source, OTHER)
    if kind == "task":
        config = default_config("segmentation")
        config.model.name = "segmentation/tiny"
        save_converted(source, config, weights(), INFO)
    with pytest.raises(ConfigError, match=expected.format(source)):
        opened(config_of(source))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_reads_the_teacher_and_changes_the_rest(accumulate):
    """Along the gradient of the mean of (w x - t x)^2 for a teacher t."""

    def loss(variables, batch, rngs):
        difference = variables["params"]["w"] - variables["teacher"]["t"]
        return jnp.mean((difference * batch["x"]) ** 2), ({}, {})

    mesh = runtime.make_mesh(data=1)
    optimizer = make_optimizer(
        OptimizerOptions(momentum=0, weight_decay=0), lambda _: 1
    )
    step = make_train_step(
        loss, optimizer, lambda _: 1.0, mesh, accumulate=accumulate, has_teacher=True
    )
    variables = {"params": {"w": np.float32(1)}, "batch_stats": {}}
    state = replicate(create_state(variables, optimizer), mesh)
    teacher = replicate({"t": np.float32(3)}, mesh)
    batch = {"x": jnp.array([0.5, 1.0])}
    _, compiled = runtime.compile_ahead(step, state, batch, teacher)
    state, scalars = compiled(state, batch, teacher)
    assert float(scalars["loss"]) == pytest.approx(4 * 1.25 / 2)
    assert float(state.params["w"]) == pytest.approx(1 + 2 * 2 * 1.25 / 2)
    assert float(teacher["t"]) == 3  # not donated


@pytest.mark.slow
def test_a_run_with_a_teacher_resumes_and_saves_it_nowhere(tmp_path):
    data = tiny_classification.data_dir()
    info = open_records("shapes_classes", str(data), "train").info
    source = work_directory(tmp_path / "teacher", info)
    changes = {"num_steps": 4, "eval__every_steps": 2, "checkpoint__every_steps": 2}
    config = tiny_classification.config(loss__teacher=str(source), **changes)
    train(config, tmp_path / "whole")
    with pytest.raises(EndedEarly):
        train(config, tmp_path / "parts", goes_on=lambda step, metrics: False)
    train(config, tmp_path / "parts")
    whole = tiny.state(tmp_path / "whole")
    tiny.assert_equal_bits(whole, tiny.state(tmp_path / "parts"))
    assert not [name for name in whole if "teacher" in name]
    plain = tiny_classification.config(**changes)
    train(plain, tmp_path / "plain")
    assert tiny.state(tmp_path / "plain").keys() == whole.keys()
    last = tiny.learned(tmp_path / "whole")[0]
    assert last["train/teacher_loss"] > 0
