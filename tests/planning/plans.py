"""Made-up costs and plans that the tests share."""

import dataclasses

from hrnet_jax.planning.plan import Plan, Program
from hrnet_jax.planning.roofline import Memory, ProgramCosts, times
from hrnet_jax.planning.topologies import parse_slices

COSTS = ProgramCosts(
    flops=197e9,  # a millisecond of v5e
    compiled_flops=150e9,
    bytes_accessed=8190e6,
    hbm={"convolutions": 800e6, "prefetch and eviction": 838e6},  # two milliseconds
    on_chip=5e9,
    cycles={"convolutions": 6_000_000},
    collectives={"all-reduce of 8": ("all-reduce", 8, 10, 4_000_000)},
    memory=Memory(state=100, batch=20, temporaries=3, outputs=4, code=5),
    unknown_loops=0,
    seconds=60.0,
)


def program(topology: str, batch_size: int, **changes) -> Program:
    """A program of these costs on a slice."""
    (chosen,) = parse_slices(topology)
    costs = dataclasses.replace(COSTS, **changes)
    return Program(batch_size, costs, times(costs, chosen))


def plan(topology: str = "v5e:2x4", batch_size: int = 16, **changes) -> Plan:
    """A plan whose train and predict steps cost the same."""
    (chosen,) = parse_slices(topology)
    made = Plan(
        slice=chosen,
        mesh={"data": chosen.devices, "space": 1},
        train=program(topology, batch_size),
        predict=program(topology, 8),
        steps=1000,
        passes=4,
        eval_batches=63,
        notes=("a note",),
    )
    return dataclasses.replace(made, **changes)
