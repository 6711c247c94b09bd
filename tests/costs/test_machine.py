"""Peaks of a machine from probes."""

import math

from hrnet_jax.costs import machine
from hrnet_jax.costs.machine import Machine, Probe, machine_of, seconds_in_turns


def test_the_fastest_run_of_the_fastest_probe_is_the_peak():
    probes = {
        "product": Probe(int, flops=100),
        "slow product": Probe(int, flops=100),
        "copy": Probe(int, bytes=30),
    }
    seconds = {"product": [2.0, 1.0], "slow product": [4.0], "copy": [3.0, 6.0]}
    found = machine_of(probes, seconds)
    assert found.flops == {"product": 100.0, "slow product": 25.0}
    assert found.bandwidth == {"copy": 10.0}
    assert found.roofline.flops == 100 and found.roofline.bandwidth == 10


def test_a_kernel_takes_at_least_its_arithmetic_or_its_traffic():
    roof = Machine({"a": 100.0, "b": 50.0}, {"copy": 10.0}).roofline
    assert roof.seconds(200, 10) == roof.compute(200) == 2.0
    assert roof.seconds(200, 40) == roof.memory(40) == 4.0
    assert roof.ridge == 10.0


def test_functions_take_turns_after_a_call_that_does_not_count():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    found = seconds_in_turns(functions, tries=2)
    assert calls == ["a", "b"] * 3
    assert {name: len(times) for name, times in found.items()} == {"a": 2, "b": 2}


def test_a_slow_function_gets_no_more_turns(monkeypatch):
    # Every look at the clock is a second later.
    clock = iter(range(100))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: float(next(clock)))
    found = seconds_in_turns({"a": int}, tries=20, limit_s=3.0)
    assert found == {"a": [1.0, 1.0, 1.0]}


def test_further_probes_count_as_well():
    def more(side, dtype, elements):
        assert (side, dtype, elements) == (16, "float32", 64)
        return {"another": Probe(int, flops=7, bytes=8)}

    found = machine.measure_machine("float32", side=16, elements=64, more=more)
    assert set(found.flops) == {"jax", "jax without options", "another"}
    assert {"jax triad", "another"} <= set(found.bandwidth)
    rates = [*found.flops.values(), *found.bandwidth.values()]
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)
