"""Programs really compiled for TPUs, where libtpu is installed."""

import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import pytest

from hrnet_jax import runtime
from hrnet_jax.costs.slices import parse_slices
from hrnet_jax.planning import programs
from hrnet_jax.planning.programs import DoesNotFitError, compile_costs
from hrnet_jax.planning.topologies import (
    describe,
    make_mesh,
    require_libtpu,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="compiling for TPUs needs libtpu: pip install -e '.[tpu]'",
)

SIDE, CHANNELS, ROUNDS = 32, 16, 3


@pytest.fixture(scope="module")
def mesh():
    require_libtpu()
    (chosen,) = parse_slices("v5e:2x2")
    return make_mesh(chosen, describe(chosen))


def convolve_and_normalize(kernel, batch):
    """A convolution, then the mean over the batch away; several times."""

    def body(images, _):
        images = jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return images - images.mean((0, 1, 2)), None

    return jax.lax.scan(body, batch["image"], None, ROUNDS)[0]


def arguments(mesh, images):
    kernel = jax.ShapeDtypeStruct(
        (3, 3, CHANNELS, CHANNELS), jnp.float32, sharding=runtime.replicated(mesh)
    )
    image = jax.ShapeDtypeStruct(
        (images, SIDE, SIDE, CHANNELS),
        jnp.float32,
        sharding=runtime.batch_sharding(mesh),
    )
    return kernel, {"image": image}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("costs")


@pytest.fixture(scope="module")
def costs(mesh, cache):
    return compile_costs(
        "test", jax.jit(convolve_and_normalize), *arguments(mesh, 4), cache=cache
    )


def test_operations_are_those_of_one_device_in_all_rounds(costs):
    products = ROUNDS * SIDE**2 * 9 * CHANNELS**2
    assert costs.flops == 2 * products


def test_every_round_sums_over_all_chips(costs):
    assert costs.collectives == {
        "all-reduce of 4": ("all-reduce", 4, ROUNDS, ROUNDS * 4 * CHANNELS)
    }
    assert costs.unknown_loops == 0


def test_at_least_arguments_and_result_cross_the_border_of_hbm(costs):
    image = SIDE**2 * CHANNELS * 4
    assert costs.hbm_bytes >= 2 * image
    assert costs.memory.batch == image
    assert costs.memory.state >= 9 * CHANNELS**2 * 4
    assert costs.memory.outputs >= image


def test_the_compiler_expects_cycles_of_convolutions(costs):
    assert costs.cycles["convolutions"] > 0
    assert costs.bytes_accessed > 0 and costs.seconds > 0


def test_costs_are_kept(mesh, cache, costs, monkeypatch):
    monkeypatch.setattr(programs, "_compile", None)
    again = compile_costs(
        "test", jax.jit(convolve_and_normalize), *arguments(mesh, 4), cache=cache
    )
    assert again == costs


def test_another_program_or_compiler_is_compiled_anew(mesh, cache, costs, monkeypatch):
    def refuse(name, lowered):
        raise AssertionError("compiled")

    monkeypatch.setattr(programs, "_compile", refuse)
    function = jax.jit(convolve_and_normalize)
    with pytest.raises(AssertionError, match="compiled"):
        compile_costs("test", function, *arguments(mesh, 8), cache=cache)
    monkeypatch.setattr(programs, "_libtpu_version", lambda: "another")
    with pytest.raises(AssertionError, match="compiled"):
        compile_costs("test", function, *arguments(mesh, 4), cache=cache)


def test_what_does_not_fit_says_what_it_needs_and_is_remembered(
    mesh, cache, monkeypatch
):
    function = jax.jit(lambda state, batch: batch["image"] + state.sum())
    given = arguments(mesh, 2**20)
    for _ in range(2):
        with pytest.raises(DoesNotFitError, match=r"^needs .*GiB, 15\.75GiB are free$"):
            compile_costs("test", function, *given, cache=cache)
        monkeypatch.setattr(programs, "_compile", None)


def test_jax_keeps_nothing_that_it_could_not_read_again(costs):
    folder = pathlib.Path(jax.config.jax_compilation_cache_dir)
    assert folder.is_dir()
    assert not list(folder.glob("*convolve_and_normalize*"))
    assert jax.config.jax_persistent_cache_min_compile_time_secs < 1
