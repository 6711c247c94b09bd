"""Programs are those of the platform they are for, wherever they are traced."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hrnet_jax
from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.layers import relu
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from hrnet_jax.runtime import compiler
from hrnet_jax.runtime.target import per_target, target, traced_for, tracing_for
from hrnet_jax.segmentation.task import SegmentationTask
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step
from tests import tiny
from tests.tiers import fast_are

PACKAGE = pathlib.Path(hrnet_jax.__file__).parent
# What JAX lowers for -> what `jax.default_backend()` says there.
BACKENDS = {"cpu": "cpu", "cuda": "gpu", "tpu": "tpu"}


@pytest.fixture
def task(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    model = create_model(f"segmentation/{tiny.VARIANT_NAME}", num_classes=3)
    info = DatasetInfo("any", 3, tuple("abc"), ((0, 0, 0),) * 3)
    return SegmentationTask(model, info)


def train_step(task):
    """The loss with its gradient: every form that depends on the platform."""
    variables = initial_variables(task.model)
    batch = {
        "image": np.zeros((2, 64, 64, 3), np.uint8),
        "label": np.zeros((2, 64, 64), np.int32),
    }

    def step(variables):
        def loss(params):
            return task.loss({**variables, "params": params}, batch, {})[0]

        return jax.grad(loss)(variables["params"])

    return step, variables


def prediction(task):
    images = np.zeros((1, 64, 64, 3), np.uint8)
    return lambda variables: task.predict(variables, {"image": images}), (
        initial_variables(task.model)
    )


def lowered(function, argument, platform):
    text = jax.jit(function).trace(argument).lower(lowering_platforms=(platform,))
    return text.as_text()


@pytest.mark.parametrize("make", fast_are([prediction], [train_step, prediction]))
def test_each_platform_gets_the_program_that_it_would_trace_itself(
    make, task, monkeypatch
):
    function, argument = make(task)
    here = {p: lowered(traced_for(p, function), argument, p) for p in BACKENDS}
    for platform, backend in BACKENDS.items():
        with monkeypatch.context() as there:
            there.setattr(jax, "default_backend", lambda backend=backend: backend)
            jax.clear_caches()
            # A new function, as traces of one function are kept.
            itself = lowered(lambda x: function(x), argument, platform)
        jax.clear_caches()
        assert operations(itself) == operations(here[platform]), platform
    assert len(set(map(tuple, map(operations, here.values())))) == 3


def operations(text: str) -> list[str]:
    """Names of a program's operations and types of their results, in order."""
    return re.findall(
        r"(stablehlo\.\w+).*?(?:-> )?(tensor<[^>]*>)?$", text, re.MULTILINE
    )


def test_an_exported_file_holds_the_program_of_each_platform(task):
    function, variables = prediction(task)

    def whole(variables):
        with tracing_for(*BACKENDS):
            return function(variables)

    traced = jax.jit(whole).trace(variables)
    for platform in BACKENDS:
        alone = lowered(traced_for(platform, function), variables, platform)
        found = traced.lower(lowering_platforms=(platform,)).as_text()
        assert counted(found) == counted(alone), platform
    exported = jax.export.export(jax.jit(whole), platforms=[*BACKENDS])(variables)
    text = exported.mlir_module()
    assert "stablehlo.maximum" in text and "stablehlo.select" in text


def counted(text: str) -> dict[str, int]:
    """Operations by name, without the weights and the choice of a platform."""
    names = [name for name, _ in operations(text)]
    left_out = {"stablehlo.constant", "stablehlo.return", "stablehlo.case"}
    return {name: names.count(name) for name in set(names) - left_out}


def test_relu_keeps_a_trace_for_each_platform():
    x = jnp.ones(3)
    for _ in range(2):
        for platform, name in (("cpu", "select"), ("tpu", "max"), ("cuda", "max")):
            text = str(jax.make_jaxpr(traced_for(platform, lambda x: relu(x)))(x))
            assert (f"{name}" in text) and (("max" in text) == (name == "max"))


def test_a_mesh_decides_for_what_is_traced(monkeypatch):
    seen = []
    mesh = runtime.make_mesh(data=2)
    monkeypatch.setattr(compiler, "platform_of", lambda device: "tpu")
    monkeypatch.setattr(compiler, "compiler_options", lambda mesh: {})
    runtime.jit(lambda x: seen.append(target()) or x, mesh).trace(1.0)
    assert seen == ["tpu"] and target() == "cpu"
    with tracing_for("rocm"):
        assert target() == "gpu"


def test_steps_of_a_mesh_elsewhere_are_traced_for_it(task, monkeypatch):
    mesh = runtime.make_mesh(data=2)
    optimizer = optax.sgd(0.1)
    state = create_state(initial_variables(task.model), optimizer)
    batch = {
        "image": np.zeros((2, 64, 64, 3), np.uint8),
        "label": np.zeros((2, 64, 64), np.int32),
        "example_valid": np.ones(2, bool),
    }

    def text():
        step = make_train_step(task.loss, optimizer, lambda step: 0.1, mesh)
        return step.trace(state, batch).lower(lowering_platforms=("tpu",)).as_text()

    before = text()
    monkeypatch.setattr(compiler, "platform_of", lambda device: "tpu")
    monkeypatch.setattr(compiler, "compiler_options", lambda mesh: {})
    assert before.count("stablehlo.maximum") < text().count("stablehlo.maximum")


def test_nothing_else_asks_where_this_process_runs():
    # These are about this process: its memory, what it leaves unused, and a
    # measurement of the machine.
    process = {"runtime/memory.py", "runtime/accelerators.py", "costs/machine.py"}
    own = {"runtime/target.py", *process}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "default_backend" in path.read_text()
    }
    assert found == own


def test_only_what_differs_is_chosen_when_lowering():
    x = jnp.ones(3)
    with tracing_for("cpu", "tpu"):
        alike = jax.make_jaxpr(lambda x: per_target(jnp.sin, x))(x)
        chosen = jax.make_jaxpr(lambda x: per_target(differs, x))(x)
    assert str(alike) == str(jax.make_jaxpr(jnp.sin)(x))
    assert "platform_index" in str(chosen)


def differs(x):
    return jnp.sin(x) if target() == "tpu" else jnp.cos(x)


def test_a_form_that_was_not_wrapped_is_an_error():
    with tracing_for("cpu", "tpu"), pytest.raises(RuntimeError, match="per_target"):
        jax.make_jaxpr(differs)(jnp.ones(3))


def test_forms_that_differ_in_an_array_alone_are_not_alike():
    arrays = {"cpu": np.arange(3.0), "tpu": np.arange(3.0) + 1}
    with tracing_for("cpu", "tpu"):
        text = str(
            jax.make_jaxpr(
                lambda x: per_target(lambda x: x + jnp.asarray(arrays[target()]), x)
            )(jnp.ones(3))
        )
    assert "platform_index" in text
