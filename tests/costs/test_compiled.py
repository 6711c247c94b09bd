"""Costs of compiled programs as values."""

import dataclasses
import json

from hrnet_jax.costs.compiled import Memory, ProgramCosts
from tests.costs.made_up import COSTS


def test_memory_is_the_sum_of_its_kinds():
    assert Memory(1, 20, 300, 4000, 50000).total == 54321


def test_costs_survive_json():
    text = json.dumps(dataclasses.asdict(COSTS))
    assert ProgramCosts.from_json(json.loads(text)) == COSTS
