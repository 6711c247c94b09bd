"""Where a process finds its place, and what several processes exchange."""

import types

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from hrnet_jax import runtime
from hrnet_jax.config import command_line
from hrnet_jax.data.stream.feeding import to_global
from hrnet_jax.errors import ConfigError
from hrnet_jax.runtime import processes

SECOND = {
    "HRNET_JAX_PROCESSES": "4",
    "HRNET_JAX_PROCESS": "1",
    "HRNET_JAX_COORDINATOR": "10.0.0.7:1234",
}


def test_a_place_comes_from_three_variables():
    assert processes.place_from(SECOND) == {
        "coordinator_address": "10.0.0.7:1234",
        "num_processes": 4,
        "process_id": 1,
    }


@pytest.mark.parametrize("count", [None, "", "1"])
def test_alone_the_other_variables_do_not_matter(count):
    environment = SECOND | {"HRNET_JAX_PROCESS": "7"}
    del environment["HRNET_JAX_PROCESSES"]
    if count is not None:
        environment["HRNET_JAX_PROCESSES"] = count
    assert processes.place_from(environment) is None


def test_auto_leaves_all_to_jax():
    assert processes.place_from({"HRNET_JAX_PROCESSES": "auto"}) == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_on_one_machine_nobody_else_is_listened_to(host):
    place = processes.place_from(SECOND | {"HRNET_JAX_COORDINATOR": f"{host}:1"})
    assert place["coordinator_bind_address"] == f"{host}:1"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PROCESSES", "two", "PROCESSES='two'; expected a positive number or auto"),
        ("PROCESSES", "-2", "PROCESSES='-2'; expected a positive number or auto"),
        ("PROCESSES", "0", "PROCESSES=0; expected a positive number"),
        ("PROCESS", "", "PROCESS=''; expected a number below HRNET_JAX_PROCESSES=4"),
        ("PROCESS", "4", "PROCESS=4; expected a number below HRNET_JAX_PROCESSES=4"),
        ("COORDINATOR", "", "COORDINATOR=''; expected host:port"),
        ("COORDINATOR", "here", "COORDINATOR='here'; expected host:port"),
        ("COORDINATOR", "here:", "COORDINATOR='here:'; expected host:port"),
    ],
)
def test_wrong_variables_are_named(name, value, message):
    with pytest.raises(ConfigError, match=f"HRNET_JAX_{message}"):
        processes.place_from(SECOND | {f"HRNET_JAX_{name}": value})


def test_commands_for_one_process_refuse_to_run_in_several(monkeypatch, capsys):
    monkeypatch.setenv("HRNET_JAX_PROCESSES", "2")
    with pytest.raises(SystemExit) as exit_, command_line.reporting_errors():
        raise AssertionError("the command was run")
    assert exit_.value.code == 2
    assert "HRNET_JAX_PROCESSES=2, but this command" in capsys.readouterr().err


def test_rows_gathered_by_process_are_put_into_their_global_order():
    # Two processes with two blocks of two rows each, as a mesh may interleave them.
    tables = np.array([[0, 1, 4, 5], [2, 3, 6, 7]])
    owners = {0: 0, 2: 1, 4: 0, 6: 1}
    assert processes.in_row_order(tables, owners).tolist() == [*range(8)]
    swapped = {4: 0, 0: 1}
    assert processes.in_row_order(tables, swapped).tolist() == [
        *[2, 3, 6, 7],
        *[0, 1, 4, 5],
    ]


def test_one_process_gathers_what_it_has():
    batch = {"example_valid": np.ones(8, bool), "image": np.zeros((8, 4, 4, 3))}
    arrays = to_global(batch, runtime.make_mesh())
    gathered = processes.gather_rows(arrays)
    for name, value in batch.items():
        assert type(gathered[name]) is np.ndarray
        np.testing.assert_array_equal(gathered[name], value)
    names = [f"face {index}" for index in range(8)]
    assert processes.gather_names(names, arrays["example_valid"]) == names


def mesh_of(owners):
    """A mesh of devices that belong to these processes."""
    grid = np.vectorize(lambda owner: types.SimpleNamespace(process_index=owner))(
        np.array(owners)
    )
    return types.SimpleNamespace(
        devices=grid, shape=dict(zip(("data", "space"), grid.shape, strict=True))
    )


@pytest.mark.parametrize(
    ("owners", "message"),
    [
        ([[0], [0]], "mesh.data=2 .* takes 0 devices of process 1 and 2 of process 0"),
        ([[0, 0], [0, 1]], "takes 1 devices of process 1 and 3 of process 0"),
        ([[0, 1], [0, 1]], "mesh.space=2 divides images among processes"),
    ],
)
def test_a_mesh_that_neglects_a_process_is_refused(owners, message, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ConfigError, match=message):
        processes.check_mesh(mesh_of(owners))


@pytest.mark.parametrize("owners", [[[0], [1]], [[0, 0], [1, 1]], [[1], [0]]])
def test_a_mesh_with_equal_shares_is_fine(owners, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert processes.check_mesh(mesh_of(owners)) is None
    # Fine for two processes, and for no third one.
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(ConfigError, match="takes 0 devices of process 2"):
        processes.check_mesh(mesh_of(owners))


def test_every_mesh_of_one_process_is_fine(monkeypatch):
    grid = np.array(jax.devices()[:4]).reshape(2, 2)
    mesh = Mesh(grid, ("data", "space"))
    assert processes.check_mesh(mesh) is None
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ConfigError, match="takes 0 devices of process 1 and 4 of"):
        processes.check_mesh(mesh)
