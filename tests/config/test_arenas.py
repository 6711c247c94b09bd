"""Threads of a script that computes on a CPU share one arena."""

import types

import pytest

from hrnet_jax.config import arenas, script


@pytest.mark.parametrize(
    ("platforms", "keep", "installed", "shared"),
    [
        ("", "1", (), True),
        ("cpu", "1", ("libtpu",), True),
        ("", "1", ("jax_cuda12_plugin",), False),
        ("tpu,cpu", "1", (), False),
        ("", "0", (), False),
    ],
)
def test_it_is_shared_on_a_cpu_unless_unwanted(
    platforms, keep, installed, shared, monkeypatch
):
    calls = []
    library = types.SimpleNamespace(mallopt=lambda *args: calls.append(args) or 1)
    monkeypatch.setattr(arenas.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(
        arenas.importlib.util, "find_spec", lambda name: name in installed or None
    )
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setenv("HRNET_JAX_KEEP_MEMORY", keep)
    assert arenas.share_one_arena() is shared
    # M_ARENA_MAX of glibc.
    assert calls == ([(-8, 1)] if shared else [])


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(arenas.ctypes, "CDLL", lambda name: types.SimpleNamespace())
    monkeypatch.setattr(arenas, "_has_accelerator", lambda: False)
    monkeypatch.setenv("HRNET_JAX_KEEP_MEMORY", "1")
    assert arenas.share_one_arena() is False


def test_every_script_begins_with_it(monkeypatch):
    calls = []
    monkeypatch.setattr(arenas, "share_one_arena", lambda: calls.append(1))
    monkeypatch.setattr(script.ctrl_c, "ends_this_script", lambda: None)
    monkeypatch.setattr(script.sys, "excepthook", script.sys.excepthook)
    script.begins()
    assert calls == [1]
