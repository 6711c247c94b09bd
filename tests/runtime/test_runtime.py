"""Devices, mesh, compiler options and the compilation cache."""

import gc
import importlib.util
import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from hrnet_jax import runtime
from hrnet_jax.costs.slices import parse_slices
from hrnet_jax.errors import ConfigError
from hrnet_jax.planning import topologies
from hrnet_jax.runtime import compiler, memory
from hrnet_jax.runtime import mesh as mesh_module
from hrnet_jax.runtime.pieces import PiecewiseProgram


def test_there_are_eight_virtual_devices():
    # Tests of sharding would mean nothing on one device.
    assert jax.device_count() == 8


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({}, (8, 1)),
        ({"space": 2}, (4, 2)),
        ({"data": 2, "space": 4}, (2, 4)),
        ({"data": 1}, (1, 1)),
        ({"data": 3}, (3, 1)),
        ({"data": 1, "space": 8}, (1, 8)),
    ],
)
def test_the_mesh_divides_the_devices(sizes, expected):
    mesh = runtime.make_mesh(**sizes)
    assert mesh.axis_names == ("data", "space")
    assert mesh.devices.shape == expected
    assert mesh.axis_types == (AxisType.Auto, AxisType.Auto)
    assert list(mesh.devices.flat) == jax.devices()[: expected[0] * expected[1]]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"space": 3}, "mesh.space=3 does not divide the 8 devices"),
        ({"space": 0}, "mesh.space=0"),
        ({"space": -1}, "mesh.space=-1"),
        ({"data": 16}, "mesh.data=16 times mesh.space=1 needs 16 devices, there are 8"),
        ({"data": 8, "space": 2}, "needs 16 devices, there are 8"),
        ({"data": 0}, "mesh.data=0"),
        ({"data": -2}, "mesh.data=-2"),
    ],
)
def test_a_mesh_that_the_devices_cannot_form_is_an_error(sizes, message):
    with pytest.raises(ConfigError, match=message):
        runtime.make_mesh(**sizes)


@pytest.mark.parametrize(
    ("space", "ndim", "expected"),
    [
        (1, 1, PartitionSpec("data")),
        (1, 4, PartitionSpec("data")),
        (2, 1, PartitionSpec("data")),
        (2, 2, PartitionSpec("data")),
        (2, 3, PartitionSpec("data", "space")),
        (2, 4, PartitionSpec("data", "space")),
    ],
)
def test_examples_lie_over_data_and_rows_over_space(space, ndim, expected):
    mesh = runtime.make_mesh(space=space)
    assert runtime.batch_sharding(mesh, ndim).spec == expected


def test_functions_know_over_how_many_devices_rows_are_divided():
    seen = []

    # Traced once for whole images: not to be taken for divided ones.
    @jax.jit
    def block(x):
        seen.append(runtime.row_shards())
        return x + 1

    def function(x):
        return block(x)

    x = jnp.ones(8)
    function(x)
    for space in (1, 4, 2):
        mesh = runtime.make_mesh(data=1, space=space)
        compiled = runtime.jit(function, mesh)
        assert compiled.__wrapped__.__name__ == "function"
        compiled.lower(x)
    assert seen == [1, 4, 2]
    assert runtime.row_shards() == 1


def test_replicated_values_are_whole_everywhere():
    value = jax.device_put(np.ones(3), runtime.replicated(runtime.make_mesh()))
    assert value.is_fully_replicated
    assert len(value.sharding.device_set) == 8


def test_sorts_and_counts_over_a_sharded_batch_trace():
    mesh = runtime.make_mesh()
    values = np.arange(16)[::-1].copy()
    sharded = jax.device_put(values, runtime.batch_sharding(mesh))

    @runtime.jit
    def compute(x):
        return jnp.sort(x), jnp.bincount(x % 4, length=4), jax.lax.top_k(x, 2)[0]

    ordered, counts, largest = compute(sharded)
    np.testing.assert_array_equal(ordered, np.arange(16))
    np.testing.assert_array_equal(counts, [4, 4, 4, 4])
    np.testing.assert_array_equal(largest, [15, 14])


@pytest.fixture
def forget_probe():
    """Lets the probe of the compiler options run anew, before and after."""
    compiler._accepted.cache_clear()
    yield
    compiler._accepted.cache_clear()


def test_compiler_options_do_not_change_results():
    x = np.random.default_rng(0).standard_normal((1, 9, 9, 4)).astype(np.float32)
    kernel = np.random.default_rng(1).standard_normal((3, 3, 4, 5)).astype(np.float32)

    def compute(x, kernel):
        y = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jax.nn.relu(y * 2 + 1)

    np.testing.assert_allclose(
        runtime.jit(compute)(x, kernel), jax.jit(compute)(x, kernel), atol=1e-4
    )


def test_options_that_this_compiler_refuses_are_left_out(
    forget_probe, monkeypatch, caplog
):
    monkeypatch.setitem(compiler._OPTIONS, "cpu", {"xla_no_such_option": "1"})
    assert runtime.compiler_options() == {}
    assert "not accepted" in caplog.text
    assert runtime.jit(lambda x: x + 1)(jnp.ones(())) == 2


@pytest.mark.parametrize(
    ("kind", "options", "channels", "dtype", "lanes"),
    [
        ("tpu", True, 18, "float32", 128),
        ("tpu", True, 48, "bfloat16", 128),
        # Four pixels of 18 channels are a multiple of eight.
        ("gpu", False, 18, "bfloat16", 72),
        ("gpu", False, 18, "float32", 0),
        ("gpu", False, 48, "bfloat16", 0),
        # 120 channels: measured to pay only up to 72.
        ("gpu", False, 30, "bfloat16", 0),
    ],
)
def test_options_and_lanes_are_those_of_the_mesh(
    kind, options, channels, dtype, lanes, monkeypatch
):
    monkeypatch.setattr(compiler, "_accepted", lambda device: True)
    for module in (compiler, mesh_module):
        monkeypatch.setattr(
            module, "device_of", lambda mesh: types.SimpleNamespace(platform=kind)
        )
    found = runtime.compiler_options()
    assert bool(found) is options
    assert all(name.startswith(f"xla_{kind}_") for name in found)
    assert runtime.lanes(channels, jnp.dtype(dtype)) == lanes


def test_a_cpu_has_options_and_no_lanes():
    mesh = runtime.make_mesh(data=2)
    assert list(runtime.compiler_options(mesh)) == list(compiler._OPTIONS["cpu"])
    assert runtime.lanes(18, jnp.bfloat16, mesh) == 0


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed"
)
def test_the_tpu_compiler_knows_our_options():
    topologies.require_libtpu()
    chosen = parse_slices("v5e:1x1")[0]
    mesh = topologies.make_mesh(chosen, topologies.describe(chosen))
    assert runtime.compiler_options(mesh) == compiler._OPTIONS["tpu"]
    assert runtime.lanes(18, jnp.bfloat16, mesh) == 128


@pytest.mark.parametrize(
    ("backend", "variable", "kept"),
    [("cpu", "1", True), ("gpu", "1", False), ("cpu", "0", False)],
)
def test_freed_memory_is_kept_on_a_cpu_unless_unwanted(
    backend, variable, kept, monkeypatch
):
    calls = []
    library = types.SimpleNamespace(mallopt=lambda *args: calls.append(args) or 1)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setenv("HRNET_JAX_KEEP_MEMORY", variable)
    runtime.keep_freed_memory.cache_clear()
    assert runtime.keep_freed_memory() is kept
    # M_MMAP_MAX and M_TRIM_THRESHOLD of glibc.
    assert calls == ([(-4, 0), (-1, -1)] if kept else [])
    runtime.keep_freed_memory.cache_clear()


def test_other_c_libraries_are_left_alone(monkeypatch):
    def no_library(name):
        raise TypeError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", no_library)
    monkeypatch.setenv("HRNET_JAX_KEEP_MEMORY", "1")
    runtime.keep_freed_memory.cache_clear()
    assert runtime.keep_freed_memory() is False
    runtime.keep_freed_memory.cache_clear()


@pytest.fixture
def restore_cache():
    folder = jax.config.jax_compilation_cache_dir
    yield
    jax.config.update("jax_compilation_cache_dir", folder)


def test_the_compilation_cache_lies_where_it_is_asked_for(
    restore_cache, monkeypatch, tmp_path
):
    monkeypatch.setenv("HRNET_JAX_CACHE", str(tmp_path / "variable"))
    assert runtime.enable_compilation_cache() == str(tmp_path / "variable")
    assert runtime.enable_compilation_cache(tmp_path / "given") == str(
        tmp_path / "given"
    )
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "given")
    monkeypatch.delenv("HRNET_JAX_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    default = pathlib.Path(runtime.enable_compilation_cache())
    assert default.is_relative_to(tmp_path / ".cache" / "hrnet_jax")


@pytest.mark.usefixtures("forget_probe")
def test_options_that_compute_wrong_results_are_not_used(monkeypatch, caplog):
    # One wrong value in the probe, as a release with a broken kernel would give.
    product = compiler.np.einsum
    monkeypatch.setattr(
        compiler.np, "einsum", lambda *args: product(*args) + np.float32(0.1)
    )
    assert runtime.compiler_options() == {}
    assert "wrong results" in caplog.text


def compiled_on(devices: int, function):
    mesh = runtime.make_mesh(data=devices)
    x = jax.device_put(jnp.arange(8.0), runtime.batch_sharding(mesh))
    _, compiled = runtime.compile_ahead(runtime.jit(function), x)
    np.testing.assert_allclose(compiled(x), function(np.arange(8.0)))
    return compiled


def test_a_function_on_one_cpu_is_cut_and_others_are_not():
    assert isinstance(compiled_on(1, lambda x: 2 * x), PiecewiseProgram)
    # Among several devices the compiler decides where intermediate values are.
    assert not isinstance(compiled_on(8, lambda x: 2 * x), PiecewiseProgram)


def test_a_function_with_side_effects_stays_whole(capfd):
    def function(x):
        jax.debug.print("seen")
        return 2 * x

    assert not isinstance(compiled_on(1, function), PiecewiseProgram)
    jax.effects_barrier()
    assert "seen" in capfd.readouterr().out


def test_compiling_ahead_leaves_garbage_collection_as_it_was():
    function = runtime.jit(lambda x: 2 * x)
    traced, compiled = runtime.compile_ahead(function, jnp.ones(3))
    assert gc.isenabled()
    assert len(traced.jaxpr.jaxpr.eqns) == 1
    np.testing.assert_array_equal(compiled(jnp.ones(3)), [2, 2, 2])
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            runtime.compile_ahead(runtime.jit(lambda x: x / (1 // 0)), 1.0)
        assert not gc.isenabled()
    finally:
        gc.enable()
