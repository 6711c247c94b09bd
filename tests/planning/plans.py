"""Made-up costs and plans that the tests share."""

import dataclasses

from hrnet_jax.costs.roofline import times
from hrnet_jax.costs.slices import parse_slices
from hrnet_jax.planning.plan import Plan, Program
from tests.costs.made_up import COSTS


def program(topology: str, batch_size: int, **changes) -> Program:
    """A program of these costs on a slice."""
    (chosen,) = parse_slices(topology)
    costs = dataclasses.replace(COSTS, **changes)
    return Program(batch_size, costs, times(costs, chosen.chip, chosen.shape))


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
