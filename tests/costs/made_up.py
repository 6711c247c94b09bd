"""Made-up costs that the tests share."""

from hrnet_jax.costs.compiled import Memory, ProgramCosts

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
